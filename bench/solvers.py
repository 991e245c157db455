"""The solvers beside the public library of their kind, on the same problems in one run.

    python bench/solvers.py [--repeats 3] [--small] [--json]

Max-flow beside SciPy's `maximum_flow` and, where it has been installed by hand (it is GPL), PyMaxflow;
the random walker beside scikit-image's, at its usual tolerance and at two of its betas. Times are of the processor,
best of the repeats, taken in turns, so that the ratios hold on a busy machine too; none of them uses threads.
Numbers of ours are in brackets where they must be equal. SciPy takes minutes on the large grids and is left out there.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow

from segmend.image import Index
from segmend.solvers import warm_up
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import INSIDE, OUTSIDE, cut, offsets, whole_numbers
from segmend.solvers.randomwalk import walk

Ints = NDArray[np.int32]
SMALL = ((1, 128, 128), (24, 24, 24))
LARGE = ((1, 512, 512), (128, 128, 128))
SCIPY_VOXELS = 20_000


@dataclass(frozen=True)
class Row:
    """One comparison; seconds are the best of the repeats."""

    problem: str
    theirs: str
    their_seconds: float
    our_seconds: float
    agreement: str

    @property
    def ratio(self) -> float:
        return self.their_seconds / self.our_seconds


def fastest(repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Return the least processor time of each call; they take turns, and none uses threads."""
    best = [float("inf")] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            begun = time.thread_time()
            call()
            best[i] = min(best[i], time.thread_time() - begun)
    return best


