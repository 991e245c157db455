"""From a request to a prediction: find the crop that holds the object, solve in it, learn, solve again.

A solver is a function from a `SolverInput` to the probability of every cell to be inside. The crop starts small round
what is marked and grows while the answer touches its border, so a click in a lesion stays a lesion and
a click in a liver becomes a liver; when no crop holds it, the one whose border is touched least is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, label

from segmend.classical.solvers.unary import (
    Request,
    SolverInput,
    crop_view,
    full_resolution_input,
    solver_input,
    with_appearance,
)
from segmend.core.image import Box, Image, MaskArray, Real, bounds
from segmend.core.seeds import FOREGROUND
from segmend.core.segmenter import Prediction

Solver = Callable[[SolverInput], Real]  # -> [z y x] the probability of each cell

FIRST_MARGIN = 12.0  # of the finest voxel side
LAST_MARGIN = 200.0
TOUCHED = 0.03  # the share of the border's cells that may be inside
COARSER = 4  # how many times fewer cells serve to find the crop
FULL = {2: 0.35, 3: 0.18}  # the share of a crop that an object may fill before it is uncertain
ROUNDS = 2  # of solving and learning the appearance, for a first answer


@dataclass(frozen=True, eq=False)
class Answer:
    """A solver's input and the probabilities of its cells."""

    case: SolverInput
    probability: Real  # [z y x]

    @property
    def inside(self) -> MaskArray:
        return np.asarray(self.probability > 0.5)


