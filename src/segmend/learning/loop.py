"""Train a method: one loop that reads top to bottom, resumable after a kill, the same for the same seed.

What is particular to a method is its recipe (`segmend.learning.recipe`); what the loop uses is beside it.
Samples are drawn by number, so a run that is resumed goes on with the very samples it
would have seen, and several processes (`torchrun`) share the samples of every batch between them.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from segmend.errors import ModelError, SettingsError
from segmend.learning.batches import batches, timed
from segmend.learning.cache import kept_in
from segmend.learning.checkpoint import CHECKPOINT, Row, Run, State, keep_folder, resume, save
from segmend.learning.distributed import ALONE, World, share_batch_norms
from segmend.learning.memory import keep_freed
from segmend.learning.precision import training_device
from segmend.learning.progress import Lines, Log, Progress, Reached, Silence
from segmend.learning.recipe import preset_of, recipe
from segmend.learning.record import Curve, write_about, write_page
from segmend.learning.subjects import unseen
from segmend.learning.track import check_tracker, tracked
from segmend.learning.validation import Validator, best, out_of_patience, scores_of
from segmend.runtime import versions
from segmend.runtime.cluster import Cluster
from segmend.runtime.cores import usable_cores

__all__ = ["CHECKPOINT", "Finished", "main", "run", "settings_from"]

LOOP = {
    "every": 500,
    "exam": 64,
    "patience": 0,
    "threads": 1,
    "workers": 1,
    "robots": 0,
    "device": "cpu",
    "minutes": 0.0,
    "track": "",
    "epochs": 0,
    "clip": 5.0,
    "schedule": "own",
}  # what `run` itself may be told


@dataclass(frozen=True)
class Finished:
    """Where a run's weights lie, how good the last validation found them, and the network itself."""

    weights: tuple[Path, ...]
    scores: Mapping[str, float]
    steps: int
    seconds: float
    network: torch.nn.Module  # with the averaged weights


def settings_from(how: ModuleType, options: Mapping[str, Any], usual_settings: Any = None) -> Any:
    """Return a recipe's settings, or others of its, with some changed; SettingsError names the ones there are."""
    usual = {f.name: f.default for f in fields(how.Settings)}
    if wrong := sorted(options.keys() - usual.keys()):
        known = ", ".join(sorted({*usual, *LOOP}))
        raise SettingsError(f"There is no setting {wrong[0]!r}; there are {known}.")
    begun = how.Settings() if usual_settings is None else usual_settings
    return replace(begun, **{name: _typed(name, value, usual[name]) for name, value in options.items()})


def _typed(name: str, value: Any, usual: Any) -> Any:
    """Return a value of the type that the setting's default has; SettingsError says which it needs."""
    if usual is MISSING or usual is None:
        return value
    words = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a list", str: "a text"}
    wanted = type(usual)
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if not fits or (wanted is float and not math.isfinite(value)):
        raise SettingsError(f"The setting {name} needs {words.get(wanted, wanted.__name__)}; got {value!r}.")
    return float(value) if wanted is float else value


def main(
    method: str,
    data: Path,
    out: Path,
    *,
    log: Log = print,
    progress: Progress | None = None,
    world: World = ALONE,
    preset: str = "small",
    cache: Path | None = None,
    cluster: Cluster | None = None,
    **options: Any,
) -> Finished:
    """Train a method on the `train` split of a data set or a folder of them, validating on `val`.

    `options` are settings of the method's recipe, and what `run` itself may be told; what they do not say, the preset
    does (`recipe.preset_of`). With `cache` the cases are mapped from files in that folder (`segmend.learning.cache`),
    which a `cluster` fills first.
    """
    with kept_in(cache, cluster):
        return _main(method, data, out, log, progress, world, preset, options)


