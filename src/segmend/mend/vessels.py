"""Thin things in pictures, such as vessels and fibres: what a network that sees 128 cells across has no cells for.

A small network of its own, which has learned from drawn strands, tells of every pixel how likely it is to lie on a
dark line. What is joined to a marked line is the answer, where it is thin and long; a mark that lies on no such thing
is no business of this. A person's marks raise and lower the bar near them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, uniform_filter

from segmend.core.image import Real
from segmend.runtime.engine import Engine

LEAST_TONE = 0.04  # of the range: darker is all the same
LEVEL = 10.0  # pixels over which tones are made level
LEAST_SPREAD = 0.02  # log tones: what varies less is flat
TILE = 256  # pixels: the network sees squares of one size, so that it is compiled once ...
SEAM = 32  # ... of whose rims so much is seen by the next one
LEAST_SIDE = 64  # pixels: in smaller pictures nothing is that long
MOST_SIDE = 640  # pixels: larger pictures are looked at in coarser ones
SURE = 2.0  # logits
LEAST_SHARE = 0.003  # of the middle of a picture that surely is lines, where it has some ...
LEAST_SURE = 0.1  # ... and of what may be
CLEARLY = 0.01  # the product of both from which dark lines leave no uncertainty that they are those
ON = 2  # pixels from a mark to its line
MAX_LOGIT = 8.0  # logits: more is as sure
BAR = 0.3  # logits from which a pixel is on a line ...
CLEAR = 0.0  # ... and which a mark on one has at least
MOST_MARKS = 32  # pixels of all marks of a side that are heard
FILLED = 0.75  # of both sides of a box that is of lines
THICK = 5.0  # pixels: half of the width of the widest line
LONG = 80.0  # times as long as half as wide
NEAR = 12.0  # pixels: a correction is heard so far away, and fades
EVERYWHERE = 0.15  # ... to this share of what it is where it is put down ...
MOST_MOVED = 1.0  # ... but of so many logits at most
MARGIN = 0.5  # logits between a mark and the bar that it moves

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


def level_tones(tones: Real) -> Real:  # [y x] -> [y x]
    """Return log tones that are as bright and as varied everywhere, which leaves what is thin.

    >>> light = np.tile(np.linspace(5, 9, 64, dtype=np.float32), (64, 1)); light[30] *= 0.8
    >>> level = level_tones(np.log(light))
    >>> bool(level[30].max() < -2 < level[25].min())
    True
    """
    rest = tones - gaussian_filter(tones, LEVEL)
    spread = np.sqrt(gaussian_filter(rest**2, 2 * LEVEL))
    return np.asarray(rest / (spread + LEAST_SPREAD), np.float32)


def line_logits(engine: Engine, level: Real) -> Real:  # [y x] -> [y x]
    """Return the logits of every pixel to lie on a dark line, by squares that overlap."""
    rows, columns = level.shape
    found = np.zeros_like(level)
    for top in _starts(rows):
        for left in _starts(columns):
            part = level[top : top + TILE, left : left + TILE]
            missing = [(0, TILE - side) for side in part.shape]
            padded = np.pad(part, missing, mode="symmetric")
            logits = engine.run({"x": padded[None, None]})["logits"][0, 0, : part.shape[0], : part.shape[1]]
            y, x = (0 if start == 0 else SEAM // 2 for start in (top, left))
            found[top + y : top + TILE, left + x : left + TILE] = logits[y:, x:]
    return np.clip(found, -MAX_LOGIT, MAX_LOGIT)


def _starts(side: int) -> list[int]:
    """Return where the squares along a side begin.

    >>> _starts(200), _starts(256), _starts(400)
    ([0], [0], [0, 144])
    """
    count = 1 + max(0, -(-(side - TILE) // (TILE - SEAM)))
    return [round(at) for at in np.linspace(0, max(side - TILE, 0), count)]


@dataclass(frozen=True, eq=False)
class Lines:
    """Where the lines of one kind, dark or bright, are in one channel of a picture."""

    logits: Real  # [y x] of squares of `coarse` pixels: logits to lie on one
    shape: tuple[int, ...]  # of the picture; what is left of it at its ends is as the last square
    coarse: int = 1

    def along(self, positive: Pixels, negative: Pixels, box: Where | None = None) -> Real | None:  # [y x] 0 to 1
        """Return the chance of each pixel to be on the lines that are marked, or that fill a box.

        None where the first mark is on no line, or what fills the box is none.
        """
        positive, negative = (self._few(pixels) for pixels in (positive, negative))
        bar = BAR if box is not None else self._bar(positive)
        if bar is None:
            return None
        lines = self if box is None else self._inside(box)
        core = lines.joined_to(lines.logits > bar, positive[:1] if box is None else positive[:0])
        if not thin(core) or not (box is None or _fills(core, self._part(box))):
            return None
        joined = label(lines.chance(bar, positive, negative[:0]) > 0.5, WITH_CORNERS)[0]
        kept = np.isin(joined, np.setdiff1d(np.concatenate([joined[core], lines.near(joined, positive)]), 0))
        chance = lines.chance(bar, positive, negative)
        return self._fine(np.where(kept, chance, np.minimum(chance, 0.5)).astype(np.float32))

    def _bar(self, positive: Pixels) -> float | None:
        """Return the logits that lines have at least, as the first mark says; None where it is on none."""
        if not len(positive):
            return None
        clear = float(self.near(self.logits, positive[:1])[0])
        return min(BAR, clear - MARGIN) if clear > CLEAR else None

    def _few(self, pixels: Pixels) -> Pixels:
        """Return some of a picture's pixels where they lie here."""
        last = np.subtract(self.logits.shape, 1)
        return np.asarray(np.minimum(pixels[:: len(pixels) // MOST_MARKS + 1] // self.coarse, last))

    def _part(self, box: Where) -> Where:
        rows, columns = (slice(part.start // self.coarse, -(-part.stop // self.coarse)) for part in box)
        return rows, columns

    def _inside(self, box: Where) -> Lines:
        logits = np.full_like(self.logits, -MAX_LOGIT)
        logits[self._part(box)] = self.logits[self._part(box)]
        return replace(self, logits=logits)

    @staticmethod
    def joined_to(mask: Plane, marked: Pixels) -> Plane:
        """Return the pieces of a mask at the marks; without marks the largest piece."""
        pieces = label(mask, WITH_CORNERS)[0]
        if len(marked):
            return np.isin(pieces, np.setdiff1d(Lines.near(pieces, marked), 0))
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        return np.asarray((pieces == sizes.argmax()) & mask)

    def _fine(self, chance: Real) -> Real:
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
        told: list[tuple[int, int, float]] = []
        for pixels, side in ((positive, -1), (negative, 1)):
            for (y, x), clear in zip(pixels.tolist(), self.near(self.logits, pixels).tolist(), strict=True):
                bar = clear + side * MARGIN
                if side * bar > side * usual:  # it says something new
                    told.append((y, x, bar))
        moved = sum(float(np.clip(bar - usual, -MOST_MOVED, MOST_MOVED)) for *_, bar in told)
        usual += EVERYWHERE * moved / (1 + EVERYWHERE * len(told))
        heard, wanted = np.zeros_like(self.logits), np.zeros_like(self.logits)
        for y, x, bar in told:
            bell = _bell(self.logits.shape, y, x)
            heard += bell
            wanted += bell * (bar - usual)
        return np.asarray(1 / (1 + np.exp(usual + wanted / np.maximum(heard, 1) - self.logits)), np.float32)


def _bell(shape: tuple[int, ...], y: int, x: int) -> Real:
    away = [(np.arange(count) - at) / NEAR for count, at in zip(shape, (y, x), strict=True)]
    down, across = (np.exp(-(part**2) / 2) for part in away)
    return np.asarray(down[:, None] * across, np.float32)


def lines_of(channels: NDArray[np.generic], engine: Engine) -> Lines | None:  # [c y x]
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
    tones = [log_tones(channel) for channel in channels]
    middles = [level_tones(part[top : top + TILE, left : left + TILE]) for part in tones]
    best, found = 0.0, None
    for sign in (1, -1):
        for part, middle in zip(tones, middles, strict=True):
            logits = line_logits(engine, sign * middle)
            sure, perhaps = (float((logits > bar).mean()) for bar in (SURE, -SURE))
            if sure > max(LEAST_SHARE, LEAST_SURE * perhaps) and sure**2 > best * perhaps:
                best, found = sure**2 / perhaps, sign * part
        if best > CLEARLY:
            break
    return None if found is None else Lines(line_logits(engine, level_tones(found)), shape, coarse)


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
