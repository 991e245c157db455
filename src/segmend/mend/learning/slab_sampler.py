"""What the networks for slabs learn from: planes of pictures and volumes, and images drawn from any label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Real
from segmend.core.prompts import Click
from segmend.learning.augment import augment_intensity, random_grid, warp
from segmend.learning.drawn.painted import paint
from segmend.learning.drawn.synthetic import add_layers, paste_object, similar_region, smooth_field
from segmend.learning.perturb import add_local_error, blur_mask, perturb_mask
from segmend.learning.slices import CasePool
from segmend.learning.subjects import Subject
from segmend.mend.learning.plane import (
    MIN_OBJECT_PIXELS,
    drawn_view,
    initial_mask,
    places,
    slice_axis,
    window_on_part,
    window_round,
)
from segmend.mend.learning.slab_games import SlabGame, correcting_user, opening_user
from segmend.mend.slab_networks import CELLS
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import colour_or_grey
from segmend.sampling.slab import fade, neighbour_channel, slab_image_channels
from segmend.sampling.window import Window, cells_on_plane, resample_to_grid

GRID = Window(0, 0, CELLS, CELLS)  # the network's input as a window of its own
# How many pictures a volume counts for when sets are drawn: it holds many planes, which are alike.
VOLUME_WEIGHT = 16.0
CARRIED_SHARE = 0.35  # of the games on slabs that have neighbours, those that begin with a neighbour's mask
STARTED_SHARE = 0.22  # of the other games, those that begin with another's mask
MARKED_ELSEWHERE_SHARE = 0.25  # of the games on slabs that have neighbours, those with marks in another plane
OBLIQUE_SHARE = 0.15  # of the planes of volumes whose voxels are about cubes
LARGEST_STEP_CELLS = 4.0  # between neighbouring planes, where slices are thinner

Flat = NDArray[np.bool_]  # [n n]


@dataclass(frozen=True, eq=False)
class Slab:
    """A plane with its object, and what is known of the planes beside it."""

    planes: Real  # [1|3 n n]
    truth: Flat
    valid: Flat  # the cells that lie on the image
    beside: Real | None = None  # [2 n n] the planes before and behind
    near: Flat | None = None  # the object in the plane before or behind, whichever is carried on from
    near_cells: float = 0.0  # how far away that is
    far: Flat | None = None  # the object in a plane further away, where other marks may lie
    far_cells: float = 0.0
    start: Flat | None = None
    group: str = ""
    value: int = 0


@dataclass(frozen=True, eq=False)
class SlabSampler:
    """Draws games by number: the same number is the same game in any process."""

    subjects: Sequence[Subject]
    settings: Any
    pool: CasePool = field(init=False)  # with images
    maps: CasePool = field(init=False)  # of all label maps

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", CasePool([one for one in self.subjects if one.has_image], VOLUME_WEIGHT))
        object.__setattr__(self, "maps", CasePool(self.subjects, VOLUME_WEIGHT))

    def __getitem__(self, number: int) -> SlabGame:
        rng = np.random.default_rng((self.settings.seed, number))
        for _ in range(8):
            slab = _cut_by_border(rng, _augment_geometry(rng, self._slab(rng)))
            if slab.truth.sum() >= MIN_OBJECT_PIXELS or (slab.near is not None and slab.near.any()):
                break
        slab = _augment_tones(rng, slab)
        return _game(rng, slab)

    def _slab(self, rng: np.random.Generator) -> Slab:
        s, drawn = self.settings, rng.random()
        if (not self.pool.groups and not self.maps.groups) or drawn < s.synthetic:
            view = drawn_view(rng)
            return Slab(view.picture, view.truth, view.valid)
        if self.maps.groups and drawn < s.synthetic + s.painted:
            return _painted(rng, self.maps.draw(rng))
        slab = _real(rng, self.pool.draw(rng))
        kind = rng.random()
        if kind < s.regions:
            region = similar_region(rng, slab.planes)
            if region is not None:
                return replace(_alone(slab), truth=region & slab.valid)
        elif kind < s.regions + s.pasted:
            image, truth = paste_object(rng, slab.planes, CELLS)
            return replace(_alone(slab), planes=image, truth=truth & slab.valid)
        elif kind < s.regions + s.pasted + s.layered and slab.truth.any():
            ripple = smooth_field(rng, int(rng.integers(2, 6)), CELLS)
            image, truth = add_layers(rng, slab.planes, slab.truth, ripple)
            return replace(_alone(slab), planes=image, truth=truth & slab.valid)
        return slab


def _alone(slab: Slab) -> Slab:
    """Return a slab's middle plane as a picture, whose object will be another one."""
    return Slab(slab.planes, slab.truth, slab.valid)


