"""The grid search by which BIFSeg's settings are chosen on training cases, as the paper chose its own.

The paper: "We used a grid search with the training data to get proper values of lambda, sigma, t0, t1, epsilon and
omega, and fixed them as global parameters during testing." Here settings that share a scale are searched together,
and the others one after the other. The paper's values come first and win where settings are
equally good. While it searches, an update learns from fewer voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers.densecrf import Kernels
from segmend.core.image import MaskArray, Real
from segmend.papers.bifseg.method import Crop, refine_by_crf
from segmend.solvers.finetune import Head, Tuning, alternate

Grid = Mapping[str, Sequence[float]]  # values of fields of Tuning

# By dimensions; sigma and epsilon in tones of mean 0 and deviation 1. In volumes, where small networks are less sure,
# lambda also has small values, searched together with sigma: at the paper's, cuts take everything away.
GRIDS: Mapping[int, Sequence[Grid]] = {
    2: (
        {"sigma": (0.1, 0.2, 0.5), "near": (0.2, 0.1, 0.05, 0.02)},
        {"smoothness": (3.0, 1.0, 10.0)},
        {"low": (0.2, 0.1, 0.3)},
        {"high": (0.7, 0.6, 0.8)},
        {"marks": (5.0, 20.0)},
    ),
    3: (
        {"smoothness": (10.0, 1.0, 0.3, 0.1), "sigma": (0.1, 0.2, 0.5, 1.0)},
        {"near": (0.2, 0.1, 0.05, 0.02, 0.01)},
        {"low": (0.2, 0.1, 0.3, 0.05)},
        {"high": (0.6, 0.7, 0.8)},
        {"marks": (5.0, 20.0, 50.0)},
    ),
}
RATE: Grid = {"rate": (1e-2, 3e-3)}  # the paper's, and a third: narrow networks with large features overshoot
MOST = 1 << 11  # voxels that an update learns from while the settings are searched

KERNELS = tuple(  # of the dense CRF
    Kernels(smooth_weight=6 * much, weight=1.5 * much, intensity=intensity)
    for much in (0.1, 0.3, 1.0)
    for intensity in (0.02, 0.1, 0.3)
)


@dataclass(frozen=True, eq=False)
class Task:
    """One object of a training case, with or without marks, and how good an answer of its cells is."""

    crop: Crop
    marked: NDArray[np.uint8]  # [z y x]
    score: Callable[[Real | MaskArray], float]


def settings_of(grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield every combination of a grid, the first values first.

    >>> list(settings_of({"low": (0.2, 0.1), "high": (0.7,)}))
    [{'low': 0.2, 'high': 0.7}, {'low': 0.1, 'high': 0.7}]
    """
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def best_tuning(
    tasks: Sequence[Task],
    head: Head,
    usual: Tuning,
    grids: Sequence[Grid],
    log: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Return the settings that serve best in the mean of the tasks, grid after grid."""
    known: dict[Tuning, float] = {}
    for grid in grids:
        tried = [replace(usual, **changes) for changes in settings_of(grid)]
        for tuning in (tuning for tuning in tried if tuning not in known):
            quick = replace(tuning, most=MOST)
            known[tuning] = float(np.mean([task.score(_answer(task, head, quick)) for task in tasks]))
            log(f"{', '.join(f'{name} {getattr(tuning, name):g}' for name in grid)}: {known[tuning]:.4f}")
        usual = max(tried, key=lambda tuning: known[tuning])
    return usual


def best_kernels(tasks: Sequence[Task], head: Head) -> Kernels:
    """Return the kernels of the dense CRF that serve best in the mean of the tasks."""

    def mean(kernels: Kernels) -> float:
        every = [
            task.score(refine_by_crf(task.crop, head.probability(task.crop.features), task.marked, kernels))
            for task in tasks
        ]
        return float(np.mean(every))

    return max(KERNELS, key=mean)


def _answer(task: Task, head: Head, tuning: Tuning) -> MaskArray:
    crop = task.crop
    return alternate(crop.features, crop.tones, head, marked=task.marked, tuning=tuning, spacing=crop.spacing).labels