def zoom(
    image: Image, request: Request, solver: Solver, *, most: int, rounds: int = ROUNDS, finder: Solver | None = None
) -> Answer | None:
    """Return the answer in the crop that fits best; None when no prompt tells where the object is.

    Crops are compared on coarse grids; the best is then solved on at most `most` cells. A solver that learns the
    appearance itself needs one round. A `finder`, quicker than the solver, compares crops in its place, on as many.
    """
    target = _target(request)
    if target is None:
        return None
    crops = _crops(image, request, target)
    box = crops[0]
    if len(crops) > 1:
        comparing, cells = (solver, most // COARSER) if finder is None else (finder, most)
        answers = [
            _solve_and_learn(solver_input(crop_view(image, crop, most=cells), request), comparing, rounds)
            for crop in crops
        ]
        box = crops[int(np.argmax([_fitness(answer) for answer in answers]))]
    return _solve_and_learn(solver_input(crop_view(image, box, most=most), request), solver, rounds)


def _solve_and_learn(case: SolverInput, solver: Solver, rounds: int) -> Answer:
    """Return the answer; without a mask so far, after learning the appearance from the first answer."""
    answer = _solve(case, solver)
    if case.request.known is not None:
        return answer
    for _ in range(rounds - 1):
        inside = answer.inside
        answer = _solve(with_appearance(case, inside, ~inside), solver)
    return answer


def _fitness(answer: Answer) -> float:
    """Return how much the values at the mask's border differ from those around it, in standard deviations.

    A mask that fills much of its crop or touches the crop's border has probably leaked; one of a few voxels
    may differ by chance.
    """
    inside, values = answer.inside, answer.case.view.values
    within = inside & ~binary_erosion(inside, iterations=2, border_value=1)
    around = binary_dilation(inside, iterations=2) & ~inside
    if not within.any() or not around.any():
        return -1.0
    a, b = values[:, within], values[:, around]
    spread = np.sqrt((a.var(axis=1) + b.var(axis=1)) / 2 + 0.25)
    contrast = float(np.linalg.norm((a.mean(axis=1) - b.mean(axis=1)) / spread))
    flat = values.shape[1] == 1
    radius = (int(inside.sum()) * float(np.prod(answer.case.view.stride))) ** (1 / 2 if flat else 1 / 3)
    leak = float(inside.mean()) / (FULL[2] if flat else FULL[3])
    touching = 0.2 if _share_at_border(answer.case, inside) > TOUCHED else 1.0
    size = 1 - np.exp(-radius / 4) + 0.02 * radius
    return float(contrast * size * np.exp(-(leak**2)) * touching)


def _target(request: Request) -> Box | None:
    """Return the box of everything that the object is known to reach, or the frame it lies in."""
    target = request.frame
    if target is None and request.known is not None:
        target = bounds(request.start)
    if len(request.positive):
        low, high = request.positive.min(axis=0), request.positive.max(axis=0) + 1
        marked = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
        target = marked if target is None else target.union(marked)
    return target


def _crops(image: Image, request: Request, target: Box) -> list[Box]:
    """Return ever larger crops round the target."""
    spacing = image.spacing / image.spacing.min()
    size = float((np.asarray(target.shape) * spacing).max())
    if request.frame is not None:
        return [target.grown(_margin(4 + 0.15 * size, spacing)).clipped(image.shape)]
    if request.known is not None:
        return [target.grown(_margin(max(FIRST_MARGIN, 0.5 * size), spacing)).clipped(image.shape)]
    margin = FIRST_MARGIN + 0.25 * size
    crops: list[Box] = []
    while margin <= max(LAST_MARGIN, FIRST_MARGIN + size):
        crop = target.grown(_margin(margin, spacing)).clipped(image.shape)
        if crops and crop == crops[-1]:
            break
        crops.append(crop)
        margin *= 2
    return crops


def _margin(length: float, spacing: np.ndarray) -> tuple[int, int, int]:
    z, y, x = (max(2, round(length / s)) for s in spacing)
    return z, y, x


def _solve(case: SolverInput, solver: Solver) -> Answer:
    probability = solver(case)
    keep = connected(probability > 0.5, case)
    probability = np.where(keep, probability, np.minimum(probability, np.float32(0.49)))
    return Answer(case, probability)


def connected(inside: MaskArray, case: SolverInput) -> MaskArray:
    """Return the parts of a mask that hold a positive mark or much of the mask so far."""
    parts, count = label(inside)
    if count <= 1:
        return inside
    anchors = case.pinned == FOREGROUND
    if case.request.known is not None:
        anchors = anchors | case.view.shrunk(case.request.start)
    elif not anchors.any():  # a frame alone: the largest part
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        return np.asarray(parts == sizes.argmax())
    wanted = np.zeros(count + 1, bool)
    wanted[np.unique(parts[anchors])] = True
    wanted[0] = False
    return np.asarray(wanted[parts])


def _share_at_border(case: SolverInput, inside: MaskArray) -> float:
    """Return the share of cells just within the crop's open border that are inside."""
    touching, cells = 0, 0
    for axis, sides in enumerate(case.view.open_sides):
        faces = np.moveaxis(inside, axis, 0)
        if len(faces) < 3:
            continue
        for is_open, face in zip(sides, (faces[1], faces[-2]), strict=True):
            if is_open:
                touching += int(face.sum())
                cells += face.size
    return touching / cells if cells else 0.0


def at_full_resolution(image: Image, answer: Answer, fine: Solver | None = None) -> tuple[Box, Real]:
    """Return an answer's probabilities at full resolution, and their box in the image.

    `fine` solves again in the band round the boundary; without it they are interpolated between cells.
    """
    view = answer.case.view
    box = view.box if view.stride == (1, 1, 1) else _full_resolution_box(answer)
    if view.stride == (1, 1, 1):
        return box, answer.probability
    if fine is None:
        return box, _interpolate(answer, box)
    case = full_resolution_input(image, answer.case, answer.inside, box)
    probability = fine(case)
    return box, np.where(connected(probability > 0.5, case), probability, np.minimum(probability, np.float32(0.49)))


def _full_resolution_box(answer: Answer) -> Box:
    """Return the box of voxels round the mask of cells, two cells wider, and round the marks."""
    view = answer.case.view
    marked = answer.case.pinned == FOREGROUND
    inner = bounds(answer.inside | marked) or Box((0, 0, 0), (1, 1, 1))
    low, high = np.asarray(inner.low) - 2, np.asarray(inner.high) + 2
    low, high = low * view.stride + view.box.low, high * view.stride + view.box.low
    z, y, x = (int(v) for v in low)
    d, h, w = (int(v) for v in high)
    return Box((z, y, x), (d, h, w)).intersection(view.box)


def _interpolate(answer: Answer, box: Box) -> Real:
    """Return the probabilities of cells as those of voxels, linear between the cells' centres."""
    view, probability = answer.case.view, answer.probability
    for axis, step in enumerate(view.stride):
        voxels = np.arange(box.low[axis], box.high[axis]) - view.box.low[axis]
        location = np.clip((voxels + 0.5) / step - 0.5, 0, probability.shape[axis] - 1)
        before = location.astype(np.intp)
        behind = np.minimum(before + 1, probability.shape[axis] - 1)
        part = (location - before).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        probability = probability.take(before, axis) * (1 - part) + probability.take(behind, axis) * part
    return np.asarray(probability, np.float32)


def whole_prediction(
    image: Image, answer: Answer | None, request: Request, previous: MaskArray, fine: Solver | None
) -> Prediction:
    """Return the prediction for the whole image: the answer where there is one, empty elsewhere."""
    box = bounds(previous) or Box((0, 0, 0), (0, 0, 0))
    for points in (request.positive, request.negative):
        if len(points):
            low, high = points.min(axis=0).tolist(), (points.max(axis=0) + 1).tolist()
            box = box.union(Box(tuple(low), tuple(high)))
    if answer is None:
        box = box if box.size else Box((0, 0, 0), (1, 1, 1))
        return Prediction(np.zeros(box.shape, np.float32), box)
    solved, probability = at_full_resolution(image, answer, fine)
    inner = bounds(probability > 0.5)
    if inner is not None:
        inner = inner.grown(2).clipped(solved.shape)
        probability = probability[inner.slices]
        (z, y, x), (d, h, w) = (np.asarray(corner) + solved.low for corner in (inner.low, inner.high))
        solved = Box((int(z), int(y), int(x)), (int(d), int(h), int(w)))
    box = box.union(solved)
    whole = np.zeros(box.shape, np.float32)
    whole[solved.within(box)] = probability
    return Prediction(whole, box)
