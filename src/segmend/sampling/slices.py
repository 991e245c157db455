"""What methods in the plane share: one slice is answered from its marks, the next ones from the slice beside them.

A subclass answers a slice (`answer`) and the slice beside an answered one (`propagate`). The slice
of the newest prompt is answered first, then every other one whose marks are not obeyed yet. Going through a volume
ends where a slice is marked itself, where the new mask no longer goes on from the one before, where the tones inside
it are no longer those of the slice that was answered, or where nothing changes any more. A slice that has a mask
already changes only near what changed beside it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from segmend.core.image import Box, Image, MaskArray, Real, bounds
from segmend.core.marks import fill_lasso, in_plane, marks, path
from segmend.core.masks import dice
from segmend.core.prompts import Click, Extremes, Lasso, Mask, Prompt, Stroke, extent
from segmend.core.segmenter import Prediction, Workspace, merged
from segmend.errors import PromptError
from segmend.sampling.window import (
    Window,
    around,
    cells_on_plane,
    colour_or_grey,
    plane_intensity_channels,
    resample_to_grid,
    resample_to_plane,
)

Plane = NDArray[np.bool_]  # [y x]
LIKE = 0.65  # the Dice of an answer with a mask from elsewhere from which it is of the same object ...
BETTER = 0.03  # ... and so much more Dice than that has to be expected of it
NEAR = 6  # pixels round a change in which a neighbouring slice that has a mask may change too


@dataclass(frozen=True, eq=False)
class PlaneAnswer:
    """The probability of every pixel of a plane, and the Dice that the method expects of its mask."""

    probability: Real  # [y x]
    quality: float | None = None

    @property
    def mask(self) -> Plane:
        return np.asarray(self.probability > 0.5)


class SliceWorkspace(Workspace):
    """One image, answered a slice at a time."""

    title: ClassVar[str]

    def __init__(self, image: Image) -> None:
        self.image = image

    @abstractmethod
    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        """Return the answer for a plane from the prompts and its mask so far."""

    @abstractmethod
    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        """Return the answer for a plane whose neighbour has this mask, which is not empty."""

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return merged(list(self.stream(prompts, previous)), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        if not prompts:
            raise PromptError(f"{self.title} needs at least one prompt; got none.")
        axis = plane_axis(prompts[-1], self.image)
        index = key_index(prompts[-1], axis)
        mask = apply_lassos(prompts, previous)
        answered: dict[int, Plane] = {}
        for plane in (index, *disobeyed_slices(prompts, mask, axis, index)):
            first = self.answer(newest_mark_last(prompts, axis, plane), axis, plane, np.take(mask, plane, axis))
            yield plane_prediction(first, axis, plane)
            if first.mask.any():
                answered[plane] = first.mask
        if self.image.shape[axis] > 1:
            yield from self._carried(prompts, mask, axis, answered)

    def channels(self, axis: int, index: int) -> NDArray[np.generic]:  # [c y x]
        """Return one plane of the image: red, green and blue, or one grey."""
        plane: NDArray[np.generic] = np.take(self.image.voxels, index, axis + 1)
        return colour_or_grey(plane)

    def aspect(self, axis: int) -> float:
        """Return the row spacing over the column spacing of a plane."""
        rows, columns = np.delete(self.image.spacing, axis)
        return float(rows / columns)

    def whole_window(self, axis: int) -> Window:
        """Return the window of a whole plane."""
        rows, columns = np.delete(self.image.shape, axis)
        return around(0, 0, int(rows), int(columns), margin=1.0, aspect=self.aspect(axis))

    def _carried(
        self, prompts: Sequence[Prompt], mask: MaskArray, axis: int, answered: Mapping[int, Plane]
    ) -> Iterator[Prediction]:
        """Carry the answered planes' masks to both sides, a plane at a time in turn; none is answered twice."""
        first, last = slice_range(prompts, axis, self.image.shape[axis])
        known = set(answered)
        fronts = [
            (index, step, here, here ^ np.take(mask, index, axis), self._toned(axis, index, here))
            for index, here in answered.items()
            for step in (-1, 1)
        ]
        while fronts:
            onward = []
            for at, step, before, changed, (tone, spread) in fronts:
                after = at + step
                if not first <= after < last or after in known or has_marks(prompts, axis, after):
                    continue
                fresh = self.propagate(prompts, axis, after, before)
                if not continues(before, fresh.mask):
                    continue
                if abs(float(self._tones(axis, after, fresh.mask).mean()) - tone) > 1.5 * spread:
                    continue
                known.add(after)
                old = np.take(mask, after, axis)
                fresh = limit_to_change(fresh, old, changed)
                yield plane_prediction(fresh, axis, after)
                if not nearly_equal(old, fresh.mask):
                    onward.append((after, step, fresh.mask, old ^ fresh.mask, (tone, spread)))
            fronts = onward

    def _toned(self, axis: int, index: int, here: Plane) -> tuple[float, float]:
        """Return the mean of the tones inside a mask, and how far they spread."""
        tones = self._tones(axis, index, here)
        whole = float(np.ptp(self.channels(axis, index).astype(np.float32)))
        return float(tones.mean()), max(float(tones.std()), 0.05 * whole)

    def _tones(self, axis: int, index: int, here: Plane) -> Real:
        return np.asarray(self.channels(axis, index).astype(np.float32).mean(axis=0)[here])


