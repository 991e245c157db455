"""The input of a solver: a crop on a grid, its marked voxels, and the unary of the others.

`crop_view` takes a crop of the image onto a grid, coarser where the crop is large, so that time depends on neither the
image's nor the object's size. `solver_input` turns a request into a `SolverInput`: voxels that are pinned to a label,
and for the others `unary`, the logits of being inside. The unary is a sum of

- appearance: the log likelihood ratio of the voxel's values inside and outside, learnt from marks and the mask so far;
- location: without a mask so far, whether the geodesic distance is shorter to a positive mark or to the background
  (negative marks and the crop's border);
- the mask so far, except near a mark that contradicts it, where the mark counts instead. The range of a mark follows
  from its distance to the mask's boundary: a mark deep in an error means a large error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from segmend.classical.solvers.mixture import Density, fit
from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds, three
from segmend.core.marks import Points, marks
from segmend.core.prompts import Lasso, Mask, Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.solvers.edges import noise
from segmend.solvers.geodesic import geodesic

# The largest unary of appearance, in logits.
APPEARANCE_LIMIT = 4.0
# The weight of the log likelihood ratio of one voxel.
LIKELIHOOD_WEIGHT = 1.0
# The largest unary of location, in logits: at a positive mark.
LOCATION_LIMIT = 1.5
# The unary of the mask so far: this inside, minus this outside.
PREVIOUS_LOGIT = 2.0
# The unary at a mark that contradicts the mask so far.
MARK_LOGIT = 3.0
# What is subtracted from the unary at the image's own border.
BORDER_LOGIT = 1.0
# The voxels by which a change of one noise lengthens a step of a geodesic path.
CONTRAST = 0.5
# The distance, in ranges of a mark, beyond which its weight (a ten-thousandth there) is 0.
MARK_RANGE = 3.0
# The voxels round a positive mark from which the object's appearance is learnt.
MARK_RADIUS = 2


@dataclass(frozen=True, eq=False)
class Request:
    """The prompts and the mask so far, as voxels of the whole image."""

    positive: Points
    negative: Points
    start: MaskArray  # [z y x] the mask so far, with a mask or lasso that has just come
    known: Box | None  # where `start` is given; None for nowhere
    frame: Box | None  # the object lies inside


def request_of(prompts: Sequence[Prompt], previous: MaskArray) -> Request:
    """Return the request that these prompts, oldest first, and the mask so far make."""
    positive, negative = marks(prompts, previous.shape)
    start = previous
    known = bounds(previous) and Box((0, 0, 0), previous.shape)
    match prompts[-1] if prompts else None:
        case Mask() as mask:
            start = np.zeros_like(previous)
            start[mask.box.slices] = mask.inside
            known = bounds(start) and Box((0, 0, 0), previous.shape)
        case Lasso() as lasso:
            start = previous.copy()
            area = inside_of(lasso, previous.shape)
            start[area] = lasso.positive
            known = known or (bounds(start) and _lasso_plane(lasso, previous.shape))
        case _:
            pass
    frames = [prompt for prompt in prompts if isinstance(prompt, Box)]
    return Request(positive, negative, start, known, _through_volume(frames[-1], previous.shape) if frames else None)


def inside_of(lasso: Lasso, shape: Sequence[int]) -> MaskArray:
    """Return the voxels inside a lasso, its line included.

    Pillow's polygons, not `core.marks.fill_lasso`: on slanted sides the two differ by single pixels, and the masks
    that these methods are compared by were made with Pillow's.

    >>> inside_of(Lasso(((0, 0, 0), (0, 0, 2), (0, 2, 2), (0, 2, 0))), (1, 3, 4))[0].astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 0],
           [1, 1, 1, 0]])
    """
    from PIL import Image as Picture
    from PIL import ImageDraw

    rows, columns = (axis for axis in range(3) if axis != lasso.axis)
    picture = Picture.new("1", (shape[columns], shape[rows]))
    line = [(point[columns], point[rows]) for point in lasso.points]
    draw = ImageDraw.Draw(picture)
    if len(line) > 2:
        draw.polygon(line, fill=1, outline=1)
    else:
        draw.line(line, fill=1)
        draw.point(line, fill=1)
    area = np.zeros(shape, bool)
    where: list[int | slice] = [slice(None)] * 3
    where[lasso.axis] = lasso.points[0][lasso.axis]
    area[tuple(where)] = np.asarray(picture)
    return area


def _lasso_plane(lasso: Lasso, shape: Sequence[int]) -> Box:
    low, high = [0, 0, 0], list(shape)
    low[lasso.axis] = lasso.points[0][lasso.axis]
    high[lasso.axis] = low[lasso.axis] + 1
    return Box.of(low, high)


def _through_volume(frame: Box, shape: Sequence[int]) -> Box:
    """Return the frame; one drawn in a single plane of a volume holds through the whole depth."""
    if frame.size == 0:
        return frame
    sides = zip(frame.low, frame.high, shape, strict=True)
    low, high = zip(*((0, n) if high - low == 1 else (low, high) for low, high, n in sides), strict=True)
    return Box.of(low, high)


@dataclass(frozen=True, eq=False)
class View:
    """A crop of the image on a grid whose cells are blocks of voxels."""

    box: Box
    stride: Index
    values: Real  # [c z y x] of the cells, in units of the noise
    spacing: tuple[float, float, float]  # of the cells; the smallest is 1
    open_sides: tuple[tuple[bool, bool], ...]  # an axis: where the image goes on beyond the crop
    middle: Real  # [c] what value 0 was in the image
    unit: Real  # [c] and what 1 was

    @property
    def shape(self) -> Index:
        _, z, y, x = self.values.shape
        return z, y, x

    def cells(self, points: Points) -> Points:
        """Return the cells of those points that lie in the crop."""
        low, high = np.asarray(self.box.low), np.asarray(self.box.high)
        here = ((points >= low) & (points < high)).all(axis=1)
        return np.asarray((points[here] - low) // np.asarray(self.stride), np.intp)

    def shrunk(self, mask: MaskArray) -> MaskArray:
        """Return a mask of the whole image on the cells: true where at least half of the block is."""
        return np.asarray(_blocks(mask[self.box.slices][None].astype(np.float32), self.stride)[0] >= 0.5)

    def enlarged(self, cells: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return values of cells as values of the crop's voxels."""
        for axis, step in enumerate(self.stride):
            if step > 1:
                cells = np.repeat(cells, step, axis=axis)
        z, y, x = self.box.shape
        return cells[:z, :y, :x]


