"""What mend learns from in the plane: slices resampled to windows of many sizes, round objects and parts of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Image, Real
from segmend.learning.augment import augment_intensity, random_grid, warp
from segmend.learning.drawn.synthetic import (
    add_layers,
    angiogram,
    membrane,
    paste_object,
    scene,
    shape,
    similar_region,
    smooth_field,
    vessels,
)
from segmend.learning.perturb import add_local_error, blur_mask, perturb_mask
from segmend.learning.slices import SliceSampler
from segmend.learning.subjects import Subject
from segmend.mend.learning.games import Game, new_game
from segmend.mend.learning.settings import Settings
from segmend.mend.plane_networks import CELLS
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import clip_to_window_level, colour_or_grey, plane_intensity_channels
from segmend.sampling.window import (
    Window,
    around,
    cells_on_plane,
    resample_to_grid,
)
from segmend.users.play import Turn

Flat = NDArray[np.bool_]  # [n n]
MIN_OBJECT_PIXELS = 20  # objects of fewer are drawn again, up to eight times
MIN_PART_PIXELS = 20.0  # the shortest side of a window on a part of an object, in the image's pixels
GRID = Window(0, 0, CELLS, CELLS)  # the network's input as a window of its own


def turn_channels(turn: Turn) -> Real:  # [4 n n]
    """Return a turn as the decoder's input: the mask so far, positive marks, negative marks, boxes."""
    return np.concatenate([turn.mask.astype(np.float32), plane_prompt_channels(turn.prompts, 0, 0, GRID, CELLS)])


@dataclass(frozen=True, eq=False)
class SliceView:
    """A picture with its object, the cells that lie on the image, and perhaps a mask to start from."""

    picture: Real  # [1|3 n n]
    truth: Flat
    valid: Flat
    start: Flat | None = None


@dataclass(frozen=True, eq=False)
class PlaneSampler(SliceSampler):
    """Draws samples by number: the same number is the same sample in any process."""

    settings: Settings

    def __getitem__(self, number: int) -> Game:
        rng = np.random.default_rng((self.settings.seed, number))
        for _ in range(8):
            view = _cut_by_border(rng, _augment_geometry(rng, self._view(rng)))
            if view.truth.sum() >= MIN_OBJECT_PIXELS:
                break
        picture = augment_intensity(rng, view.picture) if rng.random() < 0.8 else view.picture
        image = plane_intensity_channels(
            clip_to_window_level(picture, view.valid) if len(picture) == 1 else picture, view.valid
        )
        start = view.start
        if start is None and rng.random() < 0.25:
            start = initial_mask(rng, view.truth)
        if start is not None:
            start = start & view.valid
        sample = new_game(rng, image, view.truth[None], None if start is None else start[None])
        return replace(sample, forgetful=bool(rng.random() < self.settings.forget))

    def _view(self, rng: np.random.Generator) -> SliceView:
        drawn, s = rng.random(), self.settings
        if not self.pool.groups or drawn < s.synthetic:
            return drawn_view(rng)
        view = self._real(rng)
        if drawn < s.synthetic + s.regions:
            region = similar_region(rng, view.picture)
            if region is not None:
                return SliceView(view.picture, region & view.valid, view.valid)
        elif drawn < s.synthetic + s.regions + s.pasted:
            image, truth = paste_object(rng, view.picture, CELLS)
            return SliceView(image, truth & view.valid, view.valid)
        elif rng.random() < s.layered and view.truth.any():
            ripple = smooth_field(rng, int(rng.integers(2, 6)), CELLS)
            image, truth = add_layers(rng, view.picture, view.truth, ripple)
            return SliceView(image, truth & view.valid, view.valid)
        return view

    def _real(self, rng: np.random.Generator) -> SliceView:
        subject = self.pool.draw(rng)
        axis = slice_axis(rng, subject.image)
        found = places(subject)
        value = int(rng.choice(list(found)))
        together = not subject.instances and len(found) > 1 and rng.random() < 0.15
        box = tuple(slice(0, n) for n in subject.labels.shape) if together else found[value]
        near = subject.labels[box] > 0 if together else subject.labels[box] == value
        areas = near.sum(axis=tuple(a for a in range(3) if a != axis))
        at = int(rng.choice(np.flatnonzero(areas >= min(MIN_OBJECT_PIXELS, areas.max()))))
        index = at + box[axis].start
        plane = _plane(subject, axis, index, value, together)
        aspect = float(np.divide(*np.delete(subject.image.spacing, axis)))
        partial = window_on_part(rng, plane, aspect) if rng.random() < 0.25 else None
        window = partial or window_round(rng, plane, aspect)
        channels = np.take(subject.image.voxels, index, axis + 1)
        picture = np.stack([resample_to_grid(c, window, CELLS) for c in colour_or_grey(channels)])
        truth = resample_to_grid(plane, window, CELLS) > 0.5
        start = None
        beside = at + int(rng.choice([-1, 1]))
        if partial and rng.random() < 0.85:
            start = blur_mask(rng, truth) if rng.random() < 0.4 else add_local_error(rng, truth)
        elif rng.random() < 0.15 and 0 <= beside < len(areas) and areas[beside]:
            start = resample_to_grid(_plane(subject, axis, index + beside - at, value, together), window, CELLS) > 0.5
        rows, columns = plane.shape
        return SliceView(picture, truth, cells_on_plane(window, rows, columns, CELLS), start)


Place = tuple[slice, ...]
_PLACES: WeakKeyDictionary[Subject, dict[int, Place]] = WeakKeyDictionary()  # bounding boxes by label


