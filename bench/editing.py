"""How long each edit takes on a CT of 512 x 512 x 300 with an organ in it: python bench/editing.py

Prints the best of three, in milliseconds of the clock and of the processor. The image is made up; only its size and
the size of the organ (an ellipsoid with a hole, 1.3 million voxels) count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from segmend.core.image import Box, Image, bounds, scale_affine
from segmend.core.prompts import Drawn, Lasso
from segmend.editing import (
    Combine,
    Component,
    CopySlice,
    Cut,
    Draw,
    Edit,
    FillHoles,
    Grow,
    Interpolate,
    KeepLargest,
    Paint,
    RemoveSmall,
    Smooth,
    Threshold,
)
from segmend.editing.edited import edited, laid_over

SHAPE = (300, 512, 512)
SPACING = (1.5, 0.8, 0.8)
MIDDLE = (150, 256, 256)


def ellipsoid(radii: Sequence[float], middle: Sequence[float] = MIDDLE) -> np.ndarray:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    parts = [((axis - at) / radius) ** 2 for axis, at, radius in zip((z, y, x), middle, radii, strict=True)]
    return np.asarray(parts[0] + parts[1] + parts[2] <= 1)


def cases() -> list[tuple[str, Edit]]:
    line = tuple((150, 200 + i, 230) for i in range(80))
    lasso = Lasso(tuple((150, int(256 + 60 * np.sin(t)), int(256 + 60 * np.cos(t))) for t in np.linspace(0, 6.2, 90)))
    return [
        ("paint in a slice, 5 mm", Paint(line, radius=5.0, axis=0)),
        ("paint in 3D, 5 mm", Paint(line, radius=5.0)),
        ("paint in 3D, 20 mm, within values", Paint(line, radius=20.0, within=(0.0, 400.0))),
        ("draw 60 x 60 voxels", Draw(Drawn(np.ones((1, 60, 60), bool), (150, 200, 200)))),
        ("fill holes, slice by slice", FillHoles(0)),
        ("fill holes in 3D", FillHoles()),
        ("keep the largest", KeepLargest()),
        ("remove small ones", RemoveSmall(50.0)),
        ("erase one component", Component((150, 420, 420))),
        ("smooth, Gaussian 1 mm", Smooth(1.0)),
        ("smooth, median 2 mm", Smooth(2.0, "median")),
        ("grow by 1 mm", Grow(1.0)),
        ("grow by 5 mm", Grow(5.0)),
        ("shrink by 2 mm", Grow(-2.0)),
        ("threshold, mask and 3 mm", Threshold((100.0, 300.0))),
        ("threshold in a lasso", Threshold((100.0, 300.0), lasso)),
        ("threshold in a box of 100^3", Threshold((100.0, 300.0), Box((100, 200, 200), (200, 300, 300)))),
        ("take another label over", Combine("union", 2)),
        ("keep 2 mm away from another label", Combine("subtract", 2, 2.0)),
        ("interpolate between every tenth slice", Interpolate(0)),
        ("copy a slice", CopySlice(0, 150, 151)),
        ("cut in two", Cut(((150, 100, 256), (150, 400, 256)), (150, 256, 300))),
    ]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    generator = np.random.default_rng(0)
    image = Image(generator.integers(-200, 400, (1, *SHAPE), np.int16), scale_affine(SPACING))
    whole = ellipsoid((55, 80, 75)) & ~ellipsoid((6, 9, 9)) | ellipsoid((5, 9, 9), (150, 420, 420))
    tenth = whole.copy()
    tenth[np.arange(SHAPE[0]) % 10 != 0] = False
    other = ellipsoid((20, 30, 30), (150, 256, 350)) & ~whole
    box = bounds(whole)
    print(f"An organ of {int(whole.sum()):,} voxels in {box.shape if box else ()} of {SHAPE}, {SPACING} mm.\n")
    print("| edit | ms | ms of processor | voxels changed |\n|---|--:|--:|--:|")
    for name, edit in cases():
        mask = tenth if isinstance(edit, Interpolate) else whole
        label_map = np.where(mask, 1, np.where(other, 2, 0)).astype(np.uint16)
        clock, processor, changed = [], [], 0
        for _ in range(3):
            begun, used = time.perf_counter(), time.process_time()
            change = edited(edit, mask, image, lambda label: other)
            if change is not None:
                before = label_map[change.box.slices]
                changed = int((laid_over(before, change, 1) != before).sum())
            clock.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
        print(f"| {name} | {1000 * min(clock):.0f} | {1000 * min(processor):.0f} | {changed:,} |", flush=True)


if __name__ == "__main__":
    main()