def _values(rng: np.random.Generator, subject: Subject) -> list[int]:
    """Return the labels that make the object: mostly one, sometimes two or all."""
    found = list(places(subject))
    if subject.instances or len(found) == 1 or rng.random() < 0.8:
        return [found[int(rng.integers(len(found)))]]
    if rng.random() < 0.5:
        return found
    return sorted(int(value) for value in rng.choice(found, 2, replace=False))


def _object(labels: NDArray[np.integer], values: Sequence[int]) -> Flat:
    return labels == values[0] if len(values) == 1 else np.isin(labels, values)


def _plane(subject: Subject, axis: int, index: int, values: Sequence[int]) -> Flat:
    return _object(np.take(subject.labels, index, axis), values)


@dataclass(frozen=True)
class _Place:
    """Where a slab lies: a window of a plane, its neighbours' indices, and their distance in cells."""

    axis: int
    index: int
    step: int
    window: Window
    cells: float  # from one plane of the slab to the next


def _place(rng: np.random.Generator, subject: Subject, values: Sequence[int]) -> tuple[_Place, Flat, bool]:
    """Return where to look, the object in the middle plane there, and whether it is a part of the object."""
    axis = slice_axis(rng, subject.image)
    found = places(subject)
    low = min(found[value][axis].start for value in values)
    high = max(found[value][axis].stop for value in values)
    box = tuple(slice(min(found[v][a].start for v in values), max(found[v][a].stop for v in values)) for a in range(3))
    areas = _object(subject.labels[box], values).sum(axis=tuple(a for a in range(3) if a != axis))
    at = low + int(rng.choice(np.flatnonzero(areas >= min(MIN_OBJECT_PIXELS, areas.max()))))
    plane = _plane(subject, axis, at, values)
    aspect = float(np.divide(*np.delete(subject.image.spacing, axis)))
    partial = window_on_part(rng, plane, aspect) if rng.random() < 0.2 else None
    window = partial or window_round(rng, plane, aspect)
    spacing = subject.image.spacing
    cell = window.width / CELLS * float(np.delete(spacing, axis)[1])
    count, step = subject.labels.shape[axis], 1
    if rng.random() < 0.5:
        step = max(1, round(rng.uniform(0.5, LARGEST_STEP_CELLS) * cell / float(spacing[axis])))
    if count > 1 and rng.random() < 0.12:  # a plane just beyond the object's end: carrying must stop there
        at = low - step if rng.random() < 0.5 else high - 1 + step
        at = min(max(at, 0), count - 1)
        plane = _plane(subject, axis, at, values)
    return _Place(axis, at, step, window, step * float(spacing[axis]) / cell), plane, partial is not None


def _real(rng: np.random.Generator, subject: Subject) -> Slab:
    values = _values(rng, subject)
    image = subject.image
    if not image.flat and image.thick_axis is None and rng.random() < OBLIQUE_SHARE:
        return _oblique(rng, subject, values)
    place, plane, partial = _place(rng, subject, values)
    axis, count, window = place.axis, image.shape[place.axis], place.window
    channel = 0 if image.flat else int(rng.integers(len(image.voxels)))

    def seen(index: int) -> Real:
        channels = np.take(image.voxels, index, axis + 1)
        chosen = colour_or_grey(channels) if image.flat else channels[channel : channel + 1]
        return np.stack([resample_to_grid(one, window, CELLS) for one in chosen])

    planes = seen(place.index)
    truth = resample_to_grid(plane, window, CELLS) > 0.5
    valid = cells_on_plane(window, plane.shape[0], plane.shape[1], CELLS)
    value = values[0] if len(values) == 1 else 0
    slab = Slab(planes, truth, valid, group=subject.group, value=value)
    if partial and rng.random() < 0.6:
        slab = replace(slab, start=blur_mask(rng, truth) if rng.random() < 0.4 else add_local_error(rng, truth))
    if count == 1:
        return slab
    sides = [min(max(place.index + way * place.step, 0), count - 1) for way in (-1, 1)]
    side = sides[int(rng.integers(2))]
    further = min(max(place.index + int(rng.integers(-8, 9)) * place.step, 0), count - 1)
    masks = [resample_to_grid(_plane(subject, axis, at, values), window, CELLS) > 0.5 for at in (side, further)]
    return replace(
        slab,
        beside=np.stack([seen(at)[0] for at in sides]),
        near=masks[0] if side != place.index else None,
        near_cells=place.cells,
        far=masks[1] if further != place.index else None,
        far_cells=place.cells * abs(further - place.index) / place.step,
    )


