"""HD95, NSD at 2 mm and ASSD together on 128^3 masks: Segmend, surface-distance and MONAI side by side.

    python bench/metrics.py [--repeats 3] [--json]

All are timed alternately in one run on the same masks, best of the repeats, so that the ratios hold
on a busy machine too. MONAI measures another surface (voxels, not pieces of area), so its numbers differ.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.evaluation.surface_distance import surfaces

Mask = NDArray[np.bool_]
SIDE = 128


def ball(centre: tuple[int, int, int], radius: float) -> Mask:
    grid = np.ogrid[:SIDE, :SIDE, :SIDE]
    return np.asarray(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2)


def cases() -> Iterator[tuple[str, Mask, Mask]]:
    """Yield pairs of masks, from what a first click leaves to what only a test draws."""
    generator = np.random.default_rng(0)

    def blobs() -> Mask:
        smooth = ndimage.gaussian_filter(generator.normal(size=(SIDE,) * 3), 8)
        return np.asarray(smooth > np.quantile(smooth, 0.8))

    many = blobs()
    rough = ball((64, 64, 64), 38) ^ ((generator.random((SIDE,) * 3) < 0.01) & ball((64, 64, 64), 45))
    yield "ball of 20, moved by 2", ball((64, 64, 64), 20), ball((65, 65, 63), 20)
    yield "ball of 30, moved by 3", ball((64, 64, 64), 30), ball((66, 65, 62), 30)
    yield "ball of 40 against 36", ball((64, 64, 64), 40), ball((60, 66, 62), 36)
    yield "ball of 40, rough", ball((64, 64, 64), 40), rough
    yield "two balls far apart", ball((30, 30, 30), 20), ball((95, 95, 95), 20)
    yield "blobs, smoothed", many, np.asarray(ndimage.gaussian_filter(many.astype(np.float32), 2) > 0.45)
    yield "blobs, other blobs", many, blobs()


def segmend(truth: Mask, mask: Mask) -> tuple[float, float, float]:
    apart = surfaces(truth, mask)
    return apart.hausdorff(95), apart.nsd(2), apart.assd()


def surface_distance(truth: Mask, mask: Mask) -> tuple[float, float, float]:
    import surface_distance as library

    found = library.compute_surface_distances(truth, mask, (1.0, 1.0, 1.0))
    pieces = [(found[f"distances_{a}_to_{b}"], found[f"surfel_areas_{a}"]) for a, b in (("gt", "pred"), ("pred", "gt"))]
    mean = sum(d @ a for d, a in pieces) / sum(a.sum() for _, a in pieces)
    hd95 = library.compute_robust_hausdorff(found, 95)
    return float(hd95), float(library.compute_surface_dice_at_tolerance(found, 2)), float(mean)


def monai(truth: Mask, mask: Mask) -> tuple[float, float, float]:
    import torch
    from monai import metrics

    pair = [torch.from_numpy(m)[None, None] for m in (mask, truth)]
    hd95 = metrics.compute_hausdorff_distance(*pair, include_background=True, percentile=95)
    nsd = metrics.compute_surface_dice(*pair, class_thresholds=[2.0], include_background=True)
    assd = metrics.compute_average_surface_distance(*pair, include_background=True, symmetric=True)
    return float(hd95), float(nsd), float(assd)


def milliseconds(measure: Callable[[Mask, Mask], object], truth: Mask, mask: Mask) -> float:
    begun = time.perf_counter()
    measure(truth, mask)
    return (time.perf_counter() - begun) * 1e3


@dataclass(frozen=True)
class Row:
    masks: str
    segmend_ms: float
    surface_distance_ms: float
    monai_ms: float
    equal: bool  # Segmend's three numbers and those of surface-distance


def compare(name: str, truth: Mask, mask: Mask, repeats: int) -> Row:
    tools = (segmend, surface_distance, monai)
    best = np.min([[milliseconds(tool, truth, mask) for tool in tools] for _ in range(repeats)], axis=0)
    equal = bool(np.allclose(segmend(truth, mask), surface_distance(truth, mask)))
    return Row(name, *(round(float(ms), 1) for ms in best), equal)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")  # both libraries call deprecated functions
    rows = [compare(*case, chosen.repeats) for case in cases()]
    if chosen.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"{f'HD95 + NSD + ASSD, {SIDE}^3, ms':32s}   Segmend   surface-distance              MONAI   equal")
    for row in rows:
        theirs, third = row.surface_distance_ms, row.monai_ms
        ratios = f"{theirs:9.1f} ({theirs / row.segmend_ms:4.1f}x) {third:9.1f} ({third / row.segmend_ms:5.1f}x)"
        print(f"{row.masks:32s} {row.segmend_ms:9.1f} {ratios}   {'yes' if row.equal else 'NO'}")


if __name__ == "__main__":
    main()