def crop_view(image: Image, box: Box, *, most: int) -> View:
    """Return a crop on a grid of at most about `most` cells, as near to cubes as doubling makes them."""
    stride, spacing = [1, 1, 1], image.spacing / image.spacing.min()
    while box.size > most * np.prod(stride):
        sides = [s * k if n > k else np.inf for s, k, n in zip(spacing, stride, box.shape, strict=True)]
        stride[int(np.argmin(sides))] *= 2
    steps = (stride[0], stride[1], stride[2])
    values = _blocks(image.voxels[(slice(None), *box.slices)].astype(np.float32), steps)
    unit = np.maximum(noise(values), np.maximum(0.01 * np.ptp(values, axis=(1, 2, 3)), 1e-6))
    middle = np.median(values.reshape(len(values), -1), axis=1)
    cell = spacing * stride
    return _view(image, box, steps, values, three(cell / cell.min()), middle, unit)


def full_resolution_view(image: Image, view: View, box: Box) -> View:
    """Return a crop at full resolution whose values are in the units of `view`."""
    values = image.voxels[(slice(None), *box.slices)].astype(np.float32)
    spacing = three(image.spacing / image.spacing.min())
    return _view(image, box, (1, 1, 1), values, spacing, view.middle, view.unit)


def _view(
    image: Image, box: Box, stride: Index, values: Real, spacing: tuple[float, float, float], middle: Real, unit: Real
) -> View:
    values = (values - middle[:, None, None, None]) / unit[:, None, None, None]
    sides = tuple((low > 0, high < n) for low, high, n in zip(box.low, box.high, image.shape, strict=True))
    return View(box, stride, values.astype(np.float32), spacing, sides, middle, unit)


