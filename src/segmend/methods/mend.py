"""mend: Segmend's own promptable network, in 2D and slice by slice in 3D.

The network looks at 128 x 128 cells of one plane: the image (red, green, blue and an
equalised grey), the mask so far, positive marks, negative marks and boxes, and returns a
probability. What makes it precise is where it looks: its windows follow the object. Where a
box or a mask says how large the object is, one look from near is enough. Marks alone do not,
so they are looked at from several distances at once, and the surest answer is looked at again
from near. A mask that reaches its window's edge is looked at again from further away.
In a volume the plane of the newest prompt is answered first, then its mask is carried from
slice to slice in both directions until the object ends (`stream`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segmend.encode import in_plane, see_prompts
from segmend.errors import PromptError
from segmend.image import Box, Image, MaskArray, Real, bounds
from segmend.plane import Window, around, inside, lay, normalised, see
from segmend.prompts import Click, Extremes, Mask, Prompt, Stroke, extent
from segmend.segmenter import Method, Prediction, Segmenter, Workspace, merged
from segmend.workspaces.planes import expected_dice, key_index, plane_axis, with_lassos

if TYPE_CHECKING:
    from segmend.engine import Engine

METHOD = Method(
    id="mend",
    title="Mend",
    paper="Segmend's own",
    prompts=("click", "stroke", "box", "lasso", "extremes", "mask"),
    dimensions=(2, 3),
    weights="shipped",
)

CELLS = 128  # the side of the grid the network was trained on
FIRST_LOOKS = (0.7, 0.5, 0.35, 0.25, 0.125)  # of the plane's longer side, besides the whole
NEAR = 6  # pixels round a change in which a neighbouring slice may change too
LEAST_LOOK = 20.0  # pixels: nearer there is nothing more to see
CHANNELS = 8  # red, green, blue, equalised, mask so far, positive, negative, box

Plane = NDArray[np.bool_]  # [y x]


def load(weights: Path | None = None) -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others."""
    from segmend.engine import weights_of

    return Mend(weights_of(METHOD.id, "mend2d.onnx", weights))


@dataclass(frozen=True, eq=False)
class Mend(Segmenter):
    """The method round any engine that maps `x` [b 8 128 128] to `logits` [b 1 128 128]."""

    engine: Engine

    def open(self, image: Image) -> Workspace:
        return MendWorkspace(self.engine, image)


def see_image(channels: NDArray[np.generic], window: Window, cells: int) -> Real:  # [c y x] -> [4 n n]
    """Return the image's four input channels, 0 to 1 between the window's percentiles."""
    seen = np.stack([see(channel, window, cells) for channel in channels[: 3 if len(channels) >= 3 else 1]])
    rows, columns = channels.shape[1:]
    valid = inside(window, rows, columns, cells)
    return normalised(levelled(seen, valid) if len(seen) == 1 else seen, valid)


def levelled(seen: Real, valid: Plane) -> Real:  # [1 n n]
    """Return grey tones cut to what the middle third of the window needs, and half as much again.

    A reader sets window and level for the organ, not for the air and the metal around it;
    so does this (chosen on the validation sets: mean Dice after one click .58, against .53).
    """
    third = len(valid) // 3
    middle = seen[0, third:-third, third:-third][valid[third:-third, third:-third]]
    if middle.size < 50:
        return seen
    low, high = np.percentile(middle, (5, 95))
    if high - low < 0.02 * np.ptp(seen[0][valid]):  # the middle is all one tone
        return seen
    reach = 0.5 * (high - low)
    return np.asarray(np.clip(seen, low - reach, high + reach), np.float32)


@dataclass(frozen=True, eq=False)
class _Answer:
    """Probabilities of the pixels `where` of one plane."""

    probability: Real
    where: tuple[slice, slice]


