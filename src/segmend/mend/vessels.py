"""Thin things in pictures, such as vessels and fibres: what a network that sees 128 cells across has no cells for.

A small network of its own, which has learned from drawn strands, tells of every pixel how likely it is to lie on a
dark line. What is joined to a marked line is the answer, where it is thin and long; a mark that lies on no such thing
is not answered here. A person's marks raise and lower the threshold near them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, uniform_filter

from segmend.core.image import Real
from segmend.runtime.engine import Engine
from segmend.sampling.intensity import intensity_range, rescale
from segmend.sampling.window import Plane

# Grey, 0 to 1, below which all is the same.
LEAST_GREY = 0.04
# The standard deviation in pixels of the light that is taken out. The shipped weights belong to it.
BACKGROUND_SCALE = 10.0
# The log intensity below whose spread a picture is flat. The shipped weights belong to it.
LEAST_SPREAD = 0.02

# The side in pixels of the squares that the network sees: of one size, so that it is compiled once.
TILE = 256
# How many pixels two squares overlap.
OVERLAP = 32
# The least side in pixels of a picture that is asked for lines: in smaller ones nothing is that long.
LEAST_SIDE = 64
# The largest side in pixels that is looked at; larger pictures are averaged first.
MOST_SIDE = 640

# The logit from which a pixel surely lies on a line, when it is asked whether a picture has any.
CERTAIN_LOGIT = 2.0
# The least share of the middle of a picture that surely is lines, where it has some.
LEAST_SHARE = 0.003
# The least share of what surely is lines among what may be.
LEAST_CERTAIN = 0.1
# The product of both shares from which dark lines are taken without asking for bright ones.
CLEAR_SHARE = 0.01

# The distance in pixels from a mark to its line.
MARK_REACH = 2
# The largest logit, either way: beyond it the network is as certain.
MAX_LOGIT = 8.0
# The logit from which a pixel is on a line. It belongs to the shipped weights.
LINE_LOGIT = 0.3
# The least logit on a line of a mark that means the line. It belongs to the shipped weights.
MARK_LOGIT = 0.0
# How many pixels of all marks of one sign count.
MOST_MARKS = 32
# The share of both sides of a box that its lines span.
FILLED = 0.75
# Half of the width in pixels of the widest line.
THICK = 5.0
# The least length of lines, in halves of their width.
LONG = 80.0

# The standard deviation in pixels of the region in which a correction moves the threshold.
CORRECTION_SCALE = 12.0
# The share of a correction by which the threshold moves everywhere.
EVERYWHERE = 0.15
# The largest logit by which one correction moves the threshold everywhere.
MOST_MOVED = 1.0
# The logit between a mark and the threshold that it moves.
MARGIN = 0.5

Pixels = NDArray[np.intp]  # [n 2]
Where = tuple[slice, slice]
# Connectivity over corners.
CORNERS = np.ones((3, 3), bool)


def log_intensity(channel: NDArray[np.generic]) -> Real:
    """Return log intensities, whose differences are ratios, as absorbed light leaves them."""
    values = channel.astype(np.float32)
    grey = rescale(values, intensity_range(values[::2, ::2]))
    return np.asarray(np.log(grey + LEAST_GREY), np.float32)


def remove_background(grey: Real) -> Real:  # [y x] -> [y x]
    """Return log intensities that are as bright and as varied everywhere, which leaves what is thin.

    >>> light = np.tile(np.linspace(5, 9, 64, dtype=np.float32), (64, 1)); light[30] *= 0.8
    >>> level = remove_background(np.log(light))
    >>> bool(level[30].max() < -2 < level[25].min())
    True
    """
    rest = grey - gaussian_filter(grey, BACKGROUND_SCALE)
    spread = np.sqrt(gaussian_filter(rest**2, 2 * BACKGROUND_SCALE))
    return np.asarray(rest / (spread + LEAST_SPREAD), np.float32)


def line_logits(engine: Engine, level: Real) -> Real:  # [y x] -> [y x]
    """Return the logits of every pixel to lie on a dark line, by squares that overlap."""
    return LineLogits(engine, level).whole()


class LineLogits:
    """The logits of pixels to lie on a dark line, of each square computed when it is first asked for."""

    def __init__(self, engine: Engine, level: Real) -> None:
        self._engine = engine
        self._level = level
        self._squares: dict[tuple[int, int], Real] = {}
        self._whole: Real | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._level.shape

    def whole(self) -> Real:  # [y x]
        """Return the logits of all pixels."""
        if self._whole is None:
            self._whole = self._by_squares(range(self.shape[0]), range(self.shape[1]))
            self._squares.clear()
        return self._whole

    def near(self, y: int, x: int) -> Real:  # [y x]
        """Return the logits of all pixels, right within a step or two of one; no more squares than that needs."""
        if self._whole is not None:
            return self._whole
        rows, columns = (range(at - MARK_REACH, at + MARK_REACH + 1) for at in (y, x))
        return self._by_squares(rows, columns)

    def _by_squares(self, rows: range, columns: range) -> Real:
        found = np.zeros_like(self._level)
        for top in _starts(self.shape[0]):
            for left in _starts(self.shape[1]):
                y, x = (0 if start == 0 else OVERLAP // 2 for start in (top, left))
                if _meet(range(top + y, top + TILE), rows) and _meet(range(left + x, left + TILE), columns):
                    found[top + y : top + TILE, left + x : left + TILE] = self._square(top, left)[y:, x:]
        return np.clip(found, -MAX_LOGIT, MAX_LOGIT)

    def _square(self, top: int, left: int) -> Real:
        found = self._squares.get((top, left))
        if found is None:
            part = self._level[top : top + TILE, left : left + TILE]
            missing = [(0, TILE - side) for side in part.shape]
            padded = np.pad(part, missing, mode="symmetric")
            logits = self._engine.run({"x": padded[None, None]})["logits"]
            found = self._squares[top, left] = logits[0, 0, : part.shape[0], : part.shape[1]]
        return found


def _meet(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def _starts(side: int) -> list[int]:
    """Return where the squares along a side begin.

    >>> _starts(200), _starts(256), _starts(400)
    ([0], [0], [0, 144])
    """
    count = 1 + max(0, -(-(side - TILE) // (TILE - OVERLAP)))
    return [round(at) for at in np.linspace(0, max(side - TILE, 0), count)]


@dataclass(frozen=True, eq=False)
class FoundLines:
    """The lines of a picture, looked for near a mark first, and as a whole once it lies on one."""

    logits: LineLogits
    shape: tuple[int, ...]
    coarse: int = 1

    def prepare(self) -> None:
        """Look for all of them."""
        self.logits.whole()

    def along(self, positive: Pixels, negative: Pixels, box: Where | None = None) -> Real | None:  # [y x] 0 to 1
        """Return what `Lines.along` does."""
        if box is None:
            marked = _sampled(positive, self.coarse, self.logits.shape)[:1]
            if not len(marked):
                return None
            y, x = marked[0].tolist()
            if not float(Lines.largest_near(self.logits.near(y, x), marked)[0]) > MARK_LOGIT:
                return None
        return Lines(self.logits.whole(), self.shape, self.coarse).along(positive, negative, box)


@dataclass(frozen=True, eq=False)
class Lines:
    """Where the lines of one kind, dark or bright, are in one channel of a picture."""

    logits: Real  # [y x] of squares of `coarse` pixels: logits to lie on one
    shape: tuple[int, ...]  # of the picture; what is left of it at its ends is as the last square
    coarse: int = 1

    def along(self, positive: Pixels, negative: Pixels, box: Where | None = None) -> Real | None:  # [y x] 0 to 1
        """Return the probability of each pixel to be on the lines that are marked, or that fill a box.

        None where the first mark is on no line, or what fills the box is none.
        """
        positive, negative = (_sampled(pixels, self.coarse, self.logits.shape) for pixels in (positive, negative))
        threshold = LINE_LOGIT if box is not None else self._threshold(positive)
        if threshold is None:
            return None
        lines = self if box is None else self._inside(box)
        core = lines.components_near(lines.logits > threshold, positive[:1] if box is None else positive[:0])
        if not thin(core) or not (box is None or _fills(core, self._part(box))):
            return None
        joined = label(lines.probability(threshold, positive, negative[:0]) > 0.5, CORNERS)[0]
        kept = np.isin(joined, np.setdiff1d(np.concatenate([joined[core], lines.largest_near(joined, positive)]), 0))
        probability = lines.probability(threshold, positive, negative)
        return self._to_pixels(np.where(kept, probability, np.minimum(probability, 0.5)).astype(np.float32))

    def _threshold(self, positive: Pixels) -> float | None:
        """Return the logits that lines have at least, as the first mark says; None where it is on none."""
        if not len(positive):
            return None
        marked = float(self.largest_near(self.logits, positive[:1])[0])
        return min(LINE_LOGIT, marked - MARGIN) if marked > MARK_LOGIT else None

    def _part(self, box: Where) -> Where:
        rows, columns = (slice(part.start // self.coarse, -(-part.stop // self.coarse)) for part in box)
        return rows, columns

    def _inside(self, box: Where) -> Lines:
        logits = np.full_like(self.logits, -MAX_LOGIT)
        logits[self._part(box)] = self.logits[self._part(box)]
        return replace(self, logits=logits)

    @staticmethod
    def components_near(mask: Plane, marked: Pixels) -> Plane:
        """Return the connected components of a mask at the marks; without marks the largest one."""
        labels = label(mask, CORNERS)[0]
        if len(marked):
            return np.isin(labels, np.setdiff1d(Lines.largest_near(labels, marked), 0))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        return np.asarray((labels == sizes.argmax()) & mask)

    def _to_pixels(self, probability: Real) -> Real:
        if self.coarse == 1:
            return probability
        fine = uniform_filter(probability.repeat(self.coarse, 0).repeat(self.coarse, 1), self.coarse)
        rest = [(0, size - side) for size, side in zip(self.shape, fine.shape, strict=True)]
        return np.asarray(np.pad(fine, rest, mode="edge"), np.float32)

    @staticmethod
    def largest_near(values: NDArray[np.generic], pixels: Pixels) -> NDArray[np.generic]:  # [y x], [n 2] -> [n]
        """Return the largest value within a step or two of each pixel."""
        rows, columns = values.shape
        found = [
            values[
                max(y - MARK_REACH, 0) : min(y + MARK_REACH + 1, rows),
                max(x - MARK_REACH, 0) : min(x + MARK_REACH + 1, columns),
            ].max()
            for y, x in pixels.tolist()
        ]
        return np.asarray(found, values.dtype)

    def probability(self, usual: float, positive: Pixels, negative: Pixels) -> Real:  # [y x]
        """Return the probability of each pixel to lie on a line, above the usual threshold or that of marks near it."""
        corrections: list[tuple[int, int, float]] = []
        for pixels, side in ((positive, -1), (negative, 1)):
            for (y, x), marked in zip(pixels.tolist(), self.largest_near(self.logits, pixels).tolist(), strict=True):
                threshold = marked + side * MARGIN
                if side * threshold > side * usual:  # it says something new
                    corrections.append((y, x, threshold))
        moved = sum(float(np.clip(threshold - usual, -MOST_MOVED, MOST_MOVED)) for *_, threshold in corrections)
        usual += EVERYWHERE * moved / (1 + EVERYWHERE * len(corrections))
        weight, wanted = np.zeros_like(self.logits), np.zeros_like(self.logits)
        for y, x, threshold in corrections:
            bell = _bell(self.logits.shape, y, x)
            weight += bell
            wanted += bell * (threshold - usual)
        return np.asarray(1 / (1 + np.exp(usual + wanted / np.maximum(weight, 1) - self.logits)), np.float32)


def _sampled(pixels: Pixels, coarse: int, shape: tuple[int, ...]) -> Pixels:
    """Return some of a picture's pixels where they lie among squares of this shape."""
    return np.asarray(np.minimum(pixels[:: len(pixels) // MOST_MARKS + 1] // coarse, np.subtract(shape, 1)))


def _bell(shape: tuple[int, ...], y: int, x: int) -> Real:
    away = [(np.arange(count) - at) / CORRECTION_SCALE for count, at in zip(shape, (y, x), strict=True)]
    down, across = (np.exp(-(part**2) / 2) for part in away)
    return np.asarray(down[:, None] * across, np.float32)


def lines_of(channels: NDArray[np.generic], engine: Engine) -> FoundLines | None:  # [c y x]
    """Return the lines of a picture: dark or bright, in the channel that has them clearest; None where it has none.

    Which those are the middle of the picture tells: of the wrong ones the network is not sure.
    """
    shape = channels.shape[1:]
    coarse = -(-max(shape) // MOST_SIDE)
    rows, columns = (side // coarse for side in shape)
    if min(rows, columns) < LEAST_SIDE:
        return None
    parts = channels[:, : rows * coarse, : columns * coarse].reshape(-1, rows, coarse, columns, coarse)
    channels = parts.mean(axis=(2, 4), dtype=np.float32) if coarse > 1 else channels
    top, left = (max(0, (side - TILE) // 2) for side in (rows, columns))
    greys = [log_intensity(channel) for channel in channels]
    middles = [remove_background(part[top : top + TILE, left : left + TILE]) for part in greys]
    best, found = 0.0, None
    for sign in (1, -1):
        for part, middle in zip(greys, middles, strict=True):
            logits = line_logits(engine, sign * middle)
            sure, perhaps = (float((logits > threshold).mean()) for threshold in (CERTAIN_LOGIT, -CERTAIN_LOGIT))
            if sure > max(LEAST_SHARE, LEAST_CERTAIN * perhaps) and sure**2 > best * perhaps:
                best, found = sure**2 / perhaps, sign * part
        if best > CLEAR_SHARE:
            break
    return None if found is None else FoundLines(LineLogits(engine, remove_background(found)), shape, coarse)


def _fills(mask: Plane, part: Where) -> bool:
    """Tell whether a mask spans a rectangle in both directions."""
    spans = [np.ptp(np.flatnonzero(mask.any(axis=axis))) + 1 for axis in (1, 0)]
    return all(span >= FILLED * (side.stop - side.start) for span, side in zip(spans, part, strict=True))


def thin(mask: Plane) -> bool:
    """Tell whether a mask is of lines: nowhere wide, and many times as long.

    >>> mask = np.zeros((60, 300), bool); mask[20:23, 5:295] = True
    >>> wide = np.zeros((60, 300), bool); wide[10:50, 5:295] = True
    >>> thin(mask), thin(wide)
    (True, False)
    """
    if not mask.any():
        return False
    half = float(np.percentile(distance_transform_edt(mask)[mask], 95))
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    return half <= THICK and bool(longest >= LONG * half)
