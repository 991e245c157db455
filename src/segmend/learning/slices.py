"""What networks in the plane learn from: a window of one slice of a case, resampled to the network's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, Real
from segmend.errors import SettingsError
from segmend.learning.augment import augment_intensity, random_grid, warp
from segmend.learning.drawn.synthetic import scene
from segmend.learning.subjects import Subject
from segmend.sampling.intensity import colour_or_grey
from segmend.sampling.window import Window, around, cells_on_plane, resample_to_grid

Flat = NDArray[np.bool_]  # [n n]


@dataclass(frozen=True, eq=False)
class Crop:
    """A resampled part of a slice, its object, and which of its cells lie on the image."""

    picture: Real  # [c n n] the image's own intensities; 1 or 3 channels
    truth: Flat
    valid: Flat


@dataclass(frozen=True, eq=False)
class CasePool:
    """Cases to draw from; a set's probability grows with the root of its size, so that small ones are drawn, too."""

    subjects: Sequence[Subject]
    volume_weight: float = 1.0  # how many pictures a volume counts for
    groups: dict[str, list[Subject]] = field(init=False)
    shares: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        groups: dict[str, list[Subject]] = {}
        for subject in self.subjects:
            if subject.labels.any():
                groups.setdefault(subject.group, []).append(subject)
        counts = [sum(1.0 if one.image.flat else self.volume_weight for one in some) for some in groups.values()]
        size = np.sqrt(counts)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "shares", size / size.sum() if len(size) else size)

    def draw(self, rng: np.random.Generator) -> Subject:
        """Return a case; SettingsError where there is none with an object."""
        if not self.groups:
            raise SettingsError("Learning from slices needs at least one case with an object; got none.")
        members = self.groups[list(self.groups)[rng.choice(len(self.groups), p=self.shares)]]
        return members[int(rng.integers(len(members)))]


@dataclass(frozen=True, eq=False)
class SliceSampler:
    """What samplers in the plane share: the cases they draw from; the same number is the same sample in any process."""

    subjects: Sequence[Subject]
    settings: Any
    pool: CasePool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", CasePool(self.subjects))


def drawn_crop(rng: np.random.Generator, cells: int) -> Crop:
    """Return a drawn scene, all of it on the image."""
    picture, truth = scene(rng, cells)
    return Crop(picture, truth, np.ones_like(truth))


def cut_axis(image: Image) -> int:
    """Return the axis to cut slices across: that of the thickest ones, the first where voxels are about cubes.

    >>> from segmend.core.image import scale_affine
    >>> cut_axis(Image(np.zeros((1, 3, 4, 5)), scale_affine((1, 1, 6))))
    2
    """
    return 0 if image.flat else image.thick_axis or 0


_AREAS: WeakKeyDictionary[Subject, NDArray[np.intp]] = WeakKeyDictionary()  # counted once a case


def label_areas(subject: Subject) -> NDArray[np.intp]:  # [slices values]
    """Return the pixels of each label value, the background included, in every slice across `cut_axis`.

    >>> labels = np.array([[[0, 2, 2]], [[0, 0, 2]]], np.uint16)
    >>> label_areas(Subject(Image(np.zeros((1, 2, 1, 3))), labels, False, "set")).tolist()
    [[1, 0, 2], [2, 0, 1]]
    """
    if subject not in _AREAS:
        planes, most = np.moveaxis(subject.labels, cut_axis(subject.image), 0), int(subject.labels.max())
        _AREAS[subject] = np.stack([np.bincount(plane.ravel(), minlength=most + 1) for plane in planes])
    return _AREAS[subject]


MIN_PIXELS = 20  # a slice is drawn from those with so many pixels of the object, if there are any


def slices_with(subject: Subject, values: Sequence[int]) -> NDArray[np.intp]:
    """Return the slices that these labels, as one object, are drawn from: those with the fewest pixels are not.

    >>> labels = np.zeros((3, 5, 8), np.uint16); labels[0, :, :4] = labels[1, 0, 0] = 7
    >>> slices_with(Subject(Image(np.zeros((1, 3, 5, 8))), labels, False, "set"), [7]).tolist()
    [0]
    """
    sizes = label_areas(subject)[:, list(values)].sum(axis=1)
    return np.flatnonzero(sizes >= min(MIN_PIXELS, int(sizes.max())))