class MendWorkspace(Workspace):
    """One image; planes are cut out of it as they are needed."""

    def __init__(self, engine: Engine, image: Image) -> None:
        self.engine = engine
        self.image = image

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return merged(list(self.stream(prompts, previous)), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        if not prompts:
            raise PromptError("Mend needs at least one prompt; got none.")
        newest = prompts[-1]
        if isinstance(newest, Mask):
            yield _replaced(newest, previous)
            return
        axis = plane_axis(newest, self.image)
        index = key_index(newest, axis)
        mask = with_lassos(prompts, previous)
        here = np.take(mask, index, axis)
        answer = self._look(prompts, axis, index, here)
        here = here.copy()
        here[answer.where] = answer.probability > 0.5
        yield self._prediction(answer, axis, index)
        if self.image.shape[axis] > 1:
            yield from self._carry(prompts, mask, axis, index, here)

    def _prediction(self, answer: _Answer, axis: int, index: int) -> Prediction:
        low, high = [s.start for s in answer.where], [s.stop for s in answer.where]
        low.insert(axis, index)
        high.insert(axis, index + 1)
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        return Prediction(np.expand_dims(answer.probability, axis), box)

    def _aspect(self, axis: int) -> float:
        rows, columns = np.delete(self.image.spacing, axis)
        return float(rows / columns)

    def _channels(self, axis: int, index: int) -> NDArray[np.generic]:  # [c y x]
        voxels = self.image.voxels
        return voxels[:, index] if axis == 0 else voxels[:, :, index] if axis == 1 else voxels[:, :, :, index]

    def _look(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> _Answer:
        """Answer one plane, looking from as near as the object allows."""
        rows, columns = here.shape
        aspect = self._aspect(axis)
        frame = around(0, 0, rows, columns, margin=1.0, aspect=aspect)
        known = self._known(prompts, axis, index, here)
        if known is None:
            first = self._first(prompts, axis, index, here, frame)
            window = _second(first, here, frame, aspect, prompts, axis, index)
            answer = self._ask([(prompts, axis, index, _laid(here, first), window)])[0]
        else:
            window = _shrunk(known, frame, aspect)
            answer = self._ask([(prompts, axis, index, here, window)])[0]
        for _ in range(3):
            if not _touches(answer, window, rows, columns):
                break
            window = _shrunk((window.top, window.left, window.bottom, window.right), frame, aspect, margin=2.0)
            answer = self._ask([(prompts, axis, index, _laid(here, answer), window)])[0]
        return answer

    def _first(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane, frame: Window) -> _Answer:
        """Answer marks alone, whose object may have any size: look from several distances, keep the surest.

        Sure is a mask of high expected Dice that ends inside its window (chosen on the
        validation sets: mean Dice after one click .63, against .58 from the whole plane only).
        """
        rows, columns = here.shape
        windows = [frame]
        mark = _marked(prompts, axis, index)
        if mark is not None:
            (top, left), (bottom, right) = mark
            for share in FIRST_LOOKS:
                side = max(frame.width * share, right - left + 2.0)
                if LEAST_LOOK <= side < frame.width:
                    height = side * frame.height / frame.width
                    windows.append(Window((top + bottom - height) / 2, (left + right - side) / 2, height, side))
        answers = self._ask([(prompts, axis, index, here, window) for window in windows])

        def sure(number: int) -> float:
            answer, window = answers[number], windows[number]
            touching = 0.3 if _touches(answer, window, rows, columns) else 0.0
            return (expected_dice(answer.probability) or 0.0) - touching

        return answers[max(range(len(windows)), key=sure)]

    def _known(
        self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane
    ) -> tuple[float, float, float, float] | None:
        """Return the rectangle of what is known of the object: its mask so far, its boxes, its marks."""
        boxes = [extent(p) for p in prompts if getattr(p, "positive", True)]  # far negative marks widen nothing
        inside_here = [b for b in boxes if b is not None and b.low[axis] <= index < b.high[axis]]
        found = bounds(here[None])
        sized = any(isinstance(p, Box | Extremes) for p in prompts)
        if found is None and not sized:
            return None
        rectangles = [in_plane(b, axis) for b in inside_here]
        if found is not None:
            rectangles.append(in_plane(found, 0))
        if not rectangles:
            return None
        lows, highs = zip(*rectangles, strict=True)
        return (
            min(a for a, _ in lows),
            min(b for _, b in lows),
            max(a for a, _ in highs),
            max(b for _, b in highs),
        )

    def _ask(self, questions: Sequence[tuple[Sequence[Prompt], int, int, Plane, Window]]) -> list[_Answer]:
        """Run the network once on several windows and lay its answers back on their planes."""
        x = np.stack(
            [
                np.concatenate(
                    [
                        see_image(self._channels(axis, index), window, CELLS),
                        see(here, window, CELLS)[None],
                        see_prompts(prompts, axis, index, window, CELLS),
                    ]
                )
                for prompts, axis, index, here, window in questions
            ]
        )
        logits = self.engine.run({"x": x})["logits"][:, 0]
        answers = []
        for (_, _, _, here, window), grid in zip(questions, logits, strict=True):
            values, where = lay(grid, window, *here.shape)
            answers.append(_Answer(sigmoid(values), where))
        return answers

    # From slice to slice.

    def _carry(
        self, prompts: Sequence[Prompt], mask: MaskArray, axis: int, index: int, here: Plane
    ) -> Iterator[Prediction]:
        """Carry what changed in one slice to its neighbours on both sides, as far as it goes.

        A slice that has a mask already keeps it away from the change, so that a correction
        mends what is near it and spoils nothing further off.
        """
        from scipy.ndimage import binary_dilation  # reading a card loads no heavy library

        first, last = _reach(prompts, axis, self.image.shape[axis])
        fronts = dict.fromkeys((-1, 1), (index, here))
        while fronts:
            questions = {}
            changes = {}
            for step, (at, fresh) in fronts.items():
                after, was = at + step, np.take(mask, at, axis)
                if not first <= after < last or _has_marks(prompts, axis, after):
                    continue
                old = np.take(mask, after, axis)
                carried = (old | (fresh & ~was)) & ~(was & ~fresh)
                changes[step] = (after, old, carried, fresh ^ was)
                if carried.any():
                    known = self._known(prompts, axis, after, carried)
                    assert known is not None
                    aspect = self._aspect(axis)
                    frame = around(0, 0, *carried.shape, margin=1.0, aspect=aspect)
                    questions[step] = (prompts, axis, after, carried, _shrunk(known, frame, aspect))
            answers = dict(zip(questions, self._ask(list(questions.values())) if questions else [], strict=True))
            fronts = {}
            for step, (after, old, carried, changed) in changes.items():
                probability = np.zeros(carried.shape, np.float32)
                if step in answers:
                    probability[answers[step].where] = answers[step].probability
                if not _continues(carried, probability > 0.5):
                    probability[:] = 0
                if old.any():
                    near = binary_dilation(changed, iterations=NEAR)
                    probability = np.where(near, probability, old).astype(np.float32)
                fresh = probability > 0.5
                if fresh.any() or old.any():
                    yield self._prediction(_cut_out(probability, old), axis, after)
                if not _agree(old, fresh):
                    fronts[step] = (after, fresh)


def _cut_out(probability: Real, old: Plane) -> _Answer:
    """Return the answer for a whole plane, cut to where it or the old mask says anything."""
    box = bounds(((probability > 0.01) | old)[None])
    assert box is not None
    (top, left), (bottom, right) = in_plane(box, 0)
    where = slice(top, bottom), slice(left, right)
    return _Answer(probability[where], where)


def sigmoid(logits: Real) -> Real:
    """Return the probabilities of logits."""
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _replaced(mask: Mask, previous: MaskArray) -> Prediction:
    """Return a mask from elsewhere as the answer; what was there before goes."""
    old = bounds(previous)
    box = mask.box if old is None else mask.box.union(old)
    whole = np.zeros(previous.shape, np.float32)
    whole[mask.box.slices] = mask.inside
    return Prediction(whole[box.slices], box)


def _shrunk(known: tuple[float, float, float, float], frame: Window, aspect: float, *, margin: float = 1.6) -> Window:
    window = around(*known, margin=margin, aspect=aspect, least=24.0)
    return frame if window.width >= frame.width else window


def _marked(prompts: Sequence[Prompt], axis: int, index: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the rectangle of the positive marks in a plane, None where there are none."""
    here: Box | None = None
    for prompt in prompts:
        box = extent(prompt) if isinstance(prompt, Click | Stroke) and prompt.positive else None
        if box is not None and box.low[axis] <= index < box.high[axis]:
            here = box if here is None else here.union(box)
    return None if here is None else in_plane(here, axis)


def _second(
    answer: _Answer, here: Plane, frame: Window, aspect: float, prompts: Sequence[Prompt], axis: int, index: int
) -> Window:
    """Return the window of the second look: round what the first one found and the marks."""
    ys, xs = answer.where
    found = bounds((answer.probability > 0.5)[None])
    positive = [p for p in prompts if getattr(p, "positive", True)]
    marks = [b for p in positive if (b := extent(p)) is not None and b.low[axis] <= index < b.high[axis]]
    if found is None:
        if not marks:
            return frame
        (top, left), (bottom, right) = in_plane(marks[-1], axis)
        side = frame.width / 4
        return around(top - side / aspect, left - side, bottom + side / aspect, right + side, margin=1.0, aspect=aspect)
    (top, left), (bottom, right) = in_plane(found, 0)
    whole = Box((0, top + ys.start, left + xs.start), (1, bottom + ys.start, right + xs.start))
    for marked in marks:
        (top, left), (bottom, right) = in_plane(marked, axis)
        whole = whole.union(Box((0, top, left), (1, bottom, right)))
    return _shrunk((*whole.low[1:], *whole.high[1:]), frame, aspect)


def _laid(here: Plane, answer: _Answer) -> Plane:
    mask = here.copy()
    mask[answer.where] = answer.probability > 0.5
    return mask


def _touches(answer: _Answer, window: Window, rows: int, columns: int) -> bool:
    """Tell whether the mask reaches an edge of the window that is not an edge of the plane."""
    mask = answer.probability > 0.5
    if not mask.any():
        return False
    return bool(
        (window.top > 0 and mask[0].any())
        or (window.left > 0 and mask[:, 0].any())
        or (window.bottom < rows and mask[-1].any())
        or (window.right < columns and mask[:, -1].any())
    )


def _reach(prompts: Sequence[Prompt], axis: int, count: int) -> tuple[int, int]:
    """Return the slices a mask may be carried to: those of the 3D boxes where there are any."""
    boxes = [b for p in prompts if isinstance(p, Box | Extremes) and (b := extent(p)) and b.shape[axis] > 1]
    if not boxes:
        return 0, count
    return min(b.low[axis] for b in boxes), max(b.high[axis] for b in boxes)


def _has_marks(prompts: Sequence[Prompt], axis: int, index: int) -> bool:
    """Tell whether a slice has positive marks, which are this object's; negative ones may be another's."""
    boxes = (extent(p) for p in prompts if isinstance(p, Click | Stroke) and p.positive)
    return any(b is not None and b.low[axis] <= index < b.high[axis] for b in boxes)


def _continues(carried: Plane, fresh: Plane) -> bool:
    """Tell whether a slice's mask goes on from its neighbour's: they overlap and are alike in size."""
    common, before, after = int((carried & fresh).sum()), int(carried.sum()), int(fresh.sum())
    return after >= 4 and common >= 0.3 * min(before, after) and 0.15 * before <= after <= 3 * before + 20


def _agree(old: Plane, fresh: Plane) -> bool:
    common = int((old & fresh).sum())
    return 2 * common > 0.98 * (int(old.sum()) + int(fresh.sum()))