def _main(
    method: str,
    data: Path,
    out: Path,
    log: Log,
    progress: Progress | None,
    world: World,
    preset: str,
    options: dict[str, Any],
) -> Finished:
    how = recipe(method)
    begun, of_preset = preset_of(how, preset, options)
    options = {**of_preset, **options}
    if versions.read(out) is not None:
        raise SettingsError(f"The folder {out} keeps the versions of `segmend adapt`; train into another folder.")
    own = {f.name for f in fields(how.Settings)}
    of_loop = {name: _typed(name, options.pop(name), LOOP[name]) for name in [*options] if name in LOOP.keys() - own}
    settings = settings_from(how, options, begun)
    tell = (progress or Lines(log)) if world.leads else Silence()
    training, validation = how.subjects(data, "train", settings), how.subjects(data, "val", settings)
    settings = getattr(how, "fitted", _unchanged)(settings, training)
    names = ", ".join(_count_by_set(training)) or "drawn scenes only"
    tell.say(f"{len(training)} cases to learn from and {len(validation)} to check on: {names}")
    for note in unseen(training, validation):
        tell.say(note)
    if epochs := int(of_loop.get("epochs", 0)):
        samples = getattr(how, "samples_in", _one_a_case)(training, settings)
        passes = -(-samples // settings.batch)
        settings = replace(settings, steps=max(1, epochs * passes))
        of_loop = {"every": passes, **of_loop}
    told = {**asdict(settings), **LOOP, **of_loop}
    tell.say(f"preset {preset}: {', '.join(f'{name} {_said(value)}' for name, value in told.items())}")
    return run(how, training, validation, settings, out, progress=tell, world=world, preset=preset, **of_loop)


def _said(value: Any) -> str:
    """Return a setting's value as `--set` takes it."""
    return value if isinstance(value, str) and value else json.dumps(value)


def run(
    how: ModuleType,
    training: Sequence[Any],
    validation: Sequence[Any],
    settings: Any,
    out: Path,
    *,
    threads: int | None = None,
    workers: int = 1,
    log: Log = print,
    every: int = 500,
    exam: int = 64,
    patience: int | None = None,
    progress: Progress | None = None,
    world: World = ALONE,
    device: str = "cpu",
    robots: int = 0,
    minutes: float = 0.0,
    track: str = "",
    epochs: int = 0,
    clip: float = 5.0,
    schedule: str = "own",
    preset: str = "",
) -> Finished:
    """Train to the last step, validating and saving as it goes, and export the averaged weights.

    `device` is "cpu", "cuda", "cuda:1", "mps", or "auto" for the fastest there is. Where a run goes on need not be
    where it began; only on one and the same processor are its steps the very same.

    Every `every` steps it validates on `exam` samples and saves. With `patience` (of the recipe's settings
    where it is not given) it stops after so many validations without a better first score, and the best
    weights are the ones exported; 0 never stops. With `minutes` it stops after so many minutes of steps, as if that
    step were the last, and a later call goes on from there; 0 never stops. `track` tells every validation to
    "tensorboard" or "mlflow", too. Gradients longer than `clip` are shortened to it, 0 leaves them. The `schedule` of
    the rate is the recipe's "own", or "constant". `epochs`, of which `main` makes steps, and `preset` are recorded.
    """
    patience = getattr(settings, "patience", 0) if patience is None else patience
    _check(settings, every, patience, robots, minutes, world)
    if schedule not in ("own", "constant") or clip < 0:
        raise SettingsError(f"A schedule needs to be own or constant and a clip 0 or more; got {schedule!r}, {clip:g}.")
    check_tracker(track)
    tell = (progress or Lines(log)) if world.leads else Silence()
    keep_freed()
    torch.set_num_threads(threads or max(1, (len(usable_cores()) - 1) // world.size))
    usual = {f.name: f.default for f in fields(settings) if f.default is not MISSING}
    recorded = {**asdict(settings), "patience": patience}
    identity = Run(how.NAME, recorded, _count_by_set(training), usual)

    torch.manual_seed(settings.seed)
    place = training_device(device, world.rank)
    if place.type != "cpu" and not getattr(how, "ANY_DEVICE", False):
        raise SettingsError(f"The method {how.NAME} learns on the processor only; say device=cpu (got {device!r}).")
    if place.type == "cuda":
        torch.cuda.set_device(place)  # by which NCCL goes
    network = share_batch_norms(_channels_last(how.build(settings)), world).to(place)
    average = {key: value.clone() for key, value in network.state_dict().items()}
    state = State(network, average, getattr(how, "optimiser", _adamw)(network, settings))
    share = getattr(how, "share", _cosine_schedule) if schedule == "own" else _constant
    if resume(out, identity, state):
        tell.say(f"resumed at step {state.step}")
    first, spent, begun = state.step, state.seconds, time.monotonic()
    ema_network = _channels_last(how.build(settings)).to(place)  # with the moving average of the weights
    validator = Validator(how, ema_network, validation, settings, exam)
    curve = Curve(out)
    checked = _count_by_set(validation)
    loop = {"every": every, "exam": exam, "processes": world.size, "device": str(place)}
    loop |= {"clip": clip, "schedule": schedule, "epochs": epochs, "preset": preset}
    if world.leads:
        write_about(out, identity, checked, loop=loop, finished=False)

    since = getattr(how, "patience_from", _from_the_start)(settings)
    last = first if out_of_patience(_counted(state.rows, since), patience) else settings.steps
    drawn = batches(how.Sampler(training, settings), first, last, settings.batch, workers, world)
    waited, timed_out = 0.0, False
    helped = getattr(how, "with_robots", _without_robots)(network, robots)
    with helped, tracked(track if world.leads else "", out, identity, first) as note:
        for samples, seconds in timed(drawn):
            waited += seconds
            torch.manual_seed(_seed(settings.seed, state.step, world.rank))  # of dropout, which takes no generator
            for group in state.optimiser.param_groups:
                group["lr"] = settings.rate * share(state.step, settings) * group.get("times", 1.0)
            loss = how.loss(network, samples, state.step) * (len(samples) / settings.batch)
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            found = _finite(world.sum_gradients(network, loss.item()), state.step)
            if clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            state.optimiser.step()
            _update_average(average, network, min(settings.average, (state.step + 1) / (state.step + 10)))

            state.step += 1
            state.loss += (found - state.loss) / min(state.step, 100)
            state.seconds = spent + time.monotonic() - begun
            fresh, took = state.step - first, state.seconds - spent
            tell.step(Reached(state.step, settings.steps, state.loss, fresh, took, settings.batch, waited))
            timed_out = bool(minutes) and state.step != settings.steps and world.broadcast(took >= 60 * minutes)
            if state.step % every and state.step != settings.steps and not timed_out:
                continue
            if world.leads:
                scores = validator.scores(average)
                tell.say("  validation " + ("  ".join(f"{k} {v:.4f}" for k, v in scores.items()) or "without samples"))
                state.rows.append({"step": state.step, "loss": state.loss, **scores})
                pace = {"samples_per_second": fresh * settings.batch / took, "waiting": waited / took}
                note(state.step, {"loss": state.loss, **scores, **pace})
                counted = _counted(state.rows, since)
                if patience and counted and best(counted) == len(counted) - 1:
                    state.best = {key: value.clone() for key, value in average.items()}
                save(out, identity, state)
                curve.write(state.rows)
                validator.pictures(out, state.step)
                write_page(out, state.rows)
            if world.broadcast(out_of_patience(_counted(state.rows, since), patience)):
                tell.say(f"stopped at step {state.step}: {patience} validations without a better score")
                break
            if timed_out:
                tell.say(
                    f"stopped at step {state.step}, after {minutes:g} minutes; the same command goes on from there"
                )
                break

    ema_network.load_state_dict(state.average if state.best is None else state.best)
    counted = _counted(state.rows, since)
    row = counted[best(counted)] if state.best is not None else state.rows[-1] if state.rows else {}
    scores = scores_of(row)
    weights: tuple[Path, ...] = ()
    if world.leads:
        curve.finish(state.rows)
        write_page(out, state.rows)
        weights = keep_folder(out, lambda folder: how.export(ema_network, settings, folder))
        done = {"steps": state.step, "chosen": row.get("step", state.step), "seconds": round(state.seconds)}
        files = [path.name for path in weights]
        write_about(out, identity, checked, loop=loop, finished=not timed_out, **done, scores=scores, weights=files)
    return Finished(world.broadcast(weights), world.broadcast(scores), state.step, state.seconds, ema_network)


def _check(settings: Any, every: int, patience: int, robots: int, minutes: float, world: World) -> None:
    for name, value, least in (
        ("steps", settings.steps, 1),
        ("batch", settings.batch, 1),
        ("every", every, 1),
        ("patience", patience, 0),
        ("robots", robots, 0),
        ("minutes", minutes, 0),
    ):
        if value < least:
            raise SettingsError(f"The setting {name} needs {least} or more; got {value}.")
    world.check(settings.batch)


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise ModelError(
            f"The loss was {loss} at step {step + 1}, so the training stopped; a lower rate may help, and what was "
            f"saved before is intact."
        )
    return loss


def _without_robots(_network: torch.nn.Module, _processes: int) -> AbstractContextManager[object]:
    return nullcontext()


def _unchanged(settings: Any, _training: Sequence[Any]) -> Any:
    return settings


def _one_a_case(training: Sequence[Any], _settings: Any) -> int:
    return len(training)


def _count_by_set(cases: Sequence[Any]) -> dict[str, int]:
    """Return how many cases there are of each data set."""
    return dict(sorted(Counter(str(getattr(case, "group", "")) for case in cases).items()))


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])


def _channels_last(network: torch.nn.Module) -> torch.nn.Module:
    """Return the network with its 2D weights laid out as processors like them."""
    if any(value.ndim == 5 for value in network.parameters()):
        return network
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _adamw(network: torch.nn.Module, settings: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)


def _cosine_schedule(step: int, settings: Any) -> float:
    """Return the share of the learning rate at a step: a short rise, then a cosine to a hundredth."""
    steps = int(settings.steps)
    rise = min(200, steps // 10 + 1)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def _from_the_start(_settings: Any) -> int:
    return 0


def _counted(rows: Sequence[Row], since: int) -> list[Row]:
    """Return the validations after a step, by which the best weights are chosen."""
    return [row for row in rows if row["step"] > since]


def _constant(_step: int, _settings: Any) -> float:
    return 1.0


def _update_average(average: dict[str, torch.Tensor], network: torch.nn.Module, keep: float) -> None:
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                average[key].lerp_(value, 1 - keep)
            else:
                average[key].copy_(value)