def label_values(subject: Subject) -> list[int]:
    """Return the label values of a case, in order.

    >>> labels = np.array([[[0, 7, 3]]], np.uint16)
    >>> label_values(Subject(Image(np.zeros((1, 1, 1, 3))), labels, False, "set"))
    [3, 7]
    """
    return [int(value) for value in np.flatnonzero(label_areas(subject).any(axis=0)) if value]


def whole_window(plane: NDArray[np.generic], aspect: float) -> Window:
    """Return the window of a whole plane."""
    return around(0, 0, *plane.shape, margin=1.0, aspect=aspect)


def window_near(rng: np.random.Generator, plane: Flat, aspect: float, *, margins: tuple[float, float]) -> Window:
    """Return a window round the object, so many times its longer side, not quite centred on it."""
    ys, xs = np.nonzero(plane)
    margin = float(np.exp(rng.uniform(*np.log(margins))))
    edges = float(ys.min()), float(xs.min()), float(ys.max()) + 1, float(xs.max()) + 1
    window = around(*edges, margin=margin, aspect=aspect, least=12.0)
    slack = (0.5 - 0.5 / margin) * rng.uniform(-0.9, 0.9, 2)
    top, left = window.top + slack[0] * window.height, window.left + slack[1] * window.width
    return Window(top, left, window.height, window.width)


def crop_window(image: Image, plane: Flat, axis: int, index: int, window: Window, cells: int) -> Crop:  # [y x]
    """Return one slice of an image and the object's plane there through a window."""
    channels = np.take(image.voxels, index, axis + 1)
    channels = colour_or_grey(channels)
    picture = np.stack([resample_to_grid(channel, window, cells) for channel in channels])
    return Crop(
        picture,
        resample_to_grid(plane, window, cells) > 0.5,
        cells_on_plane(window, plane.shape[0], plane.shape[1], cells),
    )


def random_crop(
    rng: np.random.Generator,
    subject: Subject,
    cells: int,
    *,
    whole: float = 0.5,
    merged: float = 0.0,
    margins: tuple[float, float] = (1.15, 4.0),
    values: Sequence[int] = (),
) -> Crop:
    """Return a random object of a case in one of its slices.

    `whole` is the share of looks at the whole plane, `merged` that of looks at all objects as one; `margins` say
    how far the other looks reach, in the object's longer side; `values` are the labels to choose from, none for all.
    An object too small for the whole plane's grid is looked at from near.
    """
    image, labels, axis = subject.image, subject.labels, cut_axis(subject.image)
    found = [value for value in label_values(subject) if not values or value in values]
    if not found:
        raise SettingsError(f"The case {subject.name!r} of {subject.group} has none of the labels {tuple(values)}.")
    chosen = found if rng.random() < merged else [found[int(rng.integers(len(found)))]]
    index = int(rng.choice(slices_with(subject, chosen)))
    plane = np.isin(np.take(labels, index, axis), chosen)
    aspect = float(np.divide(*np.delete(image.spacing, axis)))
    windows = [whole_window(plane, aspect)] if rng.random() < whole else []
    windows += [window_near(rng, plane, aspect, margins=reach) for reach in (margins, (1.15, 1.2))]
    for window in windows:  # each nearer than the one before: somewhere the object covers a cell
        result = crop_window(image, plane, axis, index, window, cells)
        if result.truth.any():
            break
    return result


def augment_crop(rng: np.random.Generator, drawn: Crop) -> Crop:
    """Return the slice flipped, rotated and deformed, with other intensities."""
    planes = [*drawn.picture, drawn.truth, drawn.valid]
    quarter, flip = int(rng.integers(4)), bool(rng.random() < 0.5)
    planes = [np.rot90(plane[::-1] if flip else plane, quarter) for plane in planes]
    if rng.random() < 0.5:
        grid = random_grid(rng, len(drawn.truth))
        planes = [warp(plane, grid) for plane in planes]
    picture = np.ascontiguousarray(np.stack(planes[:-2]), np.float32)
    truth, valid = (np.ascontiguousarray(plane > 0.5, bool) for plane in planes[-2:])
    if not truth.any():
        return drawn
    if rng.random() < 0.8:
        picture = augment_intensity(rng, picture)
    return Crop(picture, truth, valid)
