"""Damaged files put to the readers: each is read, or refused in one sentence, soon and in little memory."""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from time import process_time

import numpy as np

from segmend import io
from segmend.core.image import Image
from segmend.errors import SegmendError
from segmend.io.sizes import FLOOR
from segmend.io.slides import SlideFile, is_slide, whole
from tests.fuzz.damage import damaged
from tests.fuzz.files import FILES, IMAGE, INSIDE

SECONDS = 5.0  # of a processor, for one file
PEAK = 4 * FLOOR  # bytes of memory, for files of some kilobytes that may claim FLOOR


@dataclass
class Findings:
    """What was tried, what came of it, and what should not have."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    @property
    def tried(self) -> int:
        return sum(self.outcomes.values())


@cache
def sound(kind: str, folder: Path) -> bytes:
    return FILES[kind](folder)


def made(kind: str, number: int, seed: int, folder: Path) -> bytes:
    """Return the damaged file of a kind, a number and a seed, the same each time."""
    random = Random(f"{kind} {number} {seed}")
    data = sound(kind, folder)
    if kind in INSIDE and random.random() < 0.7:
        return INSIDE[kind](data, lambda part: damaged(part, random))
    return damaged(data, random)


def try_readers(path: Path) -> str:
    """Read a file in every way there is; return what came of it, or fail on what is neither image nor sentence."""
    outcome = "refused"
    asked = (io.series, io.mask_names, io.read, lambda p: io.read_mask(p, IMAGE))
    for ask in (is_slide, open_slide) if "slide" in path.name else asked:
        try:
            result = ask(path)
        except SegmendError as refused:
            result = str(refused)
        if isinstance(result, str):
            assert result, "a refusal without a word"
            assert "\n" not in result, f"more than a sentence: {result}"
        if isinstance(result, Image | np.ndarray):
            outcome = "read"
        if isinstance(result, Image):
            assert result.voxels.dtype.kind in "uif", f"numbers of {result.voxels.dtype}"
            assert np.isfinite(result.voxels).all(), "numbers that are not finite"
    return outcome


def open_slide(path: Path) -> Image:
    """Read a slide as a server does: what it shows of it, and a region of each level."""
    image, kept = whole(path, path.with_suffix(".made.tif"))
    slide = SlideFile(kept)
    try:
        for level in range(slide.levels):
            height, width = slide.shape(level)
            pixels = slide.read(level, height // 2 - 8, width // 2 - 8, 16, 16)
            assert pixels.shape == (16, 16, 3)
    finally:
        slide.close()
    return image


def fuzz(
    kind: str, numbers: range, seed: int, folder: Path, *, watch: Callable[[int], object] | None = None
) -> Findings:
    """Return the findings of damaged files of a kind; `watch` is told the number of each before it is tried."""
    findings = Findings()
    path = folder / f"damaged-{kind}"
    for number in numbers:
        if watch is not None:
            watch(number)
        path.write_bytes(made(kind, number, seed, folder))
        start_of_peak()
        started = process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # libraries warn of damage before they refuse it
                findings.outcomes[try_readers(path)] += 1
        except Exception:
            findings.outcomes["fault"] += 1
            findings.faults.append(f"{kind} {number} {seed}: {traceback.format_exc(limit=-3)}")
        seconds, memory = process_time() - started, peak()
        findings.slowest, findings.largest = max(findings.slowest, seconds), max(findings.largest, memory)
        if seconds > SECONDS:
            findings.faults.append(f"{kind} {number} {seed}: took {seconds:.1f} s")
        if memory > PEAK:
            findings.faults.append(f"{kind} {number} {seed}: took {memory >> 20} MB")
    return findings


_base = 0


def start_of_peak() -> None:
    """Let the kernel count this process's largest memory anew, where it can (Linux)."""
    global _base
    try:
        Path("/proc/self/clear_refs").write_text("5")
        _base = _status("VmRSS")
    except OSError:
        _base = -1


def peak() -> int:
    """Return by how many bytes this process has grown at most since then; 0 where that is not known."""
    return max(0, _status("VmHWM") - _base) if _base >= 0 else 0


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