def _blocks(values: Real, stride: Index) -> Real:
    """Return the means of blocks; those at the far end may be smaller."""
    for axis, step in enumerate(stride, start=1):
        if step > 1:
            lines = np.moveaxis(values, axis, 0)
            total = lines[::step].copy()
            for part in (lines[k::step] for k in range(1, step)):
                total[: len(part)] += part
            sizes = np.minimum(step, len(lines) - np.arange(0, len(lines), step)).astype(np.float32)
            values = np.moveaxis(total / sizes[:, None, None, None], 0, axis)
    return values


@dataclass(frozen=True, eq=False)
class SolverInput:
    """What a solver gets: a crop, its pinned cells, and the unary of the others."""

    view: View
    pinned: NDArray[np.uint8]  # [z y x]
    unary: Real  # [z y x] logits of being inside
    request: Request
    location: Real  # [z y x] the unary without appearance: location and the mask so far
    appearance_weight: Real  # [z y x] the weight of appearance, 0 to 1: 0 at a mark that contradicts the mask so far
    outside: Density | None = None
    inside: Density | None = None


def solver_input(view: View, request: Request) -> SolverInput:
    """Return the solver's input for a request in a view."""
    pinned = _pin_marks(view, request)
    start = view.shrunk(request.start) if request.known is not None else np.zeros(view.shape, bool)
    location, appearance_weight = _location_unary(view, request, pinned, start)
    object_cells = np.zeros(view.shape, bool)
    for z, y, x in view.cells(request.positive):
        object_cells[_near(z), _near(y), _near(x)] = True
    background_cells = np.ones(view.shape, bool)
    if start.any():
        object_cells |= location > 0
        background_cells = location < 0
    elif request.frame is not None:
        core, background_cells = _split_by_box(view, request.frame)
        object_cells |= core
    background_cells[pinned == BACKGROUND] = True
    object_cells &= pinned != BACKGROUND
    return with_appearance(
        SolverInput(view, pinned, location, request, location, appearance_weight), object_cells, background_cells
    )


def with_appearance(case: SolverInput, object_cells: MaskArray, background_cells: MaskArray) -> SolverInput:
    """Return the input with the unary of appearance, learnt from these cells inside and those outside."""
    found = densities(case.view, object_cells, background_cells)
    return case if found is None else _with_densities(case, *found)


def densities(view: View, object_cells: MaskArray, background_cells: MaskArray) -> tuple[Density, Density] | None:
    """Return the densities of values inside and outside, learnt from these cells; None without cells of both."""
    values = view.values
    if not object_cells.any() or not background_cells.any():
        return None
    channels = len(values)
    low, high = values.min(axis=(1, 2, 3)), values.max(axis=(1, 2, 3)) + np.float32(1e-3)
    spread = np.ones(channels, np.float32)  # values come in units of the noise
    inner, outer = values[:, object_cells].T, values[:, background_cells].T
    inside = fit(inner, low=low, high=high, spread=_width(inner, spread))
    outside = fit(outer, low=low, high=high, spread=spread, count=6)
    return inside, outside


def _with_densities(case: SolverInput, inside: Density, outside: Density) -> SolverInput:
    unary = case.location + case.appearance_weight * appearance_logits(case.view.values, inside, outside)
    return replace(case, unary=unary, inside=inside, outside=outside)


def appearance_logits(values: Real, inside: Density, outside: Density) -> Real:
    """Return the log likelihood ratio of the values, limited to APPEARANCE_LIMIT either way."""
    ratio = inside.log_density(values) - outside.log_density(values)
    return np.asarray(APPEARANCE_LIMIT * np.tanh(LIKELIHOOD_WEIGHT * ratio / APPEARANCE_LIMIT))