def _oblique(rng: np.random.Generator, subject: Subject, values: Sequence[int]) -> Slab:
    """Return a slab across the object at any angle."""
    image, spacing = subject.image, subject.image.spacing
    found = places(subject)
    box = tuple(slice(min(found[v][a].start for v in values), max(found[v][a].stop for v in values)) for a in range(3))
    inside = np.argwhere(_object(subject.labels[box], values)) + [part.start for part in box]
    centre = inside[int(rng.integers(len(inside)))] * spacing
    size = float((np.ptp(inside, axis=0) + 1).max())
    basis = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    margin = float(np.exp(rng.uniform(np.log(1.3), np.log(2.5 if rng.random() < 0.7 else 6.0))))
    cell = max(size * float(spacing.min()) * margin, 24 * float(spacing.min())) / CELLS
    step = float(rng.uniform(0.5, LARGEST_STEP_CELLS)) * cell
    step = max(step, float(spacing.min()))
    middle = (CELLS - 1) / 2 + rng.uniform(-0.2, 0.2, 2) * CELLS
    at = (np.arange(CELLS)[None] - middle[:, None]) * cell
    flat = basis[0][:, None, None] * at[0][:, None] + basis[1][:, None, None] * at[1][None]  # [3 n n]
    further = float(rng.integers(1, 9) * rng.choice([-1, 1]))
    side = float(rng.choice([-1, 1]))
    offsets = [0.0, -1.0, 1.0, further]
    where = [
        (centre[:, None, None] + flat + basis[2][:, None, None] * step * k) / spacing[:, None, None] for k in offsets
    ]
    channel = image.voxels[int(rng.integers(len(image.voxels)))]
    labels = subject.labels
    seen = [ndimage.map_coordinates(channel, one, np.float32, order=1, mode="constant") for one in where[:3]]
    masks = [
        _object(ndimage.map_coordinates(labels, one, labels.dtype, order=0, mode="constant"), values) for one in where
    ]
    shape = np.asarray(labels.shape)[:, None, None]
    valid = ((where[0] > -0.5) & (where[0] < shape - 0.5)).all(axis=0)
    return Slab(
        seen[0][None],
        masks[0] & valid,
        valid,
        beside=np.stack(seen[1:3]),
        near=masks[1] if side < 0 else masks[2],
        near_cells=step / cell,
        far=masks[3],
        far_cells=abs(further) * step / cell,
        group=subject.group,
        value=values[0] if len(values) == 1 else 0,
    )


def _painted(rng: np.random.Generator, subject: Subject) -> Slab:
    """Return an image drawn from a label map, and a label, some labels, or a piece of one as the object."""
    values = _values(rng, subject)
    place, _, _ = _place(rng, subject, values)
    axis, window, count = place.axis, place.window, subject.labels.shape[place.axis]
    rows, columns = np.delete(subject.labels.shape, axis)
    at = [min(max(place.index + way * place.step, 0), count - 1) for way in (-1, 0, 1)]
    labels = np.stack([_nearest(np.take(subject.labels, index, axis), window) for index in at])
    valid = cells_on_plane(window, int(rows), int(columns), CELLS)
    if subject.instances:
        kinds = rng.integers(1, 4, int(labels.max()) + 1)
        shown = np.where(labels > 0, kinds[labels], 0)
        shown = np.where(_object(labels, values), 9, shown) if rng.random() < 0.3 else shown
    else:
        shown = labels
    masks = _object(labels, values)
    if rng.random() < 0.15:  # only a part of it looks so, and that part is the object
        half = smooth_field(rng, int(rng.integers(2, 5)), CELLS) > rng.uniform(-0.5, 0.5)
        masks = masks & half[None]
        shown = np.where(masks, int(shown.max()) + 1, shown)
    picture = paint(rng, shown)
    side = int(rng.choice([0, 2]))
    return Slab(
        picture[1:2],
        masks[1] & valid,
        valid,
        beside=picture[[0, 2]] if count > 1 else None,
        near=masks[side] if count > 1 and at[side] != at[1] else None,
        near_cells=place.cells,
    )


def _nearest(labels: NDArray[np.integer], window: Window) -> NDArray[np.intp]:  # [y x] -> [n n]
    """Return the label under each cell's centre; outside the plane it is 0."""
    rows, columns = labels.shape
    y = np.floor(window.top + (np.arange(CELLS) + 0.5) * window.height / CELLS).astype(int)
    x = np.floor(window.left + (np.arange(CELLS) + 0.5) * window.width / CELLS).astype(int)
    found = labels[np.clip(y, 0, rows - 1)[:, None], np.clip(x, 0, columns - 1)[None]].astype(np.intp)
    return np.where(((y >= 0) & (y < rows))[:, None] & ((x >= 0) & (x < columns))[None], found, 0)