def places(subject: Subject) -> dict[int, Place]:
    """Return the bounding box of each label value of a case."""
    if subject not in _PLACES:
        found = ndimage.find_objects(subject.labels)
        _PLACES[subject] = {value: box for value, box in enumerate(found, start=1) if box is not None}
    return _PLACES[subject]


def _plane(subject: Subject, axis: int, index: int, value: int, together: bool) -> Flat:
    labels = np.take(subject.labels, index, axis)
    return np.asarray(labels > 0 if together else labels == value)


def drawn_view(rng: np.random.Generator) -> SliceView:
    """Return a drawn scene, in one of five with something thin, in colours or grey."""
    kind = rng.random()
    if kind < 0.12:
        picture, truth = angiogram(rng, CELLS)
    else:
        thin = vessels(rng, CELLS) if kind < 0.18 else membrane(rng, CELLS) if kind < 0.23 else None
        picture, truth = scene(rng, CELLS, thin)
    if rng.random() < 0.5:
        picture = picture[:1]
    return SliceView(picture, truth, np.ones((CELLS, CELLS), bool))


def slice_axis(rng: np.random.Generator, image: Image) -> int:
    """Return an axis to cut a slice across: any where the voxels are about cubes, else mostly the thickest one."""
    if image.flat:
        return 0
    if image.thick_axis is not None:
        return image.thick_axis if rng.random() < 0.85 else int(rng.integers(3))
    return int(rng.integers(3))


def window_round(rng: np.random.Generator, plane: Flat, aspect: float) -> Window:
    """Return a window round the object, mostly narrow and sometimes wide, at a random offset."""
    ys, xs = np.nonzero(plane)
    top, left, bottom, right = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
    rows, columns = plane.shape
    margin = float(np.exp(rng.uniform(np.log(1.15), np.log(2.2) if rng.random() < 0.6 else np.log(8.0))))
    window = around(top, left, bottom, right, margin=margin, aspect=aspect, least=12.0)
    largest = 1.25 * max(rows * aspect, columns)
    if window.width > largest or rng.random() < 0.15:
        return around(0, 0, rows, columns, margin=float(rng.uniform(1.0, 1.2)), aspect=aspect)
    slack = (0.5 - 0.5 / margin) * rng.uniform(-0.9, 0.9, 2)
    return Window(
        window.top + slack[0] * window.height, window.left + slack[1] * window.width, window.height, window.width
    )


def window_on_part(rng: np.random.Generator, plane: Flat, aspect: float) -> Window | None:
    """Return a window on a part of the object's edge, None for an object that is small already."""
    ys, xs = np.nonzero(plane)
    longest = max((int(np.ptp(ys)) + 1) * aspect, int(np.ptp(xs)) + 1)
    if longest < 1.5 * MIN_PART_PIXELS:
        return None
    side = max(MIN_PART_PIXELS, float(longest * rng.uniform(0.2, 0.75)))
    edge = np.argwhere(plane & ~ndimage.binary_erosion(plane))
    y, x = edge[rng.integers(len(edge))] + rng.uniform(-0.3, 0.3, 2) * (side / aspect, side)
    return Window(y - side / aspect / 2, x - side / 2, side / aspect, side)


def initial_mask(rng: np.random.Generator, truth: Flat) -> Flat:
    """Return a mask to start a game from: perturbed, blurred, wrong in one place, a loose lasso, or another object."""
    kind = rng.random()
    if kind < 0.45:
        return perturb_mask(rng, truth)
    if kind < 0.6:
        return blur_mask(rng, truth)
    if kind < 0.82:
        return add_local_error(rng, truth)
    if kind < 0.96:
        return loose_lasso(rng, truth)
    return shape(rng, len(truth))


def loose_lasso(rng: np.random.Generator, truth: Flat) -> Flat:
    """Return what a loose line round the object encloses."""
    if not truth.any():
        return truth
    away = ndimage.distance_transform_edt(~truth)
    return np.asarray(ndimage.binary_fill_holes(away < rng.uniform(1, 10)))


def _augment_geometry(rng: np.random.Generator, view: SliceView) -> SliceView:
    """Return picture and masks flipped, rotated and warped by the same random transform."""
    masks = [view.truth, view.valid] + ([] if view.start is None else [view.start])
    planes = [*view.picture, *masks]
    quarter, flip = int(rng.integers(4)), bool(rng.random() < 0.5)
    planes = [np.rot90(p[::-1] if flip else p, quarter) for p in planes]
    if rng.random() < 0.5:
        grid = random_grid(rng, CELLS)
        planes = [warp(p, grid) for p in planes]
    count = len(view.picture)
    picture = np.ascontiguousarray(np.stack(planes[:count]), np.float32)
    truth, valid, *start = (np.ascontiguousarray(p > 0.5) for p in planes[count:])
    return SliceView(picture, truth, valid, *start)


def _cut_by_border(rng: np.random.Generator, view: SliceView) -> SliceView:
    """Return the view, in one of eight with the image's border through or near the object."""
    if rng.random() > 0.12 or not view.truth.any():
        return view
    rows = np.flatnonzero(view.truth.any(axis=1))
    low, high = int(rows[0]), int(rows[-1]) + 1
    at = int(low + rng.uniform(-0.1, 0.6) * (high - low))
    valid = view.valid.copy()
    valid[: max(at, 0)] = False
    picture = np.where(valid, view.picture, 0).astype(np.float32)
    return SliceView(picture, view.truth & valid, valid, None if view.start is None else view.start & valid)