def full_resolution_input(image: Image, case: SolverInput, mask: MaskArray, box: Box) -> SolverInput:
    """Return the input at full resolution in `box`, everything pinned but a band round the mask of its cells."""
    view = full_resolution_view(image, case.view, box)
    origin = np.asarray(box.low) - case.view.box.low
    cut = tuple(slice(o, o + n) for o, n in zip(origin, box.shape, strict=True))
    around = binary_dilation(mask, np.ones((3, 3, 3))) & ~binary_erosion(mask, np.ones((3, 3, 3)), border_value=1)
    cells = np.where(around, UNKNOWN, np.where(mask, FOREGROUND, BACKGROUND)).astype(np.uint8)
    pinned = np.asarray(case.view.enlarged(cells)[cut], np.uint8).copy()
    location, appearance_weight = (
        np.asarray(case.view.enlarged(cells)[cut], np.float32) for cells in (case.location, case.appearance_weight)
    )
    for points, sign in ((case.request.positive, FOREGROUND), (case.request.negative, BACKGROUND)):
        for z, y, x in view.cells(points):
            near = pinned[_near(z), _near(y), _near(x)]
            near[near != sign] = UNKNOWN
    for points, sign in ((case.request.positive, FOREGROUND), (case.request.negative, BACKGROUND)):
        pinned[tuple(view.cells(points).T)] = sign
    fine = SolverInput(view, pinned, location, case.request, location, appearance_weight)
    if case.inside is None or case.outside is None:
        return fine
    return _with_densities(fine, case.inside, case.outside)


def _width(samples: Real, spread: Real) -> Real:
    """Return the blur for few samples (Silverman's rule), at least the noise."""
    deviation = samples.std(axis=0)
    return np.asarray(np.maximum(spread, 1.06 * deviation * len(samples) ** -0.2), np.float32)


def _near(i: int) -> slice:
    return slice(max(0, int(i) - MARK_RADIUS), int(i) + MARK_RADIUS + 1)


