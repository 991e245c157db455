"""How mend looks at a plane: windows that follow the object, each read once, answered lightly after every mark.

The reader turns what a window shows into features, which are kept; the refiner turns features, the mask so far and
the prompts into an answer. Windows have only certain sizes (a ladder of steps of the root of 2, down from the whole
plane) and lie on a grid an eighth of their side wide. So the window of an object is the same from mark to mark while
its extent hardly changes, and nothing is read anew. Which window is looked through follows from the prompts and the
mask so far alone, never from what is kept: a replay gives the same masks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, label
from scipy.spatial import cKDTree

from segmend.core.image import Box, Image, Real, bounds
from segmend.core.logits import logit, sigmoid
from segmend.core.marks import in_plane, marks
from segmend.core.masks import dice
from segmend.core.prompts import Click, Extremes, Prompt, Stroke, extent
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.session import Finetune
from segmend.mend.boundary import by_tones, intensity_logits
from segmend.mend.vessels import Lines, lines_of
from segmend.runtime.engine import Engine
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.initial_mask import prompts_since_mask, trusts_network_over_mask
from segmend.sampling.intensity import colour_or_grey, window_channels
from segmend.sampling.probability import uncertainty_of
from segmend.sampling.slice_prompts import is_correction, mark_count
from segmend.sampling.window import (
    Window,
    around,
    cells_on_plane,
    resample_to_grid,
    resample_to_plane,
)
from segmend.solvers.finetune import IN_2D, Head, Tuning, alternate, one_thread

CELLS = 128  # the side of the grid the networks were trained on
STEPS = 2  # windows between one size and its half
PLACES = 8  # of a window's side: the grid that windows lie on
MARGIN = 1.4  # of the object's longer side at least; with the ladder 1.4 to 2
LEAST_OBJECT = 24.0  # pixels: a window is cut no closer than for an object as large as this
LEAST_LOOK = 20.0  # pixels: nearer there is nothing more to see
KEPT = 32  # windows whose features are kept, 1.4 MB each
GAP = 0.08  # of a box's side that a mask may stay away from either end
MOST_RAISED = 2.0  # logits by which chances are raised until it does ...
RAISES = 21  # ... in so many steps
HOLD = 2.0  # cells from a mark within which a change reaches it
LARGE = 0.3  # of a mask: a later mark's change that is larger is believed near the mark only ...
LARGE_ELSEWHERE = 0.1  # ... and of a mask from elsewhere ...
FAR = 1.5  # ... times as far as the mark lies from the boundary that it corrects ...
LEAST_DEPTH = 2.0  # ... or as these pixels
FINER = 1.2  # pixels: cells this wide hide details of a mask from elsewhere
LEAST_CHANCE = 1e-4  # that is told apart from none
MIN_LOGIT = 0.1  # what a cut's labels say at least, in logits
LINES_FLATTERED = 0.045  # of the Dice that chances along lines let expect, by train cases (docs/mend.md)
SAME = 0.8  # the Dice of a mask so far with what was drawn along lines before it
OPINION = 0.2  # the share of a second opinion in what is told of an answer's quality
KNOWN = 0.06  # what marks add to it: so much, less ...
AMBIGUOUS = 0.2  # ... this by their number, for one alone may mean many things
DISAGREED = 0.85  # the share of what a second opinion and tones both disagree on in uncertainty
TOUCHING = 0.3  # what a mask that its window cuts off loses of its expected Dice and its likeness to the next one

Plane = NDArray[np.bool_]  # [y x]
Pixels = NDArray[np.intp]  # [n 2]
Where = tuple[slice, slice]
Rectangle = tuple[float, float, float, float]  # top, left, bottom, right


# The paper's price of edges isolates single clicks, and its weight of marks is for strokes.
TUNING = replace(IN_2D, smoothness=1.0, marks=100.0)


@dataclass(frozen=True, kw_only=True)
class PlaneOptions:
    """How a plane is looked at; each of these was measured (docs/mend.md)."""

    first: tuple[int, ...] = (0, 1, 2, 3, 4, 6)  # the ladder's steps from which marks alone are looked at
    near: bool = True  # look again from near at the newest mark of a large object
    coarse: float = 1.5  # ... whose window's cells are at least so many pixels wide
    again: int = 2  # times at most that the mask is asked for once more, with itself as the mask so far
    sure: float = 0.93  # ... as long as less Dice than this is expected
    rise: float = 0.005  # ... and it rises by as much as this
    span: bool = True  # the first answer to a box reaches its sides, or nearly
    hold: bool = True  # a mask changes only where a change reaches the newest mark
    later: int = 3  # ... and from this mark on a large change is believed near it only
    tones: bool = True  # move an answer's boundary to where the window's tones have one
    opinion: bool = True  # ask for a second opinion of the answer's quality and of where it is uncertain
    lines: bool = True  # follow the lines of a picture from marks on them
    finetune: Finetune = (
        "auto"  # teach the last layers this image: when marks disagree with the mask, with every correction
    )
    tuning: Tuning = TUNING


@dataclass(frozen=True, eq=False)
class Networks:
    """The reader maps `x` [1 4 n n] to f0, f1, ..., the refiner those and `prompts` [1 4 n n] to what it answers."""

    reader: Engine
    refiner: Engine
    head: Head | None = None  # the refiner's last layers, on `hidden`
    lines: Engine | None = None  # maps level tones `x` [1 1 n n] to `logits` of lying on a dark line


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """What a window shows and what the reader says of it."""

    tones: Real  # [4 n n]
    features: dict[str, Real]


@dataclass(frozen=True, eq=False)
class WindowAnswer:
    """The answer through one window: on its cells, and on the pixels `where` of its plane."""

    window: Window
    logits: Real  # [n n]
    probability: Real  # [y x] of `where`
    uncertainty: Real  # [y x] of `where`, 0 to 1
    where: Where
    quality: float | None  # the Dice that the refiner expects; None for an empty mask
    hidden: Real  # [w n n]
    finetuned: bool = False  # by layers that were taught this image

    @property
    def mask(self) -> Plane:
        return np.asarray(self.probability > 0.5)


@dataclass(frozen=True, eq=False)
class Question:
    """A plane and what is known of it."""

    prompts: Sequence[Prompt]
    axis: int
    index: int
    here: Plane  # the mask so far

    def with_mask(self, here: Plane) -> Question:
        return replace(self, here=here)


class PlanePredictor:
    """One image, of which any plane can be asked about."""

    def __init__(self, networks: Networks, image: Image, looking: PlaneOptions | None = None) -> None:
        self.networks = networks
        self.image = image
        self.options = PlaneOptions() if looking is None else looking
        self._kept: OrderedDict[tuple[int, int, Window], WindowFeatures] = OrderedDict()
        self._lines: tuple[Lines | None] | None = None

    def with_finetuning(self, finetune: Finetune) -> PlanePredictor:
        """Return one that fine-tunes as said and shares what is kept."""
        other = copy(self)
        other.options = replace(self.options, finetune=finetune)
        return other

    def whole_window(self, axis: int) -> Window:
        """Return the window of a whole plane."""
        rows, columns = np.delete(self.image.shape, axis)
        return around(0, 0, int(rows), int(columns), margin=1.0, aspect=self.aspect(axis))

    def aspect(self, axis: int) -> float:
        """Return the row spacing over the column spacing of a plane."""
        rows, columns = np.delete(self.image.spacing, axis)
        return float(rows / columns)

    def ahead(self) -> None:
        """Read the whole of a picture, which the first mark alone is seen in, and its lines before anybody marks it."""
        with one_thread():
            self.read(0, 0, self.whole_window(0))
            self.lines()

    def lines(self) -> Lines | None:
        """Return the lines of a picture, None where it has none."""
        if self._lines is None:
            engine, channels = self.networks.lines, colour_or_grey(self.image.voxels[:, 0])
            self._lines = (None if engine is None else lines_of(channels, engine),)
        return self._lines[0]

    def answer(self, question: Question) -> WindowAnswer:
        """Answer one plane: along lines where marks lie on them, else as `look` and `second` do."""
        along = self._along(question)
        return self.second(question, self.look(question)) if along is None else along

    def _along(self, question: Question) -> WindowAnswer | None:
        """Answer marks on a line with all that is joined to it; None where the mask so far is of something else."""
        prompts = question.prompts
        marked = all(isinstance(p, Click | Stroke) for p in prompts[isinstance(prompts[0], Box) :])
        if not (self.options.lines and self.image.flat and marked):
            return None
        with one_thread():
            lines = self.lines()
            before = self._drawn(lines, replace(question, prompts=prompts[:-1]))
            if not _same(question.here, before):
                return None
            chance = self._drawn(lines, question)
        if chance is None:
            return None
        nothing = np.zeros((0, CELLS, CELLS), np.float32)
        uncertainty = uncertainty_of(np.minimum(chance, 1 - chance))
        where = _whole(chance)
        return WindowAnswer(
            self.whole_window(question.axis), nothing, chance, uncertainty, where, _expected(chance), nothing
        )

    def _drawn(self, lines: Lines | None, question: Question) -> Real | None:
        if lines is None or not question.prompts:
            return None
        first = question.prompts[0]
        box = first.slices[1:] if isinstance(first, Box) else None
        return lines.along(*self.marked(question), box)

    def look(self, question: Question) -> WindowAnswer:
        """Answer one plane, from as near as the object allows, and from nearer at the newest mark of a large one."""
        asked, known = question, self.known(question)
        if known is None:
            first = self._first(question)
            question = question.with_mask(_laid(question.here, first))
            known = self._found(first, question)
            window = self.whole_window(question.axis) if known is None else self.window(known, question.axis)
        else:
            window = self.window(known, question.axis)
        answer = self._settled(question, window)
        for _ in range(3):
            if not touches_window_edge(answer, question.here.shape):
                break
            question = question.with_mask(_laid(question.here, answer))
            answer = self._settled(question, self._further(answer.window, question.axis))
        answer = self._near(question, self._fine(asked, self._finetuned(question, answer)))
        return self._held(asked, self._spanned(asked, answer))

    def second(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Return an answer with what a second opinion says of its quality and of where it is uncertain.

        An answer that follows from the mask so far believes it, and is unsure along its own boundary only. The second
        opinion is asked from twice as far and not shown the mask so far; it finds what is wrong elsewhere, most surely
        where a pixel has not the tone of its side (docs/mend.md).
        """
        if not self.options.opinion or answer.quality is None:
            return answer
        window = self._further(answer.window, question.axis)
        opinion = self.ask(question.with_mask(np.zeros_like(question.here)), window)
        whole = np.zeros(question.here.shape, np.float32)
        whole[opinion.where] = opinion.probability
        disagreed = np.abs(answer.mask - whole[answer.where]) * np.abs(answer.mask - self._toned(question, answer))
        uncertainty = DISAGREED * disagreed + (1 - DISAGREED) * answer.uncertainty
        alike = _overlap((answer.mask, answer.where), (opinion.mask, opinion.where))
        quality = (1 - OPINION) * answer.quality + OPINION * alike + known_by(question.prompts)
        return replace(answer, quality=min(max(quality, 0.0), 1.0), uncertainty=np.asarray(uncertainty, np.float32))

    def _toned(self, question: Question, answer: WindowAnswer) -> Real:  # [y x] of the answer's `where`
        """Return the chance of each pixel to be inside by its tone alone."""
        rows, columns = question.here.shape
        *_, equalised = self.read(question.axis, question.index, answer.window).tones
        valid = cells_on_plane(answer.window, rows, columns, CELLS)[None]
        logits = intensity_logits(sigmoid(answer.logits)[None], equalised[None], valid)[0]
        return sigmoid(resample_to_plane(logits, answer.window, rows, columns)[0])

    def propagate(self, question: Question) -> WindowAnswer:
        """Answer a plane by one look at its mask so far."""
        known = self.known(question)
        assert known is not None
        return self.ask(question, self.window(known, question.axis))

    def ask(self, question: Question, window: Window) -> WindowAnswer:
        """Return the networks' answer through a window."""
        with one_thread():  # the products are small: on a busy machine two threads took twice as long a click
            return self._asked(question, window)

    def _asked(self, question: Question, window: Window) -> WindowAnswer:
        read = self.read(question.axis, question.index, window)
        prompts = np.concatenate(
            [
                resample_to_grid(question.here, window, CELLS)[None],
                plane_prompt_channels(question.prompts, question.axis, question.index, window, CELLS),
            ]
        )
        answer = self.networks.refiner.run({"prompts": prompts[None], **read.features})
        shape = question.here.shape
        seen = _seen(answer["logits"][0, 0], window, shape, float(answer["quality"][0]), answer["hidden"][0])
        wrong, _ = resample_to_plane(answer["error_logits"][0, 0], window, shape[0], shape[1])
        return replace(seen, uncertainty=uncertainty_of(sigmoid(wrong)))

    def read(self, axis: int, index: int, window: Window) -> WindowFeatures:
        """Return what a window shows and what the reader says of it, from what is kept if it is."""
        key = (axis, index, window)
        found = self._kept.pop(key, None)
        if found is None:
            tones = window_channels(np.take(self.image.voxels, index, axis + 1), window, CELLS)
            features = {name: np.asarray(value) for name, value in self.networks.reader.run({"x": tones[None]}).items()}
            found = WindowFeatures(tones, features)
        self._kept[key] = found  # the newest last
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    # Where to look.

    def window(self, known: Rectangle, axis: int, *, margin: float = MARGIN) -> Window:
        """Return the smallest window of the ladder that leaves a margin round a rectangle."""
        top, left, bottom, right = known
        side = margin * max((bottom - top) * self.aspect(axis), right - left, LEAST_OBJECT)
        return snap_window(self.whole_window(axis), (top + bottom) / 2, (left + right) / 2, side)

    def _further(self, window: Window, axis: int) -> Window:
        middle = (window.top + window.bottom) / 2, (window.left + window.right) / 2
        return snap_window(self.whole_window(axis), *middle, 1.9 * window.width)

    def known(self, question: Question) -> Rectangle | None:
        """Return the rectangle of the mask so far, the boxes and the marks; None where there are marks alone."""
        rectangles = self._said(question)  # far negative marks widen nothing
        found = bounds(question.here[None])
        sized = any(isinstance(p, Box | Extremes) for p in question.prompts)
        if (found is None and not sized) or (found is None and not rectangles):
            return None
        if found is not None:
            rectangles.append(in_plane(found, 0))
        return _round_all(rectangles)

    def _said(self, question: Question) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        boxes = [extent(p) for p in question.prompts if getattr(p, "positive", True)]
        axis, index = question.axis, question.index
        return [in_plane(b, axis) for b in boxes if b is not None and b.low[axis] <= index < b.high[axis]]

    def _found(self, first: WindowAnswer, question: Question) -> Rectangle | None:
        """Return the rectangle of what a first look found and the marks; of the newest mark and round it if nothing."""
        said = self._said(question)
        found = bounds(first.mask[None])
        if found is not None:
            (top, left), (bottom, right) = in_plane(found, 0)
            y, x = first.where[0].start, first.where[1].start
            return _round_all([((top + y, left + x), (bottom + y, right + x)), *said])
        if not said:
            return None
        (top, left), (bottom, right) = said[-1]
        frame, aspect = self.whole_window(question.axis), self.aspect(question.axis)
        side = frame.width / 4
        return top - side / aspect, left - side, bottom + side / aspect, right + side

    # Several looks.

    def _first(self, question: Question) -> WindowAnswer:
        """Answer marks alone, whose object may have any size: look from several distances, keep the surest answer."""
        frame = self.whole_window(question.axis)
        windows = [frame]
        said = _round_all(_marked(question))
        if said is not None:
            top, left, bottom, right = said
            for step in self.options.first:
                side = frame.width * 0.5 ** (step / STEPS)
                if step > 0 and side >= max(LEAST_LOOK, right - left + 2.0):
                    windows.append(snap_window(frame, (top + bottom) / 2, (left + right) / 2, side))
        answers = [self.ask(question, window) for window in windows]
        shared = agreements([(answer.mask, answer.where) for answer in answers])

        def sure(at: int) -> float:
            answer = answers[at]
            return (answer.quality or 0.0) + shared[at] - TOUCHING * touches_window_edge(answer, question.here.shape)

        return answers[max(range(len(answers)), key=sure)]

    def _settled(self, question: Question, window: Window) -> WindowAnswer:
        """Ask again with the answer as the mask so far, as long as that makes the refiner expect more."""
        answer = self.ask(question, window)
        for _ in range(self.options.again):
            if answer.quality is None or answer.quality >= self.options.sure:
                break
            after = self.ask(question.with_mask(_laid(question.here, answer)), window)
            if after.quality is None or after.quality < answer.quality + self.options.rise:
                break
            answer = after
        return self._cut_by_tones(question, answer)

    def _cut_by_tones(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Return the answer with its boundary moved to where the window's tones have one."""
        if not self.options.tones or answer.quality is None:
            return answer
        *colours, equalised = self.read(question.axis, question.index, answer.window).tones
        rows, columns = question.here.shape
        valid = cells_on_plane(answer.window, rows, columns, CELLS)[None]
        chance = sigmoid(answer.logits)[None]
        level = np.mean(colours, axis=0)[None]
        pinned = self._marked_cells(question, answer.window)
        logits = logit(by_tones(chance, level, equalised[None], valid, pinned)[0], LEAST_CHANCE)
        seen = _seen(logits, answer.window, (rows, columns), answer.quality, answer.hidden)
        return answer if seen.quality is None else replace(seen, uncertainty=answer.uncertainty)

    def _near(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Look once more from near at the newest mark, where the window's cells are wide, and mend the mask there."""
        newest = question.prompts[-1]
        if not self.options.near or not isinstance(newest, Click | Stroke) or not question.here.any():
            return answer
        box = extent(newest)
        axis = question.axis
        if box is None or not box.low[axis] <= question.index < box.high[axis]:
            return answer
        (top, left), (bottom, right) = in_plane(box, axis)
        wanted = max(float(CELLS), 2 * (right - left), 2 * (bottom - top) * self.aspect(axis))
        window = snap_window(self.whole_window(axis), (top + bottom) / 2, (left + right) / 2, wanted)
        if answer.window.width < self.options.coarse * max(CELLS, window.width):
            return answer
        near = self.ask(question.with_mask(_laid(question.here, answer)), window)
        return _patched(answer, near)

    def _finetuned(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Teach the last layers this window where marks disagree with the mask, or with every correction."""
        head, finetune = self.networks.head, self.options.finetune
        if finetune == "off" or head is None:
            return answer
        if not (finetune == "on" and is_correction(question.prompts)) and not self.disagrees(question, answer):
            return answer
        read = self.read(question.axis, question.index, answer.window)
        taught = alternate(
            answer.hidden[:, None],
            read.tones[None, :3].mean(axis=1),
            head,
            marked=self._marked_cells(question, answer.window),
            tuning=self.options.tuning,
        )
        logits = taught.head.logits(answer.hidden)
        logits = np.where(taught.labels[0], np.maximum(logits, MIN_LOGIT), np.minimum(logits, -MIN_LOGIT))
        seen = _seen(logits.astype(np.float32), answer.window, question.here.shape, answer.quality, answer.hidden)
        return replace(seen, uncertainty=np.maximum(answer.uncertainty, seen.uncertainty), finetuned=True)

    def _held(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Undo a mask's changes that do not reach the newest mark, and the far part of large ones by a later mark."""
        newest = question.prompts[-1]
        if not self.options.hold or not isinstance(newest, Click | Stroke) or not question.here.any():
            return answer
        pixels = self.marked(replace(question, prompts=[newest]))[0 if newest.positive else 1]
        if not len(pixels):
            return answer
        old = question.here[answer.where]
        reach = round(HOLD * max(answer.window.width / CELLS, 1.0))
        changed, at = answer.mask ^ old, pixels - [part.start for part in answer.where]
        kept = reaching(changed, at, reach)
        large = LARGE if prompts_since_mask(question.prompts) is None else LARGE_ELSEWHERE
        if not self._wholly(question, answer) and kept.sum() > large * question.here.sum():
            kept &= within(changed, at, FAR * max(depth_of(pixels, question.here), LEAST_DEPTH))
        probability = np.where((answer.mask != old) & ~kept, old, answer.probability)
        return replace(answer, probability=np.asarray(probability, np.float32))

    def _spanned(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Return the first answer to a box in this plane with chances raised until it all but reaches the box's sides.

        Whoever draws a box draws it round the object, and networks see one that is rather too small.
        """
        box, where = question.prompts[-1], answer.where
        if not self.options.span or len(question.prompts) > 1 or question.here.any():
            return answer
        if not isinstance(box, Box) or box.shape[question.axis] > 1:
            return answer
        sides = [side for axis, side in enumerate(box.slices) if axis != question.axis]
        both = [
            slice(max(side.start, at.start) - at.start, min(side.stop, at.stop) - at.start)
            for side, at in zip(sides, where, strict=True)
        ]
        probability = answer.probability.copy()
        probability[tuple(both)] = spanning(probability[tuple(both)])
        return replace(answer, probability=probability)

    def _wholly(self, question: Question, answer: WindowAnswer) -> bool:
        """Tell whether even a large change is taken as far as it goes.

        It is by early marks; by the first mark on a mask from elsewhere where the answer outdoes that mask.
        """
        since = prompts_since_mask(question.prompts)
        if since is None:
            return mark_count(question.prompts) < self.options.later
        like = _overlap((answer.mask, answer.where), (question.here, _whole(question.here)))
        return mark_count(since) == 1 and trusts_network_over_mask(answer.quality or 0.0, like)

    def _fine(self, question: Question, answer: WindowAnswer) -> WindowAnswer:
        """Return the answer with those details of a mask from elsewhere that are finer than its window's cells.

        Not what the cells answer replaces them, but the difference to what the cells show of the mask.
        """
        wide = answer.window.width > FINER * CELLS
        if not wide or prompts_since_mask(question.prompts) is None or not question.here.any() or not answer.mask.any():
            return answer
        change = sigmoid(answer.logits) - resample_to_grid(question.here, answer.window, CELLS)
        values, _ = resample_to_plane(change, answer.window, *question.here.shape)
        return replace(answer, probability=np.clip(question.here[answer.where] + values, 0, 1).astype(np.float32))

    def marked(self, question: Question) -> tuple[Pixels, Pixels]:
        """Return the pixels of a plane that are pinned inside and outside."""
        axis, index = question.axis, question.index
        positive, negative = (
            np.delete(points[points[:, axis] == index], axis, axis=1)
            for points in marks(question.prompts, self.image.shape)
        )
        return positive, negative

    def disagrees(self, question: Question, answer: WindowAnswer) -> bool:
        """Tell whether some mark in the window has another label in the mask."""
        corner = [part.start for part in answer.where]
        for pixels, positive in zip(self.marked(question), (True, False), strict=True):
            at = pixels - corner
            at = at[((at >= 0) & (at < answer.mask.shape)).all(axis=1)]
            if (answer.mask[tuple(at.T)] != positive).any():
                return True
        return False

    def _marked_cells(self, question: Question, window: Window) -> NDArray[np.uint8]:  # [1 n n]
        """Return which cells the marks pin; where both fall into one cell, inside it is."""
        pinned = np.zeros((1, CELLS, CELLS), np.uint8)
        for pixels, side in zip(self.marked(question)[::-1], (BACKGROUND, FOREGROUND), strict=True):
            for row, column in pixels.tolist():
                y, x = (round(at) for at in window.cell(row, column, CELLS))
                if 0 <= y < CELLS and 0 <= x < CELLS:
                    pinned[0, y, x] = side
        return pinned


def spanning(chance: Real) -> Real:  # [y x] -> [y x]
    """Return the chances in a box, raised alike until what is likelier than not comes near its sides.

    >>> chance = np.full((40, 40), 0.3, np.float32); chance[10:30, 10:30] = 0.9
    >>> bool((spanning(chance) > 0.5).all()), bool((spanning(0.1 * chance) > 0.5).any())
    (True, False)
    """
    if not (chance > 0.5).any():
        return chance
    logits = logit(chance, LEAST_CHANCE)
    lines = [logits.max(axis=axis) for axis in (1, 0)]
    for more in np.linspace(0, MOST_RAISED, RAISES):
        reached = [np.flatnonzero(line > -more) for line in lines]
        gaps = [max(at[0], len(line) - 1 - at[-1]) / len(line) for at, line in zip(reached, lines, strict=True)]
        if max(gaps) <= GAP:
            break
    return chance if more == 0 else sigmoid(logits + np.float32(more))


def _expected(chance: Real) -> float:
    """Return the Dice that a mask of all that is likelier than not can expect, from each pixel's chance to be right.

    >>> round(_expected(np.array([[1.0, 0.9, 0.1, 0.0]])), 3)
    0.905
    """
    inside = chance > 0.5
    expected = 2 * float(chance[inside].sum()) / max(float(inside.sum() + chance.sum()), 1e-6)
    return max(expected - LINES_FLATTERED, 0.0)


def _same(here: Plane, drawn: Real | None) -> bool:
    """Tell whether the mask so far is what was drawn along lines, perhaps with marks' own pixels."""
    if drawn is None:
        return not here.any()
    mask = drawn > 0.5
    return dice(mask, here) > SAME


def snap_window(frame: Window, row: float, column: float, side: float) -> Window:
    """Return the smallest window of the ladder with at least this side, about this middle; at most the frame.

    >>> snap_window(Window(0, 0, 64, 128), 29, 41, 60)
    Window(top=12.0, left=8.0, height=32.0, width=64.0)
    >>> snap_window(Window(0, 0, 64, 128), 30, 41, 120)
    Window(top=0, left=0, height=64, width=128)
    """
    steps = int(np.floor(STEPS * np.log2(frame.width / side) + 1e-9))
    if steps <= 0:
        return frame
    share = 0.5 ** (steps / STEPS)
    height, width = share * frame.height, share * frame.width
    down, across = height / PLACES, width / PLACES
    top = frame.top + down * round((row - height / 2 - frame.top) / down)
    left = frame.left + across * round((column - width / 2 - frame.left) / across)
    return Window(float(top), float(left), float(height), float(width))


def known_by(prompts: Sequence[Prompt]) -> float:
    """Return how much more, or less, Dice than the networks expect is to be expected of so many marks.

    >>> round(known_by([Click((0, 1, 1))]), 2), round(known_by([Click((0, 1, 1))] * 4), 2)
    (-0.14, 0.01)
    """
    if not all(isinstance(prompt, Click | Stroke) for prompt in prompts):
        return 0.0
    return KNOWN - AMBIGUOUS / max(len(prompts), 1)


def touches_window_edge(answer: WindowAnswer, shape: Sequence[int]) -> bool:
    """Tell whether the mask reaches an edge of its window that is not an edge of the plane."""
    mask, window = answer.mask, answer.window
    if not mask.any():
        return False
    return bool(
        (window.top > 0 and mask[0].any())
        or (window.left > 0 and mask[:, 0].any())
        or (window.bottom < shape[0] and mask[-1].any())
        or (window.right < shape[1] and mask[:, -1].any())
    )


def agreements(masks: Sequence[tuple[Plane, Where]]) -> list[float]:
    """Return the Dice of each mask with the one before or after it that is more like it; 0 for one alone.

    What is there is seen from two distances; what is imagined, from one.

    >>> one, all_of_it = (np.array([[True, False]]), np.s_[0:1, 0:2]), (np.array([[True, True]]), np.s_[0:1, 0:2])
    >>> agreements([one, one, all_of_it])
    [1.0, 1.0, 0.6666666666666666]
    """
    beside = [_overlap(one, other) for one, other in pairwise(masks)]
    return [max(some) for some in zip([0.0, *beside], [*beside, 0.0], strict=True)]


def _overlap(one: tuple[Plane, Where], other: tuple[Plane, Where]) -> float:
    """Return the Dice of two masks, each on its part of a plane; 0 where both are empty."""
    (mask, where), (near, there) = one, other
    both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(where, there, strict=True)]
    if any(part.start >= part.stop for part in both):
        return 0.0
    part, beside = (
        m[tuple(slice(common.start - at.start, common.stop - at.start) for common, at in zip(both, w, strict=True))]
        for m, w in (one, other)
    )
    return float(2 * (part & beside).sum() / max(int(mask.sum()) + int(near.sum()), 1))


def reaching(changed: Plane, pixels: Pixels, reach: int) -> Plane:
    """Return the pieces of a plane that come within some pixels of one of the given ones, corners included.

    >>> reaching(np.array([[True, True, False, True]]), np.array([[0, 0]]), 1).tolist()
    [[True, True, False, False]]
    """
    pieces, count = label(changed, np.ones((3, 3), bool))
    near = np.zeros(count + 1, bool)
    for row, column in pixels.tolist():
        rows, columns = (slice(max(at - reach, 0), max(at + reach + 1, 0)) for at in (row, column))
        near[np.unique(pieces[rows, columns])] = True
    near[0] = False
    return np.asarray(near[pieces])


def within(changed: Plane, pixels: Pixels, far: float) -> Plane:
    """Return the changed pixels that lie so near one of the given ones.

    >>> within(np.array([[True, True, False, True]]), np.array([[0, 0]]), 1.5).tolist()
    [[True, True, False, False]]
    """
    places = np.argwhere(changed)
    kept = np.zeros_like(changed)
    kept[tuple(places[cKDTree(pixels).query(places)[0] <= far].T)] = True
    return kept


def depth_of(pixels: Pixels, mask: Plane) -> float:
    """Return how far the deepest of some pixels lies from the edge of a mask, inside it or outside.

    >>> depth_of(np.array([[0, 4], [0, 5]]), np.array([[False, True, True, False, False, False]]))
    3.0
    """
    edge = np.argwhere(mask & ~binary_erosion(mask, border_value=1))
    return float(cKDTree(edge).query(pixels)[0].max()) if len(edge) else np.inf


def _seen(logits: Real, window: Window, shape: Sequence[int], quality: float | None, hidden: Real) -> WindowAnswer:
    values, where = resample_to_plane(logits, window, shape[0], shape[1])
    probability = sigmoid(values)
    if not (probability > 0.5).any():
        quality = None
    return WindowAnswer(
        window, logits, probability, uncertainty_of(np.minimum(probability, 1 - probability)), where, quality, hidden
    )


def _laid(here: Plane, answer: WindowAnswer) -> Plane:
    mask = here.copy()
    mask[answer.where] = answer.mask
    return mask


def _whole(plane: Plane | Real) -> Where:
    """Return all of a plane."""
    return slice(0, plane.shape[0]), slice(0, plane.shape[1])


def _marked(question: Question) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the rectangles of the positive clicks and strokes in a plane."""
    found = []
    for prompt in question.prompts:
        box = extent(prompt) if isinstance(prompt, Click | Stroke) and prompt.positive else None
        if box is not None and box.low[question.axis] <= question.index < box.high[question.axis]:
            found.append(in_plane(box, question.axis))
    return found


def _round_all(rectangles: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> Rectangle | None:
    if not rectangles:
        return None
    lows, highs = zip(*rectangles, strict=True)
    return (
        min(a for a, _ in lows),
        min(b for _, b in lows),
        max(a for a, _ in highs),
        max(b for _, b in highs),
    )


def _patched(answer: WindowAnswer, near: WindowAnswer) -> WindowAnswer:
    """Return the answer with the near one in the middle of its window, fading towards the edges, where both look."""
    both = [
        slice(max(a.start, b.start), max(min(a.stop, b.stop), a.start, b.start))
        for a, b in zip(answer.where, near.where, strict=True)
    ]
    into, part = (
        tuple(slice(common.start - at.start, common.stop - at.start) for common, at in zip(both, where, strict=True))
        for where in (answer.where, near.where)
    )
    down = _fading(both[0], near.window.top, near.window.height)
    across = _fading(both[1], near.window.left, near.window.width)
    share = down[:, None] * across
    probability, uncertainty = answer.probability.copy(), answer.uncertainty.copy()
    probability[into] += share * (near.probability[part] - probability[into])
    uncertainty[into] += share * (near.uncertainty[part] - uncertainty[into])
    return replace(answer, probability=probability, uncertainty=uncertainty)


def _fading(pixels: slice, start: float, length: float) -> Real:
    """Return 1 in the middle half of a line, falling to 0 at its ends."""
    at = (np.arange(pixels.start, pixels.stop) + 0.5 - start) / length
    return np.asarray(np.clip(4 * np.minimum(at, 1 - at), 0, 1), np.float32)
