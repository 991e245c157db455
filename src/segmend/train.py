"""Train a method: one loop that reads top to bottom, resumable after a kill, the same for the same seed.

What is particular to a method is its recipe (`segmend.recipes`). Samples are drawn by number, so a
run that is resumed goes on with the very samples it would have seen.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from segmend.errors import ModelError, SettingsError, StoreError
from segmend.recipes import recipe

Log = Callable[[str], None]
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Finished:
    """Where a run's weights lie, how good the last validation found them, and the network itself."""

    weights: tuple[Path, ...]
    scores: Mapping[str, float]
    steps: int
    seconds: float
    network: torch.nn.Module  # with the averaged weights


def settings_from(how: ModuleType, options: Mapping[str, Any]) -> Any:
    """Return a recipe's settings with some changed; SettingsError names the ones there are."""
    known = {f.name for f in fields(how.Settings)}
    if wrong := sorted(options.keys() - known):
        raise SettingsError(f"There is no setting {wrong[0]!r}; there are {', '.join(sorted(known))}.")
    return replace(how.Settings(), **options)


def main(method: str, data: Path, out: Path, *, log: Log = print, **options: Any) -> Finished:
    """Train a method on the `train` split of a data set or a folder of them, validating on `val`."""
    how = recipe(method)
    settings = settings_from(how, options)
    training, validation = how.subjects(data, "train", settings), how.subjects(data, "val", settings)
    names = ", ".join(sorted({subject.group for subject in training}))
    log(f"{len(training)} cases to learn from and {len(validation)} to check on: {names or 'drawn scenes only'}")
    return run(how, training, validation, settings, out, log=log)


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
) -> Finished:
    """Train to the last step, validating and saving as it goes, and export the averaged weights."""
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))
    out.mkdir(parents=True, exist_ok=True)
    network = _laid_out(how.build(settings))
    average = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = getattr(how, "optimiser", _adamw)(network, settings)
    share = getattr(how, "share", _share)
    first, spent = _resumed(out, network, average, optimiser, settings, log)
    questions = [how.Sampler(validation, replace(settings, seed=settings.seed + 1))[i] for i in range(exam)]
    mentor = _laid_out(how.build(settings))
    scores: dict[str, float] = {}
    running, begun = 0.0, time.monotonic() - spent

    batches = _batches(how.Sampler(training, settings), first, settings, workers)
    for step, samples in enumerate(batches, start=first):
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * share(step, settings)
        loss = how.loss(network, samples, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _averaged(average, network, min(settings.average, (step + 1) / (step + 10)))
        running += (loss.item() - running) / min(step - first + 1, 100)

        done = step + 1
        if done % 50 == 0 or done == settings.steps:
            seconds = time.monotonic() - begun
            left = seconds / done * (settings.steps - done)
            log(f"step {done}/{settings.steps}  loss {running:.4f}  {seconds:.0f} s, about {left:.0f} s left")
        if done % every == 0 or done == settings.steps:
            mentor.load_state_dict(average)
            scores = how.validate(mentor, questions)
            log("  validation " + "  ".join(f"{k} {v:.4f}" for k, v in scores.items()))
            _note(out / "curve.csv", {"step": done, "loss": running, **scores})
            _save(out / CHECKPOINT, network, average, optimiser, settings, done, time.monotonic() - begun)

    mentor.load_state_dict(average)
    weights = how.export(mentor, settings, out)
    seconds = time.monotonic() - begun
    about = {"settings": asdict(settings), "scores": scores, "seconds": round(seconds)}
    (out / "run.json").write_text(json.dumps(about, indent=2) + "\n")
    return Finished(weights, scores, settings.steps, seconds, mentor)


def _laid_out(network: torch.nn.Module) -> torch.nn.Module:
    """Return the network with its 2D weights laid out as processors like them."""
    if any(value.ndim == 5 for value in network.parameters()):
        return network
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _adamw(network: torch.nn.Module, settings: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)


def _share(step: int, settings: Any) -> float:
    """Return the share of the learning rate at a step: a short rise, then a cosine to a hundredth."""
    steps = int(settings.steps)
    rise = min(200, steps // 10 + 1)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


class _Numbered(torch.utils.data.Dataset[Any]):
    """A sampler as torch's loader wants it."""

    def __init__(self, sampler: Any, first: int, count: int) -> None:
        self.sampler, self.first, self.count = sampler, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Any:
        return self.sampler[self.first + number]


def _batches(sampler: Any, first: int, settings: Any, workers: int) -> Iterator[list[Any]]:
    count = (settings.steps - first) * settings.batch
    loader = torch.utils.data.DataLoader(
        _Numbered(sampler, first * settings.batch, count),
        batch_size=settings.batch,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=list,
        multiprocessing_context="fork" if workers else None,
    )
    yield from loader


def _averaged(average: dict[str, torch.Tensor], network: torch.nn.Module, keep: float) -> None:
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                average[key].lerp_(value, 1 - keep)
            else:
                average[key].copy_(value)


def _save(
    path: Path,
    network: torch.nn.Module,
    average: dict[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    settings: Any,
    step: int,
    seconds: float,
) -> None:
    """Write the checkpoint whole or not at all; the one before stays until the new one is complete."""
    partial = path.with_suffix(".partial")
    state = {
        "network": network.state_dict(),
        "average": average,
        "optimiser": optimiser.state_dict(),
        "settings": asdict(settings),
        "step": step,
        "seconds": seconds,
    }
    try:
        torch.save(state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"The checkpoint {path.name} could not be saved ({error}); the one before is intact."
        ) from None


def _resumed(
    out: Path,
    network: torch.nn.Module,
    average: dict[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    settings: Any,
    log: Log,
) -> tuple[int, float]:
    path = out / CHECKPOINT
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, weights_only=True)
        then, now = dict(state["settings"]), asdict(settings)
    except Exception as error:
        reason = type(error).__name__
        raise ModelError(f"The checkpoint {path} could not be read ({reason}); move it away to start anew.") from error
    changed = sorted(k for k in now if k != "steps" and then.get(k) != now[k])
    if changed:
        raise ModelError(
            f"The checkpoint in {out} was made with another {changed[0]} "
            f"({then.get(changed[0])!r}, now {now[changed[0]]!r}); train into another folder."
        )
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    for key, value in state["average"].items():
        average[key].copy_(value)
    log(f"resumed at step {state['step']}")
    return int(state["step"]), float(state["seconds"])


def _note(path: Path, row: Mapping[str, Any]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)