def ball(shape: Index, noise: float) -> NDArray[np.float32]:
    """Return a bright ball in noise."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    away = sum(((a - n / 2) / (0.35 * n)) ** 2 for a, n in zip(axes, shape, strict=True) if n > 1)
    return np.asarray((away < 1) + np.random.default_rng(0).normal(0, noise, shape), np.float32)


def cut_problem(shape: Index, *, seeds: bool) -> tuple[Ints, Ints]:
    """Return pulls and arcs: every voxel with a noisy opinion, or seeds in the middle and at the rim only."""
    image = ball(shape, 0.6)
    smooth = gaussian_filter(image, [0 if n == 1 else 1 for n in shape])
    arcs = whole_numbers(likeness(smooth[None], offsets(shape), sharpness=22), scale=150)
    if not seeds:
        return whole_numbers(2 * image - 1, scale=100), arcs
    pull = np.zeros(shape, np.int32)
    for axis, n in enumerate(shape):
        if n > 1:
            np.moveaxis(pull, axis, 0)[[0, -1]] = -100_000
    pull[tuple(slice(n // 2 - n // 12, n // 2 + n // 12 + 1) for n in shape)] = 100_000
    return pull, arcs


def by_scipy(pull: Ints, arcs: Ints) -> Callable[[], int]:
    number = np.arange(pull.size, dtype=np.int32).reshape(pull.shape)
    starts, ends, capacities = [], [], []
    for arc, step in zip(arcs, offsets(pull.shape), strict=True):
        here = tuple(slice(0, n - s) for n, s in zip(pull.shape, step, strict=True))
        there = tuple(slice(s, n) for n, s in zip(pull.shape, step, strict=True))
        starts += [number[here].ravel(), number[there].ravel()]
        ends += [number[there].ravel(), number[here].ravel()]
        capacities += [arc[here].ravel()] * 2
    source, sink = pull.size, pull.size + 1
    for sign, turn in ((1, False), (-1, True)):
        some = np.flatnonzero(sign * pull.ravel() > 0).astype(np.int32)
        terminal = np.full(len(some), sink if turn else source, np.int32)
        starts.append(some if turn else terminal)
        ends.append(terminal if turn else some)
        capacities.append(np.abs(pull.ravel()[some]))
    pairs = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_array((np.concatenate(capacities), pairs), shape=(pull.size + 2,) * 2).tocsr()
    return lambda: int(maximum_flow(graph, source, sink).flow_value)


def by_pymaxflow(pull: Ints, arcs: Ints) -> int:
    import maxflow  # type: ignore[import-not-found]

    graph = maxflow.Graph[int](pull.size, arcs.size)
    nodes = graph.add_grid_nodes(pull.shape)
    for arc, (z, y, x) in zip(arcs, offsets(pull.shape), strict=True):
        structure = np.zeros((3, 3, 3), int)
        structure[1 + z, 1 + y, 1 + x] = 1
        graph.add_grid_edges(nodes, arc, structure, symmetric=True)
    graph.add_grid_tedges(nodes, np.maximum(pull, 0), np.maximum(-pull, 0))
    return int(graph.maxflow())


def cuts(shape: Index, repeats: int) -> list[Row]:
    rows = []
    for name, seeds in (("opinions", False), ("seeds", True)):
        pull, arcs = cut_problem(shape, seeds=seeds)
        problem = f"max-flow {name} {title(shape)}"
        ours = cut(pull, arcs)
        rivals: dict[str, Callable[[], int]] = {}
        if pull.size <= SCIPY_VOXELS:
            rivals["scipy maximum_flow"] = by_scipy(pull, arcs)
        if find_spec("maxflow") is not None:
            rivals["PyMaxflow"] = lambda pull=pull, arcs=arcs: by_pymaxflow(pull, arcs)  # type: ignore[misc]
        for rival, call in rivals.items():
            theirs, mine = fastest(repeats, call, lambda pull=pull, arcs=arcs: cut(pull, arcs))  # type: ignore[misc]
            rows.append(Row(problem, rival, theirs, mine, f"{call()} ({ours.cost})"))
        band = np.where(gaussian_filter(ours.inside.astype(np.float32), 2, mode="nearest") > 0.5, INSIDE, OUTSIDE)
        edge = np.abs(gaussian_filter(ours.inside.astype(np.float32), 2, mode="nearest") - 0.5) < 0.49
        fixed = np.where(edge, 0, band).astype(np.uint8)
        whole, part = fastest(repeats, lambda: cut(pull, arcs), lambda: cut(pull, arcs, fixed=fixed))  # noqa: B023
        share = f"{100 * edge.mean():.0f} % of the voxels"
        rows.append(Row(f"{problem}, band", "the whole grid", whole, part, share))
    return rows


def walks(shape: Index, repeats: int) -> list[Row]:
    from skimage.segmentation import random_walker

    image = ball(shape, 0.35)
    marks = np.zeros(shape, np.uint8)
    for axis, n in enumerate(shape):
        if n > 1:
            np.moveaxis(marks, axis, 0)[[0, -1]] = 2
    marks[tuple(n // 2 for n in shape)] = 1
    rows = []
    for beta in (10, 130):
        sharpness = beta / (10 * float(image.std()))
        links = likeness(image[None], ((1, 0, 0), (0, 1, 0), (0, 0, 1)), sharpness=sharpness, floor=1e-10)

        def theirs(beta: int = beta) -> NDArray[np.float64]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                chance = random_walker(image.squeeze(), marks.squeeze(), beta=beta, mode="cg_j", return_full_prob=True)
            return np.asarray(chance[0]).reshape(shape)

        def ours(links: NDArray[np.float32] = links) -> NDArray[np.float32]:
            return walk(links, marks, tolerance=1e-3)

        apart = np.abs(theirs() - walk(links, marks, tolerance=1e-5))
        slow, fast = fastest(repeats, theirs, ours)
        note = f"differ by {apart.mean():.4f}"
        rows.append(Row(f"random walker beta {beta} {title(shape)}", "scikit-image", slow, fast, note))
    return rows


def title(shape: Index) -> str:
    return "x".join(str(n) for n in shape if n > 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="only the small grids, a few seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warm_up()
    rows: list[Row] = []
    if not options.json:
        print(f"{'problem':44} {'beside':20} {'theirs s':>9} {'ours s':>9} {'ratio':>7}  theirs (ours)")
    for shape in SMALL if options.small else SMALL + LARGE:
        for compare in (cuts, walks):
            rows += (found := compare(shape, options.repeats))
            if not options.json:
                show(found)
    if options.json:
        print(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=2))


def show(rows: list[Row]) -> None:
    for row in rows:
        times = f"{row.their_seconds:9.4f} {row.our_seconds:9.4f} {row.ratio:7.1f}"
        print(f"{row.problem:44} {row.theirs:20} {times}  {row.agreement}", flush=True)


if __name__ == "__main__":
    main()
