"""Thin things in pictures, such as vessels and fibres: what a network that sees 128 cells across has no cells for.

A line is darker, or brighter, than what lies on both of its sides. Every pixel is asked how much so, along the best of
some directions and widths: its clearness. What is joined to a marked line and is about a third as clear as that is the
answer, where it is thin and long; a mark that lies on no such thing is no business of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segmend.image import Real

WIDTHS = (1.2, 2.0)  # pixels: the lines that are looked for, as Gaussians
DIRECTIONS = 8
SAMPLES = 7  # along a line ...
HALF = 3.4  # ... as many widths to either side
LEAST_TONE = 0.04  # of the range: darker is all the same
STEP = 0.4  # a change over some pixels, in log tones, that is a rim rather than a line
RIM = 4.0  # pixels over which it is felt ...
RIM_REACH = 12  # ... and round which nothing is a line
SPARSE = 2.4  # times as clear as nine tenths of a picture is one in fifty of its pixels, where it has lines
FAINT = 0.025  # log tones: lines of a picture that are no clearer at their clearest are noise
ON = 2  # pixels from a mark to its line
CLEAR = 1.75  # times as clear as nine tenths of the picture has a mark on a line to be
LEAST_SIDE = 64  # pixels: in smaller pictures nothing is that long
MOST_SIDE = 640  # pixels: larger pictures are looked at in coarser ones
MOST_MARKS = 32  # pixels of all marks of a side that are heard
CLEAR_IN_BOX = 2.6  # ... and the clearest lines that fill a box
FILLED = 0.75  # of both of its sides
JOINED = 0.35  # of a mark's clearness is on the same line
THICK = 5.0  # pixels: half of the width of the widest line
LONG = 80.0  # times as long as half as wide
NEAR = 16.0  # pixels: a correction is heard so far away, and fades
WEIGHT = 8.0  # ... and counts so much where it is
MORE = 0.5  # what is half as clear as a mark inside is inside, near it
LESS = 1.15  # what is hardly clearer than a mark outside is outside, near it
SOFT = 0.15  # of the bar: clearness that is neither

Plane = NDArray[np.bool_]  # [y x]
Pixels = NDArray[np.intp]  # [n 2]
Where = tuple[slice, slice]
WITH_CORNERS = np.ones((3, 3), bool)


def log_tones(channel: NDArray[np.generic]) -> Real:
    """Return tones whose differences are ratios, as light that is swallowed leaves them."""
    values = channel.astype(np.float32)
    low, high = np.percentile(values[::2, ::2], (0.5, 99.5))
    tones = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(np.log(tones + LEAST_TONE), np.float32)


def line_clearness(tones: Real) -> Real:  # [y x] -> [y x]
    """Return how much darker than both of its sides a line through each pixel is.

    >>> tones = np.zeros((31, 31), np.float32); tones[15] = -1
    >>> clear = line_clearness(tones)
    >>> bool(clear[15, 15] > 5 * clear[10, 15] >= 0), float(line_clearness(-tones)[15, 15]) < 0.01
    (True, True)
    """
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, maximum_filter

    margin = int(HALF * max(WIDTHS)) + 1
    padded = np.pad(tones, margin, mode="edge")
    best = np.zeros_like(padded)
    for width in WIDTHS:
        down, across, both = (width * gaussian_filter(padded, width, order=order) for order in ((2, 0), (0, 2), (1, 1)))
        for at in range(DIRECTIONS):
            angle = np.pi * at / DIRECTIONS
            y, x = np.sin(angle), np.cos(angle)
            bent = x * x * down + y * y * across - 2 * x * y * both
            steps = np.linspace(-HALF * width, HALF * width, SAMPLES)
            along = sum(np.roll(bent, (round(step * y), round(step * x)), (0, 1)) for step in steps) / SAMPLES
            np.maximum(best, along, out=best)
    clear = best[margin:-margin, margin:-margin].copy()
    rims = gaussian_gradient_magnitude(tones, RIM) * RIM > STEP
    clear[maximum_filter(rims, RIM_REACH)] = 0
    return clear


@dataclass(frozen=True, eq=False)
class Lines:
    """How clear the lines of one kind, dark or bright, are in one channel of a picture."""

    clear: Real  # [y x] of squares of `coarse` pixels
    shape: tuple[int, ...]  # of the picture; what is left of it at its ends is as the last square
    coarse: int = 1

    @cached_property
    def usual(self) -> float:
        """How clear nine tenths of the picture at most are."""
        return max(float(np.percentile(self.clear, 90)), 1e-6)

    @cached_property
    def clearest(self) -> float:
        """How clear the clearest lines are: one in fifty pixels."""
        return float(np.percentile(self.clear, 98))

    def along(self, positive: Pixels, negative: Pixels, box: Where | None = None) -> Real | None:  # [y x] 0 to 1
        """Return the chance of each pixel to be on the lines that are marked, or that fill a box.

        None where the first mark is on no line, or what fills the box is none.
        """
        from scipy.ndimage import label

        positive, negative = (self._few(pixels) for pixels in (positive, negative))
        bar = self._bar(positive, box)
        if bar is None:
            return None
        lines = self if box is None else self._inside(box)
        core = lines.joined_to(lines.clear > bar, positive[:1] if box is None else positive[:0])
        if not thin(core) or not (box is None or _fills(core, self._part(box))):
            return None
        joined = label(lines.chance(bar, positive, negative[:0]) > 0.5, WITH_CORNERS)[0]
        kept = np.isin(joined, np.setdiff1d(np.concatenate([joined[core], lines.near(joined, positive)]), 0))
        chance = lines.chance(bar, positive, negative)
        return self._fine(np.where(kept, chance, np.minimum(chance, 0.5)).astype(np.float32))

    def _bar(self, positive: Pixels, box: Where | None) -> float | None:
        """Return how clear lines have to be at least, as the first mark or the box says."""
        if box is not None:
            there = self.clear[self._part(box)]
            clear = float(np.percentile(there, 99)) if there.size else 0.0
            return JOINED * clear if clear > CLEAR_IN_BOX * self.usual else None
        if not len(positive):
            return None
        clear = float(self.near(self.clear, positive[:1])[0])
        return JOINED * min(clear, self.clearest) if clear > CLEAR * self.usual else None

    def _few(self, pixels: Pixels) -> Pixels:
        """Return some of a picture's pixels where they lie here."""
        last = np.subtract(self.clear.shape, 1)
        return np.asarray(np.minimum(pixels[:: len(pixels) // MOST_MARKS + 1] // self.coarse, last))

    def _part(self, box: Where) -> Where:
        rows, columns = (slice(part.start // self.coarse, -(-part.stop // self.coarse)) for part in box)
        return rows, columns

    def _inside(self, box: Where) -> Lines:
        clear = np.zeros_like(self.clear)
        clear[self._part(box)] = self.clear[self._part(box)]
        return replace(self, clear=clear)

    @staticmethod
    def joined_to(mask: Plane, marked: Pixels) -> Plane:
        """Return the pieces of a mask at the marks; without marks the largest piece."""
        from scipy.ndimage import label

        pieces = label(mask, WITH_CORNERS)[0]
        if len(marked):
            return np.isin(pieces, np.setdiff1d(Lines.near(pieces, marked), 0))
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        return np.asarray((pieces == sizes.argmax()) & mask)

    def _fine(self, chance: Real) -> Real:
        from scipy.ndimage import uniform_filter

        if self.coarse == 1:
            return chance
        fine = uniform_filter(chance.repeat(self.coarse, 0).repeat(self.coarse, 1), self.coarse)
        rest = [(0, size - side) for size, side in zip(self.shape, fine.shape, strict=True)]
        return np.asarray(np.pad(fine, rest, mode="edge"), np.float32)

    @staticmethod
    def near(values: NDArray[np.generic], pixels: Pixels) -> NDArray[np.generic]:  # [y x], [n 2] -> [n]
        """Return the largest value within a step or two of each pixel."""
        rows, columns = values.shape
        found = [
            values[max(y - ON, 0) : min(y + ON + 1, rows), max(x - ON, 0) : min(x + ON + 1, columns)].max()
            for y, x in pixels.tolist()
        ]
        return np.asarray(found, values.dtype)

    def chance(self, usual: float, positive: Pixels, negative: Pixels) -> Real:  # [y x]
        """Return the chance of each pixel to lie on as clear a line as usual, or as marks near it say."""
        weights, wanted = np.ones_like(self.clear), np.full_like(self.clear, usual)
        for pixels, share in ((positive, MORE), (negative, LESS)):
            for (y, x), clear in zip(pixels.tolist(), self.near(self.clear, pixels).tolist(), strict=True):
                told = share * clear
                if (share < 1) == (told < usual):  # it says something new
                    heard = WEIGHT * _bell(self.clear.shape, y, x)
                    weights += heard
                    wanted += heard * told
        bar = np.maximum(wanted / weights, 1e-6)
        return np.asarray(np.clip(0.5 + (self.clear / bar - 1) / (2 * SOFT), 0, 1), np.float32)


def _bell(shape: tuple[int, ...], y: int, x: int) -> Real:
    away = [(np.arange(count) - at) / NEAR for count, at in zip(shape, (y, x), strict=True)]
    down, across = (np.exp(-(part**2) / 2) for part in away)
    return np.asarray(down[:, None] * across, np.float32)


def lines_of(channels: NDArray[np.generic]) -> Lines | None:  # [c y x]
    """Return the lines of a picture: dark or bright, in the channel that has them clearest; None where it has none.

    Which those are the middle of the picture tells: where there are lines, few pixels are far clearer than most.
    """
    shape = channels.shape[1:]
    coarse = -(-max(shape) // MOST_SIDE)
    rows, columns = (side // coarse for side in shape)
    if min(rows, columns) < LEAST_SIDE:
        return None
    parts = channels[:, : rows * coarse, : columns * coarse].reshape(-1, rows, coarse, columns, coarse)
    channels = parts.mean(axis=(2, 4), dtype=np.float32) if coarse > 1 else channels
    middle = np.s_[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    best, found = 0.0, None
    for tones in (sign * tones for tones in map(log_tones, channels) for sign in (1, -1)):
        usual, clearest = np.percentile(line_clearness(tones[middle]), (75, 98))
        if clearest > FAINT and clearest > best * usual:
            best, found = float(clearest / max(usual, 1e-6)), tones
    if found is None:
        return None
    lines = Lines(line_clearness(found), shape, coarse)
    return lines if lines.clearest > SPARSE * lines.usual else None


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
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return False
    half = float(np.percentile(distance_transform_edt(mask)[mask], 95))
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    return half <= THICK and bool(longest >= LONG * half)
