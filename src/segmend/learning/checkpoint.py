"""What a run has come to, on disk: whole or not at all, and only for the run that it belongs to."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segmend import __version__
from segmend.errors import DiskFullError, ModelError, SegmendError, StoreError
from segmend.runtime.engine import current_keys

CHECKPOINT = "checkpoint.pt"
FORMAT = 2  # the format of checkpoints; files of another one are refused

Row = dict[str, float]
Tensors = dict[str, Tensor]


@dataclass
class State:
    """All that a run has come to; the loop changes it in place."""

    network: torch.nn.Module
    average: Tensors  # the exponential moving average (EMA) of the network's weights
    optimiser: torch.optim.Optimizer
    step: int = 0  # steps done
    seconds: float = 0.0
    loss: float = 0.0  # the mean over the last hundred steps or so
    rows: list[Row] = field(default_factory=list)  # one a validation: step, loss, scores
    best: Tensors | None = None  # the averaged weights that validated best, kept for early stopping


@dataclass(frozen=True)
class Run:
    """What must be the same for a run to go on: its method, settings and cases to learn from."""

    method: str
    settings: Mapping[str, Any]
    cases: Mapping[str, int]  # by data set
    usual: Mapping[str, Any] = field(default_factory=dict)  # the settings' defaults, for what older runs do not tell


def save(folder: Path, run: Run, state: State) -> None:
    """Write the checkpoint; StoreError when the disk refuses, and then the one before is intact."""
    kept = {
        "format": FORMAT,
        "version": __version__,
        "method": run.method,
        "settings": dict(run.settings),
        "cases": dict(run.cases),
        "network": state.network.state_dict(),
        "average": state.average,
        "optimiser": state.optimiser.state_dict(),
        "best": state.best,
        "step": state.step,
        "seconds": state.seconds,
        "loss": state.loss,
        "rows": state.rows,
    }
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    keep(folder / CHECKPOINT, buffer.getvalue())


def resume(folder: Path, run: Run, state: State) -> bool:
    """Put what a folder's checkpoint holds into a fresh state; False when there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return False
    kept = _read(path)
    _compare(folder, run, kept)
    try:
        wanted = state.network.state_dict().keys()
        state.network.load_state_dict(current_keys(kept["network"], wanted))
        state.optimiser.load_state_dict(kept["optimiser"])  # of parameters by number, which names do not change
        for key, value in current_keys(kept["average"], wanted).items():
            state.average[key].copy_(value)
    except (KeyError, RuntimeError, ValueError):
        raise ModelError(
            f"The checkpoint in {folder} was made by version {kept.get('version')}, whose network was another one "
            f"(this is version {__version__}); train into another folder."
        ) from None
    state.best = None if kept["best"] is None else current_keys(kept["best"], wanted)
    state.step, state.seconds, state.loss = int(kept["step"]), float(kept["seconds"]), float(kept["loss"])
    state.rows = list(kept["rows"])
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        found = kept.get("format", 1)
    except Exception as error:
        reason = type(error).__name__
        raise ModelError(f"The checkpoint {path} could not be read ({reason}); move it away to start anew.") from None
    if found != FORMAT:
        raise ModelError(
            f"The checkpoint {path} is of format {found} and this version reads {FORMAT}; move it away to start anew."
        )
    return dict(kept)


def _compare(folder: Path, run: Run, kept: Mapping[str, Any]) -> None:
    made = f"The checkpoint in {folder} was made"
    if kept["method"] != run.method:
        raise ModelError(f"{made} for {kept['method']}, not for {run.method}; train into another folder.")
    then, now = {**run.usual, **kept["settings"]}, run.settings  # a setting that came later: as if it had been there
    changed = sorted(name for name in {*then, *now} if _differs(name, then, now))
    if changed:
        name = changed[0]
        raise ModelError(
            f"{made} with another {name} ({then.get(name)!r}, now {now.get(name)!r}); train into another folder."
        )
    if kept["cases"] != dict(run.cases):
        cases = f"{_counted(kept['cases'])}, now {_counted(run.cases)}"
        raise ModelError(f"{made} with other cases ({cases}); train into another folder.")


def _differs(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """True for a setting that a run may not change halfway; steps may, and how patient it is, once it is."""
    if name == "patience":
        return bool(then.get(name)) != bool(now.get(name))
    return name != "steps" and (name not in then or name not in now or then[name] != now[name])


def _counted(cases: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name or 'no set'}" for name, count in cases.items()) or "none"


def keep(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; StoreError when the disk refuses, and then an older one is intact."""
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        _flush(part)
        part.replace(path)
    except OSError as error:
        raise refused(path.name, error) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def keep_folder(folder: Path, write: Callable[[Path], tuple[Path, ...]]) -> tuple[Path, ...]:
    """Let `write` fill an empty folder, and move its files into `folder` when all of them are on the disk."""
    partial = folder / "export.part"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        written = write(partial)
        for path in written:
            _flush(path)
        for path in written:
            path.replace(folder / path.name)
    except OSError as error:
        raise refused("new weights", error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return tuple(folder / path.name for path in written)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def refused(name: str, error: OSError) -> SegmendError:
    """Return the error that says why the disk did not take a file."""
    kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
    return kind(f"{name} could not be saved ({error.strerror or error}); what was saved before is intact.")