def limit_to_change(fresh: PlaneAnswer, old: Plane, changed: Plane) -> PlaneAnswer:
    """Return the answer for a slice that has a mask already: it may change only near what changed in the one beside it.

    So a correction mends what is near it and spoils nothing further off.
    """
    if not old.any():
        return fresh

    near = binary_dilation(changed, iterations=NEAR) if changed.any() else changed
    return PlaneAnswer(np.where(near, fresh.probability, old).astype(np.float32), fresh.quality)


def plane_prediction(answer: PlaneAnswer, axis: int, index: int) -> Prediction:
    """Return a plane's answer as a prediction."""
    low, high = [0, 0], list(answer.probability.shape)
    low.insert(axis, index)
    high.insert(axis, index + 1)
    box = Box.of(low, high)
    return Prediction(np.expand_dims(answer.probability, axis), box, quality=answer.quality)


def slice_range(prompts: Sequence[Prompt], axis: int, count: int) -> tuple[int, int]:
    """Return the slices a mask may be carried to: those of the 3D boxes and extreme points where there are any.

    >>> slice_range([Extremes(((2, 0, 0), (5, 1, 1)))], 0, 9)
    (2, 6)
    """
    boxes = [b for p in prompts if isinstance(p, Box | Extremes) and (b := extent(p)) and b.shape[axis] > 1]
    if not boxes:
        return 0, count
    return min(b.low[axis] for b in boxes), max(b.high[axis] for b in boxes)


def has_marks(prompts: Sequence[Prompt], axis: int, index: int) -> bool:
    """Tell whether a slice is marked as this object's; marks beside the object may be another's.

    >>> has_marks([Click((3, 1, 1))], 0, 3), has_marks([Click((3, 1, 1), positive=False)], 0, 3)
    (True, False)
    """
    for prompt in prompts:
        box = extent(prompt)
        positive = isinstance(prompt, Click | Stroke) and prompt.positive
        flat = isinstance(prompt, Extremes) and box is not None and box.shape[axis] == 1
        if box is not None and (positive or flat) and box.low[axis] <= index < box.high[axis]:
            return True
    return False


def disobeyed_slices(prompts: Sequence[Prompt], mask: MaskArray, axis: int, index: int) -> list[int]:
    """Return the other planes in which a click or a stroke has not been obeyed yet, the nearest first.

    So one interaction may mark many slices, or go through them: each is answered from its own marks. Marks that were
    answered before are obeyed, and so their slices stay as they are.

    >>> mask = np.zeros((9, 2, 2), bool); mask[1] = True
    >>> clicks = [Click((1, 0, 0)), Click((7, 0, 0)), Click((1, 1, 1), positive=False), Click((4, 0, 0))]
    >>> disobeyed_slices(clicks, mask, 0, 4)
    [1, 7]
    """
    placed = [prompt for prompt in prompts if isinstance(prompt, Click | Stroke)]
    wrong = [
        points[mask[tuple(points.T)] != positive, axis]
        for points, positive in zip(marks(placed, mask.shape), (True, False), strict=True)
    ]
    return sorted(set(np.concatenate(wrong).tolist()) - {index}, key=lambda at: (abs(at - index), at))


def newest_mark_last(prompts: Sequence[Prompt], axis: int, index: int) -> Sequence[Prompt]:
    """Return the prompts with the newest mark of one plane as the newest of all.

    >>> newest_mark_last([Click((1, 0, 0)), Click((2, 0, 0)), Click((3, 0, 0))], 0, 2)[-1]
    Click(index=(2, 0, 0), positive=True)
    """
    for at in range(len(prompts) - 1, -1, -1):
        box = extent(prompts[at])
        if isinstance(prompts[at], Click | Stroke) and box is not None and box.low[axis] <= index < box.high[axis]:
            return [*prompts[:at], *prompts[at + 1 :], prompts[at]]
    return prompts


