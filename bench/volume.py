"""What mend costs in volumes of several sizes: python bench/volume.py [--weights DIR]

The first click in a fresh workspace (three planes tell how large the object is), a later click
where the features of its frames are kept and where they are not, a box, and by how much all this lets the process grow
once the image and its mask are there. Times are the quickest of some runs, so that what else the machine does counts
little. Neither may grow with the volume.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segmend.core.image import Image, Index, MaskArray, bounds, scale_affine
from segmend.core.prompts import Click, Prompt
from segmend.core.segmenter import Workspace, answer
from segmend.methods import load

REPEATS = 5
VOLUMES: tuple[tuple[Index, tuple[float, float, float]], ...] = (
    ((40, 160, 160), (3.0, 1.2, 1.2)),
    ((150, 240, 240), (1.0, 1.0, 1.0)),
    ((300, 512, 512), (1.5, 0.8, 0.8)),
)
RADIUS_MM = 30.0


def scene(shape: Index, spacing: tuple[float, float, float]) -> tuple[Image, MaskArray]:
    """Return a noisy volume with a bright ball in its middle, and the ball."""
    truth = np.zeros(shape, bool)
    voxels = np.random.default_rng(0).integers(-60, 60, shape, np.int16)
    y, x = np.ogrid[tuple(slice(-n // 2, n - n // 2) for n in shape[1:])]
    for index in range(shape[0]):
        away = ((index - shape[0] // 2) * spacing[0]) ** 2 + (y * spacing[1]) ** 2 + (x * spacing[2]) ** 2
        truth[index] = away < RADIUS_MM**2
        voxels[index][truth[index]] += 120
    return Image(voxels[None], scale_affine(spacing)), truth


def megabytes() -> float:
    """Return what the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def milliseconds(work: Callable[[], object]) -> float:
    """Return the time of the quickest of some runs."""
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return 1000 * min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a folder of weights; those in the package without it")
    folder = parser.parse_args().weights
    mend = load("mend", folder)
    titles = ("volume", "first click", "later click", "in a new place", "box", "grown by")
    print("".join(f"{title:>16}" for title in titles))
    for shape, spacing in VOLUMES:
        image, truth = scene(shape, spacing)
        middle = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
        beside = (middle[0], middle[1] + int(0.9 * RADIUS_MM / spacing[1]), middle[2])
        nothing, clicks, box = np.zeros(shape, bool), (Click(middle), Click(beside)), bounds(truth)
        assert box is not None
        before = megabytes()
        used = mend.open(image)
        answer(used, clicks, truth)

        def asked(prompts: tuple[Prompt, ...], before: MaskArray, workspace: Workspace | None = None) -> float:
            return milliseconds(lambda: answer(workspace or mend.open(image), prompts, before))  # noqa: B023

        first, new, boxed = asked(clicks[:1], nothing), asked(clicks, truth), asked((box,), nothing)
        later = asked(clicks, truth, used)
        times = "".join(f"{time:>13.0f} ms" for time in (first, later, new, boxed))
        print(f"{'x'.join(map(str, shape)):>16}{times}{megabytes() - before:>13.0f} MB")


if __name__ == "__main__":
    main()
