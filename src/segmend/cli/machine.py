"""What this machine is, and how long one interaction takes on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from segmend.core.image import Index, bounds
from segmend.core.masks import dice
from segmend.core.prompts import Click, Prompt
from segmend.core.segmenter import answer
from segmend.errors import ModelError, SettingsError
from segmend.methods import load_where_possible
from segmend.runtime.cores import usable_cores
from segmend.runtime.engine import Device, check_device
from segmend.samples import make

FLAGS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm"),
    "AMX": ("amx_tile",),
}  # what to call it, and the flags in /proc/cpuinfo, any of which is enough
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "microsoft-edge", "brave-browser", "safari")
PACKAGES = ("numpy", "scipy", "openvino", "pydicom", "sqlalchemy", "fastapi", "torch")
LITTLE_MEMORY = 4.0  # GiB
LITTLE_DISK = 2.0  # GiB
SIZE: Index = (1, 512, 512)
SECONDS = 1.0  # how long to repeat the interaction for
LATER = (3, 20)  # how often it is repeated, at least and at most


@dataclass(frozen=True)
class Processor:
    name: str
    cores: int
    features: tuple[str, ...]  # keys of FLAGS


@dataclass(frozen=True)
class Interaction:
    """A click in a box on a 512 x 512 photograph, from the opened image to its mask."""

    method: str
    engine: str  # what ran the network, empty where there is none
    first_ms: float  # the first of a process, cold: with the loading of libraries and networks, and opening the image
    open_ms: float  # opening the image again, warm
    median_ms: float  # of the later ones, warm
    later: int  # how many those are
    dice: float  # with the mask that is right


@dataclass(frozen=True)
class Machine:
    system: str
    processor: Processor
    gpus: tuple[str, ...]
    memory_gib: float
    disk_free_gib: float
    folder: str  # whose disk that is
    browser: str | None
    versions: dict[str, str | None]  # None where it is not installed
    interaction: Interaction

    @property
    def advice(self) -> tuple[str, ...]:
        """Return a sentence on each thing that will be in the way."""
        found = []
        if self.memory_gib < LITTLE_MEMORY:
            found.append(f"Memory is short: {self.memory_gib:.1f} GiB; large volumes want {LITTLE_MEMORY:.0f}.")
        if self.disk_free_gib < LITTLE_DISK:
            found.append(f"The disk of {self.folder} is nearly full: {self.disk_free_gib:.1f} GiB are free.")
        if self.browser is None:
            found.append("No browser was found here; open the annotator's address in one elsewhere.")
        if self.interaction.method != "mend":
            found.append(f"The model's weights are missing; {self.interaction.method} was timed instead.")
        return tuple(found)


def examine(folder: Path, *, device: str = "auto", precision: str = "auto") -> Machine:
    """Return what this machine is; `folder` is where annotations will be kept. Takes about two seconds."""
    return Machine(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=processor(),
        gpus=gpus(),
        memory_gib=round(memory() / 2**30, 1),
        disk_free_gib=round(shutil.disk_usage(_existing(folder)).free / 2**30, 1),
        folder=str(folder),
        browser=browser(),
        versions=versions(),
        interaction=interaction(device=device, precision=precision),
    )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Return the processor's name, the cores this process may use, and what speeds up networks."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else _sysctl()
    named = re.search(r"(?:model name|machdep\.cpu\.brand_string)\s*:\s*(.+)", text)
    flags = set(re.findall(r"[a-z0-9_]+", text.lower()))
    features = tuple(name for name, any_of in FLAGS.items() if flags & set(any_of))
    name = named[1].strip() if named else platform.processor() or "unknown"
    return Processor(name, len(usable_cores()), features)


def _sysctl() -> str:
    return _said(["sysctl", "machdep.cpu", "hw.optional"]) or ""


def gpus() -> tuple[str, ...]:
    """Return the graphics processors that training and annotating could use."""
    found = [line.strip() for line in (_said(["nvidia-smi", "-L"]) or "").splitlines() if line.startswith("GPU")]
    found = [re.sub(r"\s*\(UUID.*", "", line) for line in found]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.append("Apple")
    return tuple(found)


def _said(command: list[str]) -> str | None:
    """Return what a command prints, None where it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def memory() -> int:
    """Return the bytes of memory that this machine has, or that its container allows."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        return min(total, int(text))
    return total


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that is there already."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def browser() -> str | None:
    """Return the name of a browser on this machine, None when none was found."""
    if sys.platform == "darwin":
        return "safari"
    return next((name for name in BROWSERS if shutil.which(name)), None)


def versions() -> dict[str, str | None]:
    """Return the versions of what matters, without importing any of it."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("segmend", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def interaction(
    shape: Index = SIZE,
    *,
    methods: tuple[str, ...] = ("mend", "graphcut"),
    device: str = "auto",
    precision: str = "auto",
) -> Interaction:
    """Time a click in a box on a drawn photograph with the first of these methods that can run, cold and warm.

    Cold is what this process has not done before, so it says most where it is asked first.
    """
    import numpy as np

    sample = make("skin", shape=shape)
    truth = sample.truth == 1
    inside = np.argwhere(truth)
    z, y, x = inside[np.abs(inside - inside.mean(axis=0)).sum(axis=1).argmin()].tolist()
    around = bounds(truth)
    assert around is not None
    nowhere = np.zeros(shape, bool)
    prompts: list[Prompt] = [around.grown((0, 6, 6)).clipped(shape), Click((z, y, x))]

    check_device(device)
    begun = time.perf_counter()
    for method in methods:
        try:
            segmenter = load_where_possible(method, None, Device(device, precision))
            break
        except (ModelError, SettingsError):
            if method == methods[-1]:
                raise
    mask = answer(segmenter.open(sample.image), prompts, nowhere).over(nowhere)
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    workspace = segmenter.open(sample.image)
    workspace.prepare()
    opened = time.perf_counter() - begun
    times: list[float] = []
    while len(times) < LATER[0] or (sum(times) < SECONDS and len(times) < LATER[1]):
        begun = time.perf_counter()
        answer(workspace, prompts, nowhere)
        times.append(time.perf_counter() - begun)
    return Interaction(
        method=method,
        engine=str(getattr(getattr(segmenter, "engine", None), "name", "")),
        first_ms=round(1000 * first, 1),
        open_ms=round(1000 * opened, 1),
        median_ms=round(1000 * statistics.median(times), 1),
        later=len(times),
        dice=round(dice(mask, truth), 3),
    )