def continues(before: Plane, after: Plane) -> bool:
    """Tell whether a slice's mask goes on from its neighbour's: they overlap and are alike in size."""
    common, was, now = int((before & after).sum()), int(before.sum()), int(after.sum())
    return now >= 4 and common >= 0.3 * min(was, now) and 0.15 * was <= now <= 3 * was + 20


def nearly_equal(old: Plane, fresh: Plane) -> bool:
    """Tell whether two masks agree by a Dice of more than .98."""
    return dice(old, fresh, empty=0.0) > 0.98


def uncertainty_of(wrong: Real) -> Real:
    """Return how uncertain a mask is where it is wrong with some probability: not at all, or 1 from one half on.

    >>> uncertainty_of(np.array([0.0, 0.25, 0.5, 1.0], np.float32)).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    return np.asarray(np.minimum(2 * wrong, 1), np.float32)


def clamp_to_mask(chances: Real, mask: NDArray[np.bool_]) -> Real:
    """Return how likely each place is one label, more likely than not where it is the likeliest one.

    >>> (clamp_to_mask(np.array([0.4, 0.6], np.float32), np.array([True, False])) > 0.5).tolist()
    [True, False]
    """
    return np.asarray(np.where(mask, np.maximum(chances, 0.501), np.minimum(chances, 0.499)), np.float32)


def contrast_colours(channels: NDArray[np.generic], window: Window, cells: int) -> Real:  # [c y x] -> [3 n n]
    """Return red, green and blue of what a window sees, 0 to 1 between its percentiles."""
    seen = np.stack([resample_to_grid(channel, window, cells) for channel in channels])
    return contrast_channels(seen, cells_on_plane(window, channels.shape[1], channels.shape[2], cells))[:3]


def contrast_channels(seen: Real, valid: Plane) -> Real:  # [1|3 n n] -> [4 n n]
    """Return red, green, blue and equalised grey as `plane_intensity_channels` does; where all is one tone, 0.

    Averaging leaves traces in a constant picture that must not be taken for its contrast.

    >>> contrast_channels(np.full((1, 2, 2), 7.0, np.float32) + 1e-6, np.ones((2, 2), bool)).any()
    np.False_
    """
    values = seen[:, valid]
    if not values.size or float(np.ptp(values)) <= 1e-5 * float(np.abs(values).max()):
        return np.zeros((4, *valid.shape), np.float32)
    return plane_intensity_channels(seen, valid)


def resample_to_whole_plane(probability: Real, window: Window, rows: int, columns: int) -> Real:  # [n n] -> [y x]
    """Return a grid's probabilities on their plane, 0 outside the window."""
    values, where = resample_to_plane(probability, window, rows, columns)
    whole = np.zeros((rows, columns), np.float32)
    whole[where] = np.clip(values, 0, 1)
    return whole


def window_around_mask(mask: Plane, frame: Window, aspect: float, *, margin: float, least: float = 24.0) -> Window:
    """Return a window round a mask, or the whole plane's where that is no larger."""
    box = bounds(mask[None])
    if box is None:
        return frame
    (top, left), (bottom, right) = in_plane(box, 0)
    window = around(top, left, bottom, right, margin=margin, aspect=aspect, least=least)
    return frame if window.width >= frame.width else window


def touches_window_edge(mask: Plane, window: Window) -> bool:
    """Tell whether a plane's mask reaches an edge of the window that is not an edge of the plane."""
    rows, columns = mask.shape
    ys, xs = window.pixels(rows, columns)
    inner = mask[ys, xs]
    if not inner.any():
        return False
    return bool(
        (ys.start > 0 and inner[0].any())
        or (xs.start > 0 and inner[:, 0].any())
        or (ys.stop < rows and inner[-1].any())
        or (xs.stop < columns and inner[:, -1].any())
    )


def marked_pixels(prompts: Sequence[Prompt], axis: int, index: int, *, positive: bool) -> NDArray[np.intp]:  # [n 2]
    """Return the pixels of a plane under clicks and strokes of one sign, the lines of strokes included.

    >>> marked_pixels([Click((0, 4, 5)), Click((1, 2, 3))], 0, 0, positive=True).tolist()
    [[4, 5]]
    """
    found = [np.zeros((0, 3), np.intp)]
    for prompt in prompts:
        if isinstance(prompt, Click) and prompt.positive is positive:
            found.append(np.asarray([prompt.index], np.intp))
        elif isinstance(prompt, Stroke) and prompt.positive is positive:
            found.append(path(prompt.points))
    voxels = np.concatenate(found)
    return np.delete(voxels[voxels[:, axis] == index], axis, axis=1)