def _augment_geometry(rng: np.random.Generator, slab: Slab) -> Slab:
    """Return a slab whose planes are flipped, turned and warped by the same random transform."""
    images = [*slab.planes, *([] if slab.beside is None else slab.beside)]
    masks = {
        name: getattr(slab, name)
        for name in ("truth", "valid", "near", "far", "start")
        if getattr(slab, name) is not None
    }
    quarter, flip = int(rng.integers(4)), bool(rng.random() < 0.5)
    parts = [np.rot90(p[::-1] if flip else p, quarter) for p in [*images, *masks.values()]]
    if rng.random() < 0.4:
        grid = random_grid(rng, CELLS)
        parts = [warp(p, grid) for p in parts]
    count = len(slab.planes)
    found: dict[str, Any] = {
        name: np.ascontiguousarray(part > 0.5) for name, part in zip(masks, parts[len(images) :], strict=True)
    }
    planes = np.ascontiguousarray(np.stack(parts[:count]), np.float32)
    beside = None if slab.beside is None else np.ascontiguousarray(np.stack(parts[count : len(images)]), np.float32)
    return replace(slab, planes=planes, beside=beside, **found)


def _cut_by_border(rng: np.random.Generator, slab: Slab) -> Slab:
    """Return the slab, in one of eight with the image's border through or near the object."""
    if rng.random() > 0.12 or not slab.truth.any():
        return slab
    rows = np.flatnonzero(slab.truth.any(axis=1))
    low, high = int(rows[0]), int(rows[-1]) + 1
    at = int(low + rng.uniform(-0.1, 0.6) * (high - low))
    valid = slab.valid.copy()
    valid[: max(at, 0)] = False
    return replace(slab, valid=valid)


def _augment_tones(rng: np.random.Generator, slab: Slab) -> Slab:
    """Return the slab in other intensities, the same for all its planes."""
    if rng.random() > 0.75:
        return slab
    count = len(slab.planes)
    stack = slab.planes if slab.beside is None else np.concatenate([slab.planes, slab.beside])
    out = augment_intensity(rng, stack, colour=count == 3)
    return replace(slab, planes=out[:count], beside=None if slab.beside is None else out[count:])


def _game(rng: np.random.Generator, slab: Slab) -> SlabGame:
    """Return a game: carried over from the plane beside, from another's mask, or from marks alone."""
    valid = slab.valid
    planes = np.where(valid, slab.planes, 0).astype(np.float32)
    image = slab_image_channels(planes, slab.beside, valid)
    truth = slab.truth & valid
    near = None if slab.near is None else slab.near & valid
    carried = near is not None and near.any() and (rng.random() < CARRIED_SHARE or truth.sum() < MIN_OBJECT_PIXELS)
    start = None if slab.start is None else slab.start & valid
    if start is None and not carried and truth.any() and rng.random() < STARTED_SHARE:
        start = initial_mask(rng, truth) & valid
    if start is not None and not start.any():
        start = None
    context = _context(rng, slab, near if carried else None)
    again = bool(rng.random() < 0.12)
    correcting = correcting_user(rng)
    if carried:
        few = int(rng.choice([0, 1, 2], p=[0.6, 0.28, 0.12]))
        user, blank = correcting, True
    elif start is not None:
        blank = bool(rng.random() < 0.15)
        few = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
        user = correcting
    else:
        few = int(rng.choice([1, 2, 3, 5], p=[0.32, 0.26, 0.22, 0.2]))
        user, blank = opening_user(rng, correcting), False
    return SlabGame(image, truth, valid, start, user, few, blank, again, context, slab.group, slab.value)


def _context(rng: np.random.Generator, slab: Slab, near: Flat | None) -> Real | None:
    """Return what is known of other planes: a mark or two in one of them, and a neighbour's mask."""
    marked = slab.far is not None and rng.random() < MARKED_ELSEWHERE_SHARE
    if near is None and not marked:
        return None
    out = np.zeros((3, CELLS, CELLS), np.float32)
    if near is not None:
        kind = rng.random()
        if kind < 0.35:
            near = perturb_mask(rng, near)
        elif kind < 0.45:
            near = add_local_error(rng, near)
        out[2] = neighbour_channel(near, slab.near_cells)
    if marked and slab.far is not None:
        strength = fade(slab.far_cells)
        for _ in range(int(rng.integers(1, 3))):
            inside = slab.far if slab.far.any() and rng.random() < 0.75 else _rim_outside(slab.far)
            cells = np.argwhere(inside & slab.valid)
            if not len(cells):
                continue
            y, x = cells[int(rng.integers(len(cells)))].tolist()
            stamped = plane_prompt_channels([Click((0, y, x))], 0, 0, GRID, CELLS)[0] * strength
            side = 0 if slab.far[y, x] else 1
            np.maximum(out[side], stamped, out=out[side])
    return out


def _rim_outside(mask: Flat) -> Flat:
    return np.asarray(ndimage.binary_dilation(mask, iterations=6) & ~mask)
