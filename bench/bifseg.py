"""How long BIFSeg takes to learn one image: python bench/bifseg.py

Four rounds of cutting and teaching on drawn crops, with the networks' widths of the shipped examples, beside the budget
and the paper's times on a laptop's GPU. What `cut` costs alone, and the features, stand beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.solvers.finetune import IN_2D, IN_3D, Head, Tuning, alternate

REPEATS = 5
CROPS = {  # cells, features, block 6, tuning, the budget and the paper's seconds
    "picture, 96 x 96": ((1, 96, 96), 80, 32, IN_2D, 0.7, 0.72),
    "picture, 96 x 160": ((1, 96, 160), 80, 32, IN_2D, 0.7, 0.72),
    "volume, 56 x 64 x 80": ((56, 64, 80), 20, 16, IN_3D, 3.0, 3.4),
    "volume, 80 x 80 x 80": ((80, 80, 80), 20, 16, IN_3D, 3.0, 3.4),
}


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of a piece of work, after one run that does not count."""
    work()
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def crop(shape: tuple[int, int, int], inputs: int, hidden: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Head]:
    """Return a noisy ellipsoid, features that know of it, marks on it and beside it, and a head that half knows."""
    rng = np.random.default_rng(0)
    at = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    truth = sum(a**2 for a in at) < 0.6
    intensities = np.clip(0.35 + 0.3 * truth + rng.normal(0, 0.08, shape), 0, 1).astype(np.float32)
    features = rng.normal(0, 1, (inputs, *shape)) + truth * rng.normal(0, 0.5, (inputs, 1, 1, 1))
    marked = np.zeros(shape, np.uint8)
    z, y, x = (n // 2 for n in shape)
    marked[z, y, x - 8 : x + 8], marked[z, 2, 2:x] = FOREGROUND, BACKGROUND
    weights = (rng.normal(0, (2 / inputs) ** 0.5, (hidden, inputs)), rng.normal(0, (1 / hidden) ** 0.5, (2, hidden)))
    head = Head(tuple(w.astype(np.float32) for w in weights), (np.zeros(hidden, np.float32), np.zeros(2, np.float32)))
    return np.maximum(features, 0).astype(np.float32), intensities, marked, head


def timed(shape: tuple[int, int, int], inputs: int, hidden: int, tuning: Tuning) -> dict[str, float]:
    features, intensities, marked, head = crop(shape, inputs, hidden)

    def learn(marks: np.ndarray, tune: Tuning) -> Callable[[], object]:
        return lambda: alternate(features, intensities, head, marked=marks, tuning=tune)

    return {
        "with marks": seconds(learn(marked, tuning)),
        "without": seconds(learn(np.zeros_like(marked), tuning)),
        "one cut": seconds(learn(marked, replace(tuning, rounds=0))),
    }


def main() -> None:
    print(f"{'':<22}{'with marks':>12}{'without':>10}{'one cut':>10}{'budget':>9}{'paper':>8}   s")
    for name, (shape, inputs, hidden, tuning, budget, paper) in CROPS.items():
        found = timed(shape, inputs, hidden, tuning)
        figures = f"{found['with marks']:>12.3f}{found['without']:>10.3f}{found['one cut']:>10.3f}"
        worst = max(found["with marks"], found["without"])
        print(f"{name:<22}{figures}{budget:>9.1f}{paper:>8.2f}   {'' if worst <= budget else 'over budget'}")


if __name__ == "__main__":
    main()