def mark_count(prompts: Sequence[Prompt]) -> int:
    """Return how many clicks and strokes there are."""
    return sum(isinstance(prompt, Click | Stroke) for prompt in prompts)


def prompts_since_mask(prompts: Sequence[Prompt]) -> Sequence[Prompt] | None:
    """Return the prompts after the newest mask from elsewhere; None where there is none, or it is empty.

    >>> click, ones = Click((0, 1, 1)), np.ones((1, 2, 2), bool)
    >>> prompts_since_mask([click, Mask(ones), click])
    [Click(index=(0, 1, 1), positive=True)]
    >>> prompts_since_mask([Mask(ones), click, Mask(~ones), click]) is None
    True
    """
    for at in range(len(prompts) - 1, -1, -1):
        prompt = prompts[at]
        if isinstance(prompt, Mask):
            return prompts[at + 1 :] if prompt.inside.any() else None
    return None


def trusts_network_over_mask(quality: float, like: float) -> bool:
    """Tell whether an answer to the first mark on a mask from elsewhere is believed farther than round the mark.

    It has to be of the same object, and to expect more of itself than it has in common with the mask: else the mask
    is as good, and its maker may have seen what no network sees.

    >>> trusts_network_over_mask(0.85, 0.7), trusts_network_over_mask(0.85, 0.9), trusts_network_over_mask(0.85, 0.3)
    (True, False, False)
    """
    return like >= LIKE and quality >= like + BETTER


def plane_axis(prompt: Prompt, image: Image) -> int:
    """Return the axis across the plane a prompt was drawn in.

    A flat prompt says so itself; a click or a 3D box takes the axis of the thickest slices.

    >>> volume = Image(np.zeros((1, 5, 6, 7)))
    >>> plane_axis(Box((1, 2, 0), (4, 3, 5)), volume), plane_axis(Click((1, 2, 3)), volume)
    (1, 0)
    """
    if image.flat:
        return 0
    box = extent(prompt)
    if isinstance(prompt, Lasso):
        return prompt.axis
    if box is not None and not isinstance(prompt, Click):
        thin = [axis for axis in range(3) if box.shape[axis] == 1]
        if len(thin) == 1:
            return thin[0]
    thickest = int(np.argmax(image.spacing))
    return thickest if image.spacing[thickest] > 1.2 * np.median(image.spacing) else 0


def key_index(prompt: Prompt, axis: int) -> int:
    """Return the slice a prompt is answered on first: its middle one."""
    box = extent(prompt)
    if box is None:
        raise PromptError("Mend needs a prompt with a place; an adjustment has none.")
    return (box.low[axis] + box.high[axis]) // 2


def is_correction(prompts: Sequence[Prompt]) -> bool:
    """Tell whether the newest prompt is a mark and not the first thing that was said.

    >>> is_correction([Click((0, 1, 1))]), is_correction([Click((0, 1, 1)), Click((0, 5, 1), positive=False)])
    (False, True)
    """
    return len(prompts) > 1 and isinstance(prompts[-1], Click | Stroke)


def apply_lassos(prompts: Sequence[Prompt], previous: MaskArray) -> MaskArray:
    """Return the mask so far with what the lassos add and take away."""
    mask = previous
    for prompt in prompts:
        if isinstance(prompt, Lasso):
            points = np.delete(np.asarray(prompt.points), prompt.axis, axis=1)
            rows, columns = np.delete(previous.shape, prompt.axis)
            mask = mask.copy() if mask is previous else mask
            at: list[slice | int] = [slice(None)] * 3
            at[prompt.axis] = prompt.points[0][prompt.axis]
            plane = mask[tuple(at)]
            plane[fill_lasso(points, int(rows), int(columns))] = prompt.positive
    return mask


def expected_dice(probability: Real) -> float | None:
    """Return the Dice that a mask would have if the probabilities were true; None for an empty mask.

    Good for choosing between looks; too hopeful to be told to people, so no prediction carries it.

    >>> expected_dice(np.array([[1.0, 0.9, 0.1]], np.float32))
    0.95
    """
    mask = probability > 0.5
    if not mask.any():
        return None
    return round(float(2 * probability[mask].sum() / (probability.sum() + mask.sum())), 4)
