"""The solvers beside the public library of their kind, on the same problems in one run.

    python bench/solvers.py [--repeats 3] [--small] [--json]

Max-flow beside SciPy's `maximum_flow` and PyMaxflow; the geodesic distance beside SciPy's `dijkstra`, which is exact,
and FastGeodis's raster passes; the random walker beside scikit-image's, at its usual tolerance and at two of its betas;
GrabCut, from a box, beside OpenCV's; the dense CRF beside pydensecrf2's; GrowCut beside SciPy's `dijkstra`; the level
set beside scikit-image's morphological Chan-Vese. What is not installed is left out by name: PyMaxflow is GPL, and none
of them is a need. At the end: what one click costs whole methods, crop and all, when they mend a mask that is there.

Times are of the processor, best of the repeats, taken in turns, so that the ratios hold on a busy machine too; none
uses threads. Numbers of ours are in brackets where they must be equal. SciPy takes minutes on the large grids and is
left out there.
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
from scipy.sparse.csgraph import dijkstra, maximum_flow

from segmend import methods
from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.classical.solvers.growcut import growcut
from segmend.classical.solvers.levelset import levelset
from segmend.classical.solvers.randomwalk import walk
from segmend.core.image import Box, Image, Index, MaskArray
from segmend.core.prompts import Click, Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import answer
from segmend.solvers.edges import likeness
from segmend.solvers.geodesic import geodesic, lengths_of
from segmend.solvers.maxflow import cut, offsets, whole_numbers

Ints = NDArray[np.int32]
SMALL = ((1, 128, 128), (24, 24, 24))
LARGE = ((1, 512, 512), (128, 128, 128))
SCIPY_VOXELS = 20_000
CHAN_VESE_VOXELS = 500_000  # more takes it a minute
RIVALS = {"maxflow": "PyMaxflow", "FastGeodis": "FastGeodis", "cv2": "OpenCV", "skimage": "scikit-image"}
RIVALS |= {"pydensecrf": "pydensecrf2"}


@dataclass(frozen=True)
class Row:
    """One comparison; seconds are the best of the repeats, `theirs` may be a limit instead of a library."""

    problem: str
    theirs: str
    their_seconds: float
    our_seconds: float
    agreement: str

    @property
    def ratio(self) -> float:
        return self.their_seconds / self.our_seconds


def here(module: str) -> bool:
    """Tell whether a library to compare with is installed."""
    return find_spec(module) is not None


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
    """Return a unary and arcs: every voxel with a noisy opinion, or seeds in the middle and at the rim only."""
    image = ball(shape, 0.6)
    smooth = gaussian_filter(image, [0 if n == 1 else 1 for n in shape])
    arcs = whole_numbers(likeness(smooth[None], offsets(shape), sharpness=22), scale=150)
    if not seeds:
        return whole_numbers(2 * image - 1, scale=100), arcs
    unary = np.zeros(shape, np.int32)
    for axis, n in enumerate(shape):
        if n > 1:
            np.moveaxis(unary, axis, 0)[[0, -1]] = -100_000
    unary[tuple(slice(n // 2 - n // 12, n // 2 + n // 12 + 1) for n in shape)] = 100_000
    return unary, arcs


def by_scipy(unary: Ints, arcs: Ints) -> Callable[[], int]:
    number = np.arange(unary.size, dtype=np.int32).reshape(unary.shape)
    starts, ends, capacities = [], [], []
    for arc, step in zip(arcs, offsets(unary.shape), strict=True):
        near = tuple(slice(0, n - s) for n, s in zip(unary.shape, step, strict=True))
        far = tuple(slice(s, n) for n, s in zip(unary.shape, step, strict=True))
        starts += [number[near].ravel(), number[far].ravel()]
        ends += [number[far].ravel(), number[near].ravel()]
        capacities += [arc[near].ravel()] * 2
    source, sink = unary.size, unary.size + 1
    for sign, turn in ((1, False), (-1, True)):
        some = np.flatnonzero(sign * unary.ravel() > 0).astype(np.int32)
        terminal = np.full(len(some), sink if turn else source, np.int32)
        starts.append(some if turn else terminal)
        ends.append(terminal if turn else some)
        capacities.append(np.abs(unary.ravel()[some]))
    pairs = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_array((np.concatenate(capacities), pairs), shape=(unary.size + 2,) * 2).tocsr()
    return lambda: int(maximum_flow(graph, source, sink).flow_value)


def by_pymaxflow(unary: Ints, arcs: Ints) -> int:
    import maxflow  # type: ignore[import-not-found]

    graph = maxflow.Graph[int](unary.size, arcs.size)
    nodes = graph.add_grid_nodes(unary.shape)
    for arc, (z, y, x) in zip(arcs, offsets(unary.shape), strict=True):
        structure = np.zeros((3, 3, 3), int)
        structure[1 + z, 1 + y, 1 + x] = 1
        graph.add_grid_edges(nodes, arc, structure, symmetric=True)
    graph.add_grid_tedges(nodes, np.maximum(unary, 0), np.maximum(-unary, 0))
    return int(graph.maxflow())


def cuts(shape: Index, repeats: int) -> list[Row]:
    rows = []
    for name, seeds in (("opinions", False), ("seeds", True)):
        unary, arcs = cut_problem(shape, seeds=seeds)
        problem = f"max-flow {name} {title(shape)}"
        ours = cut(unary, arcs)
        rivals: dict[str, Callable[[], int]] = {}
        if unary.size <= SCIPY_VOXELS:
            rivals["scipy maximum_flow"] = by_scipy(unary, arcs)
        if here("maxflow"):
            rivals["PyMaxflow"] = lambda unary=unary, arcs=arcs: by_pymaxflow(unary, arcs)  # type: ignore[misc]
        for rival, call in rivals.items():
            theirs, mine = fastest(repeats, call, lambda unary=unary, arcs=arcs: cut(unary, arcs))  # type: ignore[misc]
            rows.append(Row(problem, rival, theirs, mine, f"{call()} ({ours.cost})"))
        band = np.where(
            gaussian_filter(ours.inside.astype(np.float32), 2, mode="nearest") > 0.5, FOREGROUND, BACKGROUND
        )
        edge = np.abs(gaussian_filter(ours.inside.astype(np.float32), 2, mode="nearest") - 0.5) < 0.49
        fixed = np.where(edge, 0, band).astype(np.uint8)
        whole, part = fastest(repeats, lambda: cut(unary, arcs), lambda: cut(unary, arcs, fixed=fixed))  # noqa: B023
        share = f"{100 * edge.mean():.0f} % of the voxels"
        rows.append(Row(f"{problem}, band", "the whole grid", whole, part, share))
    return rows


def walks(shape: Index, repeats: int) -> list[Row]:
    if not here("skimage"):
        return []
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


def geodesics(shape: Index, repeats: int) -> list[Row]:
    """Compare distances from the middle of a noisy ball; FastGeodis with its 4 raster passes, as is usual."""
    image = 10 * ball(shape, 0.1)
    sources = np.zeros(shape, bool)
    sources[tuple(n // 2 for n in shape)] = True
    problem = f"geodesic {title(shape)}"
    rows = []

    def ours(passes: int) -> Callable[[], NDArray[np.float32]]:
        return lambda: geodesic(image[None], sources, passes=passes)

    if image.size <= SCIPY_VOXELS:
        graph, source = by_steps(image), int(np.flatnonzero(sources)[0])
        apart = np.abs(dijkstra(graph, indices=source).reshape(shape) - ours(1000)()).max()
        exact, mine = fastest(repeats, lambda: dijkstra(graph, indices=source), ours(1000))
        rows.append(Row(f"{problem}, exact", "scipy dijkstra", exact, mine, f"differ by at most {apart:.1e}"))
    if here("FastGeodis"):
        raster = by_fastgeodis(image, sources)
        apart = np.abs(raster() - ours(1000)()).mean()
        slow, fast = fastest(repeats, raster, ours(2))
        rows.append(Row(f"{problem}, 2 passes", "FastGeodis", slow, fast, f"differ by {apart:.4f}"))
    exact, two = fastest(repeats, ours(1000), ours(2))
    apart = float(np.mean(ours(2)() - ours(1000)()) / np.mean(ours(1000)()))
    rows.append(Row(f"{problem}, 2 passes", "until nothing changes", exact, two, f"longer by {100 * apart:.2f} %"))
    return rows


def by_steps(image: NDArray[np.float32]) -> coo_array:
    """Return the graph of all steps to neighbours, diagonals included, by their lengths."""
    number = np.arange(image.size).reshape(image.shape)
    steps = offsets(image.shape, diagonal=True)
    starts, ends, lengths = [], [], []
    for step, length in zip(steps, lengths_of(np.asarray(steps), (1, 1, 1)), strict=True):
        near = tuple(slice(max(0, -s), n - max(0, s)) for n, s in zip(image.shape, step, strict=True))
        far = tuple(slice(max(0, s), n - max(0, -s)) for n, s in zip(image.shape, step, strict=True))
        starts.append(number[near].ravel())
        ends.append(number[far].ravel())
        lengths.append(np.sqrt(length**2 + (image[near] - image[far]).ravel() ** 2))
    pairs = (np.concatenate([*starts, *ends]), np.concatenate([*ends, *starts]))
    return coo_array((np.concatenate([*lengths, *lengths]), pairs), shape=(image.size,) * 2).tocsr()


def by_fastgeodis(image: NDArray[np.float32], sources: MaskArray) -> Callable[[], NDArray[np.float32]]:
    import FastGeodis  # type: ignore[import-not-found]
    import torch

    torch.set_num_threads(1)
    flat = len(image) == 1
    grid, seeds = ((a[0] if flat else a)[None, None] for a in (image, np.where(sources, 0, 1).astype(np.float32)))
    voxels, marks = torch.from_numpy(grid), torch.from_numpy(seeds)

    def call() -> NDArray[np.float32]:
        if flat:
            found = FastGeodis.generalised_geodesic2d(voxels, marks, 1e10, 1.0, 2)
        else:
            found = FastGeodis.generalised_geodesic3d(voxels, marks, [1.0, 1.0, 1.0], 1e10, 1.0, 4)
        return np.asarray(found).reshape(image.shape)

    return call


def grabcuts(shape: Index, repeats: int) -> list[Row]:
    """Compare GrabCut from a box on a picture; OpenCV has it in 2D and colour only, 5 rounds as ours."""
    if shape[0] > 1 or not here("cv2"):
        return []
    import cv2  # type: ignore[import-not-found]

    cv2.setNumThreads(1)
    truth = ball(shape, 0) > 0
    noise = np.random.default_rng(0).normal(0, 20, (3, *shape))
    colours = np.where(truth, np.array([150, 90, 60]).reshape(3, 1, 1, 1), 90)
    image = Image((colours + noise).clip(0, 255).astype(np.uint8))
    picture = np.ascontiguousarray(image.voxels[:, 0].transpose(1, 2, 0))
    (_, y, x), (_, h, w) = (tuple(round(n * share) for n in shape) for share in (0.12, 0.88))
    nothing = np.zeros(shape, bool)

    def theirs() -> MaskArray:
        labels = np.zeros(shape[1:], np.uint8)
        rectangle = (x, y, w - x, h - y)
        cv2.grabCut(picture, labels, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
        return np.asarray((labels % 2 == 1)[None])

    workspace = methods.load("grabcut").open(image)

    def ours() -> MaskArray:
        return answer(workspace, [Box((0, y, x), (1, h, w))], nothing).over(nothing)

    slow, fast = fastest(repeats, theirs, ours)
    note = f"Dice {overlap(truth, theirs()):.3f} ({overlap(truth, ours()):.3f})"
    return [Row(f"GrabCut from a box {title(shape)}", "OpenCV", slow, fast, note)]


def fields(shape: Index, repeats: int) -> list[Row]:
    """Compare five rounds of the dense CRF's mean field at the paper's reaches; grey, and colour in 2D."""
    if not here("pydensecrf"):
        return []
    from pydensecrf.densecrf import DenseCRF  # type: ignore[import-not-found]
    from pydensecrf.utils import (  # type: ignore[import-not-found]
        create_pairwise_bilateral,
        create_pairwise_gaussian,
    )

    rows = []
    sides = [n for n in shape if n > 1]
    truth = ball(shape, 0) > 0
    random = np.random.default_rng(0)
    kernels = Kernels(smooth_weight=2, smooth_reach=3, weight=4, reach=30, intensity=5)
    for channels, name in ((1, "grey"), (3, "colour")) if shape[0] == 1 else ((1, "grey"),):
        values = (20 * truth + random.normal(0, 1, (channels, *shape))).astype(np.float32)
        unsure = 0.5 + 0.15 * np.where(truth, 1, -1) + random.normal(0, 0.3, shape)
        probability = np.clip(unsure, 0.02, 0.98).astype(np.float32)
        energies = -np.log(np.stack([1 - probability, probability]).reshape(2, -1))

        def theirs(values=values, energies=energies, channels=channels):  # type: ignore[no-untyped-def]
            field = DenseCRF(truth.size, 2)
            field.setUnaryEnergy(np.ascontiguousarray(energies))
            field.addPairwiseEnergy(create_pairwise_gaussian([3] * len(sides), sides), compat=2)
            looks = values.reshape(channels, *sides)
            alike = create_pairwise_bilateral([30] * len(sides), [5] * channels, looks, chdim=0)
            field.addPairwiseEnergy(alike, compat=4)
            return np.asarray(field.inference(5))[1].reshape(shape)

        def ours(values=values, probability=probability):  # type: ignore[no-untyped-def]
            return densecrf(probability, values, kernels=kernels, rounds=5)

        slow, fast = fastest(repeats, theirs, ours)
        note = f"differ by {np.abs(theirs() - ours()).mean():.4f}"
        rows.append(Row(f"dense CRF {name} {title(shape)}", "pydensecrf2", slow, fast, note))
    return rows


def growths(shape: Index, repeats: int) -> list[Row]:
    """Compare GrowCut's rest state with SciPy's shortest ways, whose lengths are -log g."""
    if np.prod(shape) > SCIPY_VOXELS:
        return []
    image = ball(shape, 0.1)
    seeds = np.zeros(shape, np.uint8)
    seeds[tuple(n // 2 for n in shape)] = FOREGROUND
    seeds[(0, 0, 0)] = BACKGROUND
    number = np.arange(image.size).reshape(shape)
    starts, ends, lengths = [], [], []
    for step in offsets(shape):
        here_ = tuple(slice(0, n - s) for n, s in zip(shape, step, strict=True))
        there = tuple(slice(s, n) for n, s in zip(shape, step, strict=True))
        kept = 1 - np.abs(image[here_] - image[there]) / np.ptp(image)
        starts.append(number[here_].ravel())
        ends.append(number[there].ravel())
        lengths.append(-np.log(np.clip(kept, 1e-6, 1 - 1e-9)).ravel())
    pairs = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_array((np.concatenate(lengths), pairs), shape=(image.size,) * 2).tocsr()
    marked = np.flatnonzero(seeds.ravel())

    def theirs() -> NDArray[np.float64]:
        return np.asarray(dijkstra(graph, directed=False, indices=marked, min_only=True))

    def ours() -> NDArray[np.float32]:
        return growcut(image[None], seeds, diagonal=False).strength

    slow, fast = fastest(repeats, theirs, ours)
    note = f"differ by {np.abs(np.exp(-theirs()).reshape(shape) - ours()).max():.4f}"
    return [Row(f"GrowCut {title(shape)}", "SciPy dijkstra", slow, fast, note)]


def fronts(shape: Index, repeats: int) -> list[Row]:
    """Compare a level set with morphological Chan-Vese: from a small ball, 100 steps or until it no longer moves."""
    if not here("skimage") or np.prod(shape) > CHAN_VESE_VOXELS:
        return []
    from skimage.segmentation import morphological_chan_vese

    truth, image = ball(shape, 0) > 0, ball(shape, 0.3)
    start = np.zeros(shape, bool)
    start[tuple(slice(n // 2 - n // 8, n // 2 + n // 8 + 1) for n in shape)] = True

    def theirs() -> MaskArray:
        return np.asarray(morphological_chan_vese(image.squeeze(), 100, init_level_set=start.squeeze()) > 0)

    def ours() -> MaskArray:
        return levelset(start, 8 * image - 4, image[None] / 0.3, coarse_first=True) > 0

    slow, fast = fastest(repeats, theirs, ours)
    note = f"Dice {overlap(truth, theirs().reshape(shape)):.3f} ({overlap(truth, ours()):.3f})"
    return [Row(f"level set {title(shape)}", "scikit-image", slow, fast, note)]


def mends(shape: Index, repeats: int) -> list[Row]:
    """Measure one click on a mask that is there, whole methods against what is allowed on two cores."""
    allowed = 0.05 if shape[0] == 1 else 0.2
    truth = ball(shape, 0) > 0
    image = Image((100 * ball(shape, 0.3))[None].astype(np.int16))
    rough = np.roll(truth, -max(2, shape[2] // 20), axis=2)
    wrong = np.argwhere(truth & ~rough)
    z, y, x = (int(i) for i in wrong[len(wrong) // 2])
    rows = []
    for name in ("graphcut", "grabcut", "randomwalker", "densecrf", "geos", "growcut", "levelset"):
        workspace = methods.load(name).open(image)
        prompts: list[Prompt] = [Click((z, y, x))]

        def ask(workspace=workspace, prompts=prompts):  # type: ignore[no-untyped-def]
            return answer(workspace, prompts, rough).over(rough)

        (mine,) = fastest(repeats, ask)
        note = f"Dice {overlap(truth, rough):.3f} to {overlap(truth, ask()):.3f}"
        rows.append(Row(f"{name}, one click {title(shape)}", "allowed", allowed, mine, note))
    return rows


def overlap(truth: MaskArray, mask: MaskArray) -> float:
    return float(2 * (truth & mask).sum() / (truth.sum() + mask.sum()))


def title(shape: Index) -> str:
    return "x".join(str(n) for n in shape if n > 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="only the small grids, a few seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    if not options.json:
        for module, name in RIVALS.items():
            if not here(module):
                print(f"{name} is not installed and left out")
        print(f"{'problem':44} {'beside':20} {'theirs s':>9} {'ours s':>9} {'ratio':>7}  theirs (ours)")
    for shape in SMALL if options.small else SMALL + LARGE:
        for compare in (cuts, geodesics, walks, grabcuts, fields, growths, fronts, mends):
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