def _pin_marks(view: View, request: Request) -> NDArray[np.uint8]:
    pinned = np.zeros(view.shape, np.uint8)
    if request.frame is not None:
        pinned[:] = BACKGROUND
        low, high = np.asarray(request.frame.low), np.asarray(request.frame.high)
        a = np.maximum(0, (low - view.box.low) // np.asarray(view.stride))
        b = np.maximum(0, -((view.box.low - high) // np.asarray(view.stride)))
        pinned[a[0] : b[0], a[1] : b[1], a[2] : b[2]] = UNKNOWN
    for axis, (before, behind) in enumerate(view.open_sides):
        faces = np.moveaxis(pinned, axis, 0)
        if before:
            faces[0] = BACKGROUND
        if behind:
            faces[-1] = BACKGROUND
    positive, negative = view.cells(request.positive), view.cells(request.negative)
    shared = np.zeros(view.shape, np.uint8)
    shared[tuple(positive.T)] |= 1
    shared[tuple(negative.T)] |= 2
    pinned[shared == 1] = FOREGROUND
    pinned[shared == 2] = BACKGROUND
    pinned[shared == 3] = UNKNOWN  # a coarse cell with marks of both kinds is left to the fine grid
    return pinned


def _split_by_box(view: View, frame: Box) -> tuple[MaskArray, MaskArray]:
    """Return the middle of a frame, where the object must be, and what lies outside it."""
    low = (np.asarray(frame.low) - view.box.low) / view.stride
    high = (np.asarray(frame.high) - view.box.low) / view.stride
    middle, half = (low + high - 1) / 2, np.maximum((high - low) / 2, 0.5)
    axes = np.ogrid[tuple(slice(0, n) for n in view.shape)]
    away = [((axis - m) / h) ** 2 for axis, m, h in zip(axes, middle, half, strict=True)]
    radius = np.broadcast_to(away[0] + away[1] + away[2], view.shape)
    beyond = np.broadcast_to(np.maximum(np.maximum(away[0], away[1]), away[2]) > 1.0, view.shape)
    return radius < 0.35, (beyond if beyond.any() else radius > 1.0).copy()


def _location_unary(view: View, request: Request, pinned: NDArray[np.uint8], start: MaskArray) -> tuple[Real, Real]:
    """Return the unary without appearance, and the weight of appearance."""
    appearance_weight = np.ones(view.shape, np.float32)
    location = np.zeros(view.shape, np.float32)
    for axis, (before, behind) in enumerate(view.open_sides):
        faces = np.moveaxis(location, axis, 0)
        if view.shape[axis] > 2 and request.known is None:
            faces[0] -= 0 if before else BORDER_LOGIT
            faces[-1] -= 0 if behind else BORDER_LOGIT
    if request.known is None:
        return location + _nearness_logits(view, pinned), appearance_weight
    previous = np.where(start, PREVIOUS_LOGIT, -PREVIOUS_LOGIT).astype(np.float32)
    if request.known.shape != request.start.shape:  # a lasso in one plane holds for that plane
        unknown = np.ones(request.start.shape, bool)
        unknown[request.known.slices] = False
        previous[view.shrunk(unknown)] = 0
    contradictions = [
        (s, w) for s, w in ((1, (pinned == FOREGROUND) & ~start), (-1, (pinned == BACKGROUND) & start)) if w.any()
    ]
    previous_weight = 1.0
    for sign, wrong in contradictions:
        reach, depth = _mark_reach(view, start, wrong)
        away = _geodesic_distance(view, wrong, MARK_RANGE * reach)
        near = np.exp(-((away / reach) ** 2))
        previous = previous * (1 - near) + sign * MARK_LOGIT * near
        appearance_weight *= 1 - near
        if sign > 0:
            previous_weight = min(1.0, (depth / reach) ** 2)
    if previous_weight < 1:
        previous = previous_weight * previous + (1 - previous_weight) * _nearness_logits(view, pinned)
    return np.asarray(location + previous, np.float32), appearance_weight


def _nearness_logits(view: View, pinned: NDArray[np.uint8]) -> Real:
    """Return the limit of location at positive marks, minus it at the background, 0 halfway, by geodesic distance."""
    inside, outside = pinned == FOREGROUND, pinned == BACKGROUND
    if not inside.any() or not outside.any():
        return np.zeros(view.shape, np.float32)
    near = geodesic(view.values, inside, spacing=view.spacing, contrast=CONTRAST, passes=2)
    far = geodesic(view.values, outside, spacing=view.spacing, contrast=CONTRAST, passes=2)
    return np.asarray(LOCATION_LIMIT * (far - near) / np.maximum(far + near, 1e-6), np.float32)


def _geodesic_distance(view: View, wrong: MaskArray, far: float) -> Real:
    """Return the geodesic distance from these marks, infinite where even the straight distance is longer than `far`."""
    near = bounds(wrong)
    assert near is not None
    z, y, x = (int(np.ceil(far / side)) for side in view.spacing)
    near = near.grown((z, y, x)).clipped(view.shape)
    away = np.full(view.shape, np.inf, np.float32)
    values = view.values[(slice(None), *near.slices)]
    away[near.slices] = geodesic(values, wrong[near.slices], spacing=view.spacing, contrast=CONTRAST, passes=2)
    return away


def _mark_reach(view: View, start: MaskArray, wrong: MaskArray) -> tuple[float, float]:
    """Return the range of these marks, 1.5 times their distance to the boundary, and the mask's half width."""
    if not start.any():
        return min(1.5 * 8.0 + 2.0, 40.0), 2.0
    box = bounds(start | wrong)
    assert box is not None
    box = box.grown(1).clipped(start.shape)  # no nearest voxel is farther out
    start, wrong = start[box.slices], wrong[box.slices]
    depth = distance_transform_edt(start, sampling=view.spacing)
    edge = depth if start[wrong][0] else distance_transform_edt(~start, sampling=view.spacing)
    return min(1.5 * float(edge[wrong].max()) + 2.0, 40.0), 2 * float(depth.max()) + 2.0
