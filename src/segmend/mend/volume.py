"""Segmend's own network in space: a volume is looked at through frames that follow the object.

    prompts, mask so far ──▶ which frame? ──▶ look at the object ──▶ marks that are not obeyed: teach the last layers
                                 ▲                   │               this frame, cut round those still not obeyed
                                 └─ reaches a side? ─┘

A look is one pass of the refiner on a block of cells, cubes in mm, so voxels of any spacing are seen alike and the
time depends on neither the volume's size nor the object's. Where a mask or a box says how large the object is, one
look from near is enough. Marks alone do not, so the three planes through the first of them are looked at as pictures
are, and the box round what is seen there is one prompt more; where nothing is seen there, marks are looked at in space
from several distances, and the answer that is judged best is looked at again from near. Frames have only certain sizes
and places, so that the same one comes again while a person works, and what the reader said of it is kept. Which frame
is looked through, and what is taught in it (always from the trained layers on), follows from the prompts and the mask
so far alone, never from what is kept: a replay gives the same masks.

Cells may be coarser than voxels. A look therefore does not replace the mask but changes it by the difference between
what it answers and what it saw of the mask so far: details finer than a cell stay where nothing else changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds, three
from segmend.core.logits import logit, sigmoid
from segmend.core.marks import Points, mark, marks
from segmend.core.masks import dice
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Mask, Prompt, Stroke, extent
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Prediction, Workspace, replaced
from segmend.core.session import Finetune
from segmend.errors import PromptError
from segmend.mend.boundary import cut_by_intensity, intensity_logits
from segmend.mend.plane import PlanePredictor
from segmend.mend.quality import mark_count_gain
from segmend.mend.three_planes import Solid, box_at, mistake_at
from segmend.runtime.engine import Engine
from segmend.sampling.channels import Guess, volume_prompt_channels, widen
from segmend.sampling.frame import Frame
from segmend.sampling.initial_mask import prompts_since_mask, trusts_network_over_mask
from segmend.sampling.intensity import frame_channels
from segmend.sampling.probability import uncertainty_of
from segmend.sampling.slice_prompts import apply_lassos, is_correction, mark_count
from segmend.solvers.finetune import Edges, Head, Tuning, alternate, one_thread

STEPS = 2  # frames between one size and its double
PLACES = 8  # of a frame's side: the grid that frames lie on
LEAST_LOOK = 16.0  # voxels of the finest spacing: nearer there is nothing more to see
LEAST_KNOWN = 4.0  # voxels of it: what is smaller says nothing of the object's size
OPINION = 0.25  # the share of a second opinion's own quality in what is told of an answer's ...
TAKEN = 0.25  # ... and of how much of a look was taken; the rest is what the look says itself
DISAGREED = 0.3  # the weight in uncertainty of what a second opinion says otherwise, beside the look's own uncertainty
TOUCHING = 0.3  # what a mask that its frame cuts off loses of the quality it is told
BESIDE = 0.5  # what a mask beside the positive mark loses
LEAST_REACH = 4.0  # cells that a correction reaches at least
SAID = 0.02  # changes of less are none
AS_WRONG = 0.35  # depths of a mistake in a mask from elsewhere: so far its whole boundary may be as wrong
BURSTS = 8.0  # times a mask so far, from which the planes alone are believed of a correction
KEPT = 12  # frames whose features are kept, some 10 MB each
HEED_CELLS = 32  # the side of the block that is cut round a mark
SEED_LOGIT = 6.0  # what a mark says at its place ...
HEARD = 1.7  # ... and nothing this many times as far away as what is on its side already
SURE = 0.9  # no more than that of a network that a mark contradicts
HEED_MOST = 3  # prompts that are cut for at once
SAMPLED = 64  # voxels of a stroke that are asked whether they are obeyed
TUNING = Tuning(smoothness=1.0, tone=0.1)
# A click is one cell of a hundred thousand, so it must teach more than a stroke of the paper does.
TEACHING = Tuning(smoothness=1.0, tone=0.1, marks=100.0, rounds=2, sure=2.2)
SOLID_LOGIT = 5.0  # what three planes say, in logits ...
SOLID_SURE = 0.95  # ... to networks that are no surer than this
SOLID_SEEN = 0.3  # of a cell that the planes find wrong
SOLID_ROUND = 2  # cells round it that edges may take
CUT_LOGIT = 8.0  # what was cut round a mark says to what is taught, in logits


@dataclass(frozen=True, kw_only=True)
class VolumeOptions:
    """How a volume is looked at; each of these was measured (docs/mend-experiments.md)."""

    cells: int = 48  # the side of a look's block
    first: int = 48  # ... when marks alone are looked at from several distances
    doubling: float = 2.0  # from one such distance to the next
    margin: float = 1.3  # of the object's longest side at least; with the frames' sizes 1.3 to 1.9
    further: int = 3  # times that a mask reaching its frame's side is looked at from further away
    shown: bool = False  # show the networks the mask so far even where it is a correction of their own
    depths: float = 1.0  # a correction reaches as far as so many depths of the mistake; then it fades
    finetune: Finetune = (
        "auto"  # teach the last layers this frame: when marks are not obeyed, with every correction, never
    )
    teaching: Tuning = TEACHING
    tones: bool = True  # move an answer's boundary to where the block's tones have one
    opinion: bool = True  # ask for a second opinion of the answer's quality and of where it is uncertain
    across: bool = True  # ask the planes through a click what is wrong there
    together: int = 3  # marks up to which what space says is taken, too
    obey: bool = True  # cut round marks that are not obeyed
    dot: float = 7.0  # cells: a mask from elsewhere that no more than this follows a mark has not obeyed it
    again: int = 0  # times at most that the mask is asked for once more, with itself as the mask so far
    sure: float = 0.93  # ... as long as less Dice than this is expected
    rise: float = 0.005  # ... and it rises by as much as this


@dataclass(frozen=True, eq=False)
class Change:
    """What a look adds to the mask so far, -1 to 1, on its cells."""

    frame: Frame
    values: Real  # [*cells]

    def seen(self, frame: Frame) -> Real:  # [*cells of the other frame]
        """Return the change as another frame sees it."""
        return _between(self.frame, frame).resample_to_grid(self.values)

    def box(self, shape: Index) -> Box:
        """Return the voxels that it changes."""
        cells = bounds(np.abs(self.values) > SAID)
        if cells is None:
            return Box((0, 0, 0), (0, 0, 0))
        return self.frame.box(cells.grown(1).clipped(self.frame.cells), shape)


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """The answer in a frame."""

    frame: Frame
    probability: Real  # [*cells]
    uncertainty: Real  # [*cells] 0 to 1
    quality: float  # the Dice that the refiner expects; 0 for an empty mask
    hidden: Real | None = None  # [w *cells] what its last layers saw

    @property
    def mask(self) -> MaskArray:
        return np.asarray(self.probability > 0.5)


class VolumeWorkspace(Workspace):
    """One volume; `reader` maps `x` [1 4 n n n] to f0, f1, ..., `refiner` those and `prompts` to logits and quality.

    Where the refiner also gives `hidden`, a `head`, its last layers on those, can be taught.
    """

    def __init__(
        self,
        reader: Engine,
        refiner: Engine,
        image: Image,
        looking: VolumeOptions | None = None,
        head: Head | None = None,
        planes: PlanePredictor | None = None,
    ) -> None:
        self.reader = reader
        self.refiner = refiner
        self.head = head
        self.image = image
        self.options = VolumeOptions() if looking is None else looking
        self.planes = planes
        self._kept: OrderedDict[Frame, dict[str, Real]] = OrderedDict()
        self._sized: dict[Prompt, Box | None] = {}

    def with_finetuning(self, finetune: Finetune) -> VolumeWorkspace:
        other = copy(self)
        other.options = replace(self.options, finetune=finetune)
        return other

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        placed = [prompt for prompt in prompts if not isinstance(prompt, Adjust)]
        if not placed:
            raise PromptError("Mend needs at least one prompt with a place; got none.")
        if isinstance(placed[-1], Mask):
            return replaced(placed[-1], previous)
        with one_thread():
            return self._answered(placed, previous)

    def _answered(self, placed: Sequence[Prompt], previous: MaskArray) -> Prediction:
        mask = apply_lassos(placed[-1:], previous)  # earlier ones are in the mask so far
        told = self._with_size(placed, mask)
        look, seen = self._look(told, mask)
        changes = [Change(look.frame, (look.probability - seen) * self._reached(placed, look.frame, seen))]
        mistake = self._mistake(placed, mask)
        if mistake is not None:
            if self._shown(placed) or mark_count(placed) > self.options.together or _bursting(seen, changes[0]):
                changes = [Change(look.frame, (look.probability - seen) * self._as_wrong(placed, look, seen))]
            changes.append(self._mended(placed, mask, changes, mistake))
        cut = self._heeded(placed, mask, changes) if self.options.obey else []
        calling = mistake is None or self.options.finetune == "on"
        taught = self._taught(placed, mask, look, changes, cut) if calling else None
        changes += cut if taught is None else [*cut, taught]
        opinion = self._opinion(told, look) if self.options.opinion and look.quality else None
        return self._answer(placed, mask, changes, look, opinion, finetuned=taught is not None)

    def _with_size(self, prompts: Sequence[Prompt], mask: MaskArray) -> Sequence[Prompt]:
        """Return the prompts with a box round the object, where marks alone brought the mask about.

        How large the object is, networks for planes tell of the first positive mark; later ones make the box wider.
        """
        if len(prompts) == 1 and mask.any():
            return prompts  # the mask came from elsewhere and says how large the object is
        if self.planes is None or not all(isinstance(prompt, Click | Stroke) for prompt in prompts):
            return prompts
        first = next((p for p in prompts if isinstance(p, Click | Stroke) and p.positive), None)
        if first is None:
            return prompts
        if first not in self._sized:
            self._sized[first] = box_at(self.planes, first, self.image.shape)
        box = self._sized[first]
        return prompts if box is None else [*prompts, widen(Guess(box.low, box.high), prompts)]

    def _shown(self, prompts: Sequence[Prompt]) -> bool:
        """Tell whether the networks are shown the mask so far: where marks do not say how it came about.

        Before the first prompt it came from elsewhere or is empty; a lasso and a mask are in it alone.
        """
        told = len(prompts) > 1 and not any(isinstance(prompt, Lasso | Mask) for prompt in prompts)
        return self.options.shown or not told

    def _reached(self, prompts: Sequence[Prompt], frame: Frame, seen: Real) -> Real:  # [*cells]
        """Return how much of a change is taken where: a correction reaches as far as the mistake is deep, and fades.

        Where there is no mask yet a mark speaks of the whole object, and so does what is no mark.
        """
        everywhere, newest = np.ones((), np.float32), prompts[-1]
        if self.options.shown or not isinstance(newest, Click | Stroke) or not (seen > 0.5).any():
            return everywhere
        depth = _depth(newest, frame, seen)
        if depth is None:
            return everywhere
        reach = max(self.options.depths * depth, LEAST_REACH)
        away = distance_transform_edt(~_marked(newest, frame))
        return np.asarray(np.clip(2 - away / reach, 0, 1), np.float32)

    def _as_wrong(self, prompts: Sequence[Prompt], look: FrameAnswer, seen: Real) -> Real:  # [*cells]
        """Return how much of a look is taken where the planes mend a mistake: nothing, or what lies along the boundary.

        A mask from elsewhere may be as wrong in other places as at the first mark on it.
        """
        nothing, mask, newest = np.zeros((), np.float32), seen > 0.5, prompts[-1]
        since = prompts if len(prompts) == 1 else prompts_since_mask(prompts)
        if since is None or not isinstance(newest, Click | Stroke) or not mask.any():
            return nothing
        if mark_count(since) > 1 or any(isinstance(prompt, Lasso) for prompt in since):
            return nothing
        depth = _depth(newest, look.frame, seen)
        if depth is None or not trusts_network_over_mask(look.quality, dice(look.mask, mask, empty=0.0)):
            return nothing
        away = np.where(mask, distance_transform_edt(mask), distance_transform_edt(~mask)) - 0.5  # from the boundary
        return np.asarray(np.clip(1.5 - away / max(AS_WRONG * depth, 0.5), 0, 1), np.float32)

    # The whole object.

    def _look(self, prompts: Sequence[Prompt], mask: MaskArray) -> tuple[FrameAnswer, Real]:
        """Return the look at the object from as near as it allows, and what it saw of the mask so far."""
        known = self._known(prompts, mask)
        first: FrameAnswer | None = None
        if known is None:
            first = self._first(prompts, mask)
            known = self._found(first, prompts)
        shown = self._shown(prompts)
        frame = self.frame(known)
        look = self.settled(prompts, frame, self._carried(mask, first, frame), shown=shown)
        for _ in range(self.options.further):
            if not self._touches(look):
                break
            frame = self._further(look)
            look = self.settled(prompts, frame, self._carried(mask, look, frame), shown=shown)
        return look, frame.subsample_to_grid(mask)

    def _first(self, prompts: Sequence[Prompt], mask: MaskArray) -> FrameAnswer:
        """Look at marks, whose object may have any size, from several distances; keep the answer judged best."""
        said = self._said(prompts) or [_place(prompts[-1])]
        box = _round_all(said)
        spacing_mm, cells = self.image.spacing, (self.options.first,) * 3
        widest_mm = float(np.max(spacing_mm * self.image.shape))
        side_mm = max(LEAST_LOOK * float(spacing_mm.min()), 1.5 * float(np.max(spacing_mm * box.shape)))
        looks: list[FrameAnswer] = []
        while True:
            frame = _snapped(box, side_mm, spacing_mm, cells)
            looks.append(replace(self._ask(prompts, frame, frame.subsample_to_grid(mask)), hidden=None))
            if side_mm >= widest_mm:
                break
            side_mm *= self.options.doubling
        positive = marks(prompts, self.image.shape)[0]

        beside = [_alikeness(one, other) for one, other in pairwise(looks)]
        alike = [max(some) for some in zip([0.0, *beside], [*beside, 0.0], strict=True)]

        def good(at: int) -> float:
            look = looks[at]
            missed = len(positive) and not look.mask[tuple(look.frame.cell(positive).T)].all()
            return look.quality + alike[at] - TOUCHING * self._touches(look) - BESIDE * bool(missed)

        return looks[max(range(len(looks)), key=good)]

    def _known(self, prompts: Sequence[Prompt], mask: MaskArray) -> Box | None:
        """Return the box round the mask so far, the boxes and the marks; None where there are marks alone."""
        found = bounds(mask)
        if found is not None:
            longest = float(np.max(self.image.spacing * found.shape))
            if longest < LEAST_KNOWN * float(self.image.spacing.min()):
                found = None
        sized = any(isinstance(prompt, Box | Extremes) for prompt in prompts)
        if found is None and not sized:
            return None
        said = self._said(prompts)
        return self._deep(_round_all(said if found is None else [found, *said]))

    def _said(self, prompts: Sequence[Prompt]) -> list[Box]:
        """Return the boxes of what was said to be the object; far negative marks widen nothing."""
        boxes = [extent(prompt) for prompt in prompts if getattr(prompt, "positive", True)]
        return [box for box in boxes if box is not None]

    def _deep(self, box: Box) -> Box:
        """Return the box of something flat as one half as deep in mm as it is wide: nothing has been said of that."""
        spacing = self.image.spacing
        if 1 not in box.shape:
            return box
        wanted_mm = 0.5 * float(np.max(spacing * box.shape))
        room = [
            max(0, int(wanted_mm / step / 2)) if side == 1 else 0 for side, step in zip(box.shape, spacing, strict=True)
        ]
        return box.grown((room[0], room[1], room[2])).clipped(self.image.shape)

    def _found(self, look: FrameAnswer, prompts: Sequence[Prompt]) -> Box:
        """Return the box of what a look found and the marks; of the look's middle if it found nothing."""
        cells = bounds(look.mask)
        if cells is None:
            side = look.frame.cells[0]
            cells = Box((side // 4,) * 3, (side - side // 4,) * 3)
        return _round_all([look.frame.box(cells, self.image.shape), *self._said(prompts)])

    # Frames.

    def frame(self, box: Box) -> Frame:
        """Return the frame to look at an object through that fills this box."""
        spacing_mm = self.image.spacing
        side_mm = self.options.margin * float(np.max(spacing_mm * box.shape))
        side_mm = max(side_mm, LEAST_LOOK * float(spacing_mm.min()))
        return _snapped(box, side_mm, spacing_mm, (self.options.cells,) * 3)

    def _further(self, look: FrameAnswer) -> Frame:
        """Return a frame from further away, round what the look found and what it was cut off from."""
        cells = bounds(look.mask)
        assert cells is not None  # it reaches a side
        box = look.frame.box(cells, self.image.shape)
        side_mm = 1.9 * float(look.frame.length[0] * self.image.spacing[0])
        return _snapped(box, side_mm, self.image.spacing, (self.options.cells,) * 3)

    def _touches(self, look: FrameAnswer) -> bool:
        """Tell whether the mask reaches a side of its frame that is not a side of the volume."""
        mask, frame = look.mask, look.frame
        for axis, (low, length, count) in enumerate(zip(frame.low, frame.length, self.image.shape, strict=True)):
            across = np.moveaxis(mask, axis, 0)
            edge = length / frame.cells[axis]
            if (low > edge and across[0].any()) or (low + length < count - edge and across[-1].any()):
                return True
        return False

    # Looking.

    def settled(self, prompts: Sequence[Prompt], frame: Frame, seen: Real, *, shown: bool = True) -> FrameAnswer:
        """Ask again with the answer as the mask so far, as long as that makes the refiner expect more.

        Shown the mask so far, networks of little learning believe it, and change it where a mark lies and nowhere else.
        Marks and boxes say the same in fewer words; of a lasso only the mask knows.
        """
        look = self._ask(prompts, frame, seen if shown else np.zeros_like(seen))
        for _ in range(self.options.again):
            if not 0 < look.quality < self.options.sure:
                break
            after = self._ask(prompts, frame, look.mask.astype(np.float32))
            if after.quality < look.quality + self.options.rise:
                break
            look = after
        return self._cut_cut_by_intensity(prompts, look)

    def _cut_cut_by_intensity(self, prompts: Sequence[Prompt], look: FrameAnswer) -> FrameAnswer:
        """Return the look with its boundary moved to where the block's tones have one."""
        if not self.options.tones:
            return look
        pinned = self._pinned([prompt for prompt in prompts if not isinstance(prompt, Extremes)], look.frame)
        _, level, equalised, valid = frame_channels(self.image, look.frame)
        return replace(look, probability=cut_by_intensity(look.probability, level, equalised, valid > 0, pinned))

    def _ask(self, prompts: Sequence[Prompt], frame: Frame, seen: Real) -> FrameAnswer:
        """Return the networks' answer in a frame, of which this much is in the mask so far."""
        known = np.concatenate([seen[None], volume_prompt_channels(prompts, frame)])
        answer = self.refiner.run({"prompts": known[None], **self.features(frame)})
        probability = sigmoid(answer["logits"][0, 0])
        uncertainty = uncertainty_of(sigmoid(answer["error_logits"][0, 0]))
        outside = ~frame.cells_in_volume(self.image.shape)
        probability[outside] = uncertainty[outside] = 0
        quality = float(answer["quality"][0]) if (probability > 0.5).any() else 0.0
        return FrameAnswer(
            frame, probability, uncertainty, quality, answer["hidden"][0] if "hidden" in answer else None
        )

    def features(self, frame: Frame) -> dict[str, Real]:
        """Return what the reader says of a frame, from what is kept if it is."""
        found = self._kept.pop(frame, None)
        if found is None:
            found = self.reader.run({"x": frame_channels(self.image, frame)[None]})
        self._kept[frame] = found  # the newest last
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _carried(self, mask: MaskArray, look: FrameAnswer | None, frame: Frame) -> Real:
        """Return the mask so far in a frame: a look's answer where it looked, else the mask that came."""
        seen = frame.subsample_to_grid(mask)
        if look is None:
            return seen
        between = _between(look.frame, frame)
        known = between.cells_in_volume(look.frame.cells)
        return np.where(known, between.resample_to_grid(look.mask), seen)

    # What planes say of a correction.

    def _mistake(self, prompts: Sequence[Prompt], mask: MaskArray) -> Solid | None:
        """Return what is wrong round the newest mark, as the planes through it say, in which more is seen."""
        if self.planes is None or not self.options.across or not mask.any():
            return None
        return mistake_at(self.planes, prompts, mask)

    def _mended(self, prompts: Sequence[Prompt], mask: MaskArray, changes: Sequence[Change], mistake: Solid) -> Change:
        """Return the change that takes the mistake away, with a boundary where the image has edges."""
        frame, positive = changes[0].frame, bool(getattr(prompts[-1], "positive", True))
        low = np.subtract(frame.low, mistake.box.low)
        wrong = replace(frame, low=three(low)).subsample_to_grid(mistake.inside)
        now = _composed(frame, mask, changes)
        logits = logit(now, 1 - SOLID_SURE) + (1 if positive else -1) * SOLID_LOGIT * wrong
        labels = Edges(frame_channels(self.image, frame)[0], TUNING).cut(
            logits.astype(np.float32), self._pinned(prompts, frame)
        )
        near = binary_dilation(wrong > SOLID_SEEN, iterations=SOLID_ROUND)
        return Change(frame, np.where(near & (labels == positive), labels - now, 0).astype(np.float32))

    # Marks that are not obeyed.

    def _heeded(self, prompts: Sequence[Prompt], mask: MaskArray, changes: Sequence[Change]) -> list[Change]:
        """Return a change round each mark that the answer so far does not obey, the newest marks first."""
        together = list(changes)
        for wrong, positive in self._unheeded(prompts, mask, together):
            reach_mm = self._reach_mm(wrong, positive, mask, together)
            together.append(self._cut(prompts, wrong, positive, mask, together, reach_mm))
            if len(together) == len(changes) + HEED_MOST:
                break
        return together[len(changes) :]

    def _unheeded(
        self, prompts: Sequence[Prompt], mask: MaskArray, changes: Sequence[Change]
    ) -> Iterator[tuple[Points, bool]]:
        """Yield the voxels of each mark that the answer so far does not obey, newest first, and what they should be.

        The newest is not obeyed, either, where hardly more than its own dot follows. A change that is added meanwhile
        counts for the marks that are still to come.
        """
        for prompt in reversed(prompts):
            pinned = mark(prompt)
            if pinned is None or isinstance(prompt, Extremes):
                continue
            points, positive = pinned
            points = points[:: len(points) // SAMPLED + 1]
            wrong = points[(_at(points, mask, changes) > 0.5) != positive]
            if prompt is prompts[-1] and self._shown(prompts) and self._dotted(points, positive, mask, changes):
                wrong = points
            if len(wrong):
                yield wrong, positive

    def _dotted(self, points: Points, positive: bool, mask: MaskArray, changes: Sequence[Change]) -> bool:
        """Tell whether a mark that the mask so far contradicted has changed hardly more than its own dot."""
        frame = changes[0].frame
        cells = _cells(points, frame)
        before, after = ((_composed(frame, mask, some) > 0.5) == positive for some in ((), changes[:1]))
        if not before.any() or not len(cells[0]) or before[cells].all():
            return False
        pieces = label(after & ~before)[0]
        followed = np.isin(pieces, np.setdiff1d(pieces[cells], 0))
        sources = np.ones(before.shape, bool)
        sources[cells] = False
        away = distance_transform_edt(sources)
        return not followed.any() or bool(away[followed].max() <= self.options.dot)

    def _pinned(self, prompts: Sequence[Prompt], frame: Frame) -> NDArray[np.uint8]:  # [*cells]
        """Return which cells the marks pin; where both fall into one, outside it is."""
        fixed = np.zeros(frame.cells, np.uint8)
        for points, side in zip(marks(prompts, self.image.shape), (FOREGROUND, BACKGROUND), strict=True):
            fixed[_cells(points, frame)] = side
        return fixed

    def _cut(
        self,
        prompts: Sequence[Prompt],
        points: Points,
        positive: bool,
        mask: MaskArray,
        changes: Sequence[Change],
        reach_mm: float,
    ) -> Change:
        """Return the change that puts points on their side, with the region round them that the image's edges bound.

        How far a mark speaks follows from how far it lies from what is on its side already: a mark deep in an error
        means a large error.
        """
        spacing_mm = self.image.spacing
        box = Box(_index(points.min(axis=0)), _index(points.max(axis=0) + 1))
        side_mm = 4 * reach_mm + float(np.max(spacing_mm * box.shape))
        length = side_mm / spacing_mm
        low = (np.add(box.low, box.high) - length) / 2
        frame = Frame(three(low), three(length), (HEED_CELLS,) * 3)
        now = _composed(frame, mask, changes)
        fixed = self._pinned(prompts, frame)
        logits = logit(now, 1 - SURE) + self._heard(points, positive, frame, reach_mm)
        marked = np.zeros(frame.cells, bool)
        marked[tuple(frame.cell(points).T)] = True
        fixed[marked] = FOREGROUND if positive else BACKGROUND
        labels = Edges(frame_channels(self.image, frame)[0], TUNING).cut(logits.astype(np.float32), fixed)
        astray = ((now > 0.5) != positive) | ((frame.subsample_to_grid(mask) > 0.5) != positive)
        moved = label(astray & (labels == positive))[0]
        named = np.unique(moved[marked])
        taken = np.isin(moved, named[named > 0])
        return Change(frame, np.where(taken, labels - now, 0).astype(np.float32))

    def _heard(self, points: Points, positive: bool, frame: Frame, reach_mm: float) -> Real:  # [*cells]
        """Return the logits that a mark says round itself, as far as it is heard."""
        sources = np.ones(frame.cells, bool)
        sources[tuple(frame.cell(points).T)] = False
        edge_mm = float(frame.length[0] * self.image.spacing[0] / frame.cells[0])
        away = distance_transform_edt(sources) * (edge_mm / reach_mm / HEARD)
        return np.asarray((1 if positive else -1) * SEED_LOGIT * np.maximum(1 - away**2, 0), np.float32)

    def _reach_mm(self, points: Points, positive: bool, mask: MaskArray, changes: Sequence[Change]) -> float:
        """Return how far points lie from the nearest cells on their side."""
        frame = changes[0].frame
        edge_mm = float(frame.length[0] * self.image.spacing[0] / frame.cells[0])
        least_mm = 2.0 * float(self.image.spacing.min())
        sides = [(_composed(frame, mask, some) > 0.5) == positive for some in ((), changes)]
        side = sides[0] if sides[0].any() and not sides[0][_cells(points, frame)].all() else sides[1]
        if not side.any() or side.all():
            return max(least_mm, 2 * edge_mm)
        depth = float(distance_transform_edt(~side)[tuple(frame.cell(points).T)].max())
        return max(least_mm, depth * edge_mm)

    # Learning the frame.

    def _taught(
        self,
        prompts: Sequence[Prompt],
        mask: MaskArray,
        look: FrameAnswer,
        changes: Sequence[Change],
        cut: Sequence[Change],
    ) -> Change | None:
        """Return what the last layers add when they are taught this frame, None where that is not called for.

        They learn the answer so far, with what was cut round marks that were not obeyed, and go on from there: of what
        they say, that is taken which lies on the side of such a mark, or of the newest, and reaches it.
        """
        head, finetune = self.head, self.options.finetune
        if finetune == "off" or head is None or look.hidden is None:
            return None
        calling = [*self._unheeded(prompts, mask, changes)]
        newest = mark(prompts[-1])
        if finetune == "on" and newest is not None and is_correction(prompts):
            calling.append(newest)
        there = {True: np.zeros(look.frame.cells, bool), False: np.zeros(look.frame.cells, bool)}
        for points, positive in calling:
            there[positive][_cells(points, look.frame)] = True
        if not there[True].any() and not there[False].any():
            return None
        said = CUT_LOGIT * sum((change.seen(look.frame) for change in cut), np.zeros(look.frame.cells, np.float32))
        tones = frame_channels(self.image, look.frame)[0]
        marked = self._pinned(prompts, look.frame)
        taught = alternate(look.hidden, tones, head, marked=marked, tuning=self.options.teaching, said=said)
        now = _composed(look.frame, mask, [*changes, *cut])
        taken = np.zeros(now.shape, bool)
        for positive, cells in there.items():
            new = (
                ((now > 0.5) != taught.labels)
                & (taught.labels == positive)
                & look.frame.cells_in_volume(self.image.shape)
            )
            taken |= _reaching(new | cells | (abs(said) > 0), cells) & new
        return Change(look.frame, np.where(taken, taught.labels - now, 0).astype(np.float32))

    # The answer.

    def _opinion(self, prompts: Sequence[Prompt], look: FrameAnswer) -> FrameAnswer:
        """Ask from twice as far, not shown the mask so far: what is really there is found again."""
        frame = self._further(look)
        return self._ask(prompts, frame, np.zeros(frame.cells, np.float32))

    def _answer(
        self,
        prompts: Sequence[Prompt],
        mask: MaskArray,
        changes: Sequence[Change],
        look: FrameAnswer,
        opinion: FrameAnswer | None,
        *,
        finetuned: bool,
    ) -> Prediction:
        """Return the mask so far with the changes laid over it, in the box of all that has changed."""
        shape, newest = self.image.shape, prompts[-1]
        box = _round_all([change.box(shape) for change in changes])
        if box.size == 0 or isinstance(newest, Click | Stroke | Lasso):
            box = box.union(_place(newest))
        values = _over(box, mask, changes)
        now = _composed(look.frame, mask, changes)
        uncertainty = np.zeros(box.shape, np.float32)
        part = look.frame.box(Box((0, 0, 0), look.frame.cells), shape).intersection(box)
        if part.size:
            uncertainty[part.within(box)] = look.frame.resample_to_voxels(
                self._uncertainty_map(look, opinion, now), part
            )
        quality = look.quality
        if opinion is not None:
            quality = _quality(look, opinion, now > 0.5) + mark_count_gain(prompts)
        return Prediction(values, box, min(max(quality, 0.0), 1.0) or None, uncertainty, finetuned)

    def _uncertainty_map(self, look: FrameAnswer, opinion: FrameAnswer | None, now: Real) -> Real:  # [*cells]
        """Return how uncertain each cell is of a mask.

        Where it has not the tone of its side, as much as the look itself is uncertain; and more where the second
        opinion, or the look, which may have said more than was taken of it, says otherwise.
        """
        mask = now > 0.5
        disagreed = np.abs(mask - look.probability)
        if opinion is not None:
            elsewhere = _between(opinion.frame, look.frame).resample_to_grid(opinion.probability)
            disagreed = np.maximum(disagreed, np.abs(mask - elsewhere))
        _, _, equalised, valid = frame_channels(self.image, look.frame)
        unlike = np.abs(mask - sigmoid(intensity_logits(now, equalised, valid > 0)))
        return np.asarray(np.clip((look.uncertainty + DISAGREED * disagreed) * unlike, 0, 1), np.float32)


def _bursting(seen: Real, change: Change) -> bool:
    """Tell whether a change makes what was seen of the mask so far many times as large: it is of another object."""
    before, after = (int((cells > 0.5).sum()) for cells in (seen, seen + change.values))
    return after > BURSTS * max(before, 1)


def _marked(mark: Click | Stroke, frame: Frame) -> MaskArray:  # [*cells]
    """Return the cells that a mark is drawn on."""
    return np.asarray(volume_prompt_channels([mark], frame)[0 if mark.positive else 1] > 0)


def _depth(mark: Click | Stroke, frame: Frame, seen: Real) -> float | None:
    """Return how many cells a mark lies from those on its side; None where there are none, or none of the mark."""
    side, marked = (seen > 0.5) == mark.positive, _marked(mark, frame)
    if not side.any() or not marked.any():
        return None
    return float(distance_transform_edt(~side)[marked].max())


def _place(prompt: Prompt) -> Box:
    box = extent(prompt)
    assert box is not None  # adjustments were left out
    return box


def _round_all(boxes: Sequence[Box]) -> Box:
    found = boxes[0]
    for box in boxes[1:]:
        found = found.union(box)
    return found


def _snapped(box: Box, side_mm: float, spacing_mm: NDArray[np.float64], cells: Index) -> Frame:
    """Return the smallest frame of certain sizes that is so long at least, near the middle of a box.

    >>> _snapped(Box((4, 4, 4), (6, 8, 8)), 12.0, np.array([2.0, 1.0, 1.0]), (8, 8, 8))
    Frame(low=(1.0, -2.0, -2.0), length=(8.0, 16.0, 16.0), cells=(8, 8, 8))
    """
    side = 2.0 ** (np.ceil(STEPS * np.log2(side_mm) - 1e-9) / STEPS)
    place_mm = side / PLACES
    middle_mm = (np.add(box.low, box.high) / 2) * spacing_mm
    low = place_mm * np.round((middle_mm - side / 2) / place_mm) / spacing_mm
    return Frame(three(low), three(side / spacing_mm), cells)


def _cells(points: Points, frame: Frame) -> tuple[NDArray[np.intp], ...]:
    """Return the index of the cells that hold voxels' centres, without those that lie outside."""
    at = np.rint(frame.to_grid(points)).astype(np.intp)
    return tuple(at[((at >= 0) & (at < frame.cells)).all(axis=1)].T)


def _between(frame: Frame, other: Frame) -> Frame:
    """Return the other frame in the cells of the first, as if these were voxels."""
    edge = np.divide(frame.length, frame.cells)
    low, length = np.subtract(other.low, frame.low) / edge, np.divide(other.length, edge)
    return Frame(three(low), three(length), other.cells)


def _quality(look: FrameAnswer, opinion: FrameAnswer, made: MaskArray) -> float:
    """Return the Dice to be expected of the mask that was made.

    Mostly from how likely each of its cells is to be wrong by the look's own uncertainty; less from what the second
    opinion expects of itself, and from how much of the look was taken: what was mended by other means is not what it
    judged.
    """
    wrong = look.uncertainty / 2
    right = float(made.sum() - wrong[made].sum())
    expected = 2 * right / (right + float(made.sum() + wrong[~made].sum()) + 1)
    return (1 - OPINION - TAKEN) * expected + OPINION * opinion.quality + TAKEN * dice(look.mask, made, empty=0.0)


def _alikeness(near: FrameAnswer, far: FrameAnswer) -> float:
    """Return the Dice of two looks' masks where the nearer one sees, in the cells of the further one."""
    seen = _between(near.frame, far.frame)
    inside = seen.cells_in_volume(near.frame.cells)
    one, other = (seen.resample_to_grid(near.mask) > 0.5) & inside, far.mask & inside
    return float(2 * (one & other).sum() / max(int(one.sum()) + int(far.mask.sum()), 1))


def _composed(frame: Frame, mask: MaskArray, changes: Sequence[Change]) -> Real:
    """Return the mask so far with changes, as a frame sees it."""
    seen = frame.subsample_to_grid(mask)
    for change in changes:
        seen = np.clip(seen + change.seen(frame), 0, 1)
    return np.asarray(seen, np.float32)


def _over(box: Box, mask: MaskArray, changes: Sequence[Change]) -> Real:  # [z y x] of the box
    """Return the mask so far with changes, at the voxels of a box."""
    values = mask[box.slices].astype(np.float32)
    for change in changes:
        part = change.box(mask.shape).intersection(box)
        if part.size:
            at = part.within(box)
            values[at] = np.clip(values[at] + change.frame.resample_to_voxels(change.values, part), 0, 1)
    return values


def _at(points: Points, mask: MaskArray, changes: Sequence[Change]) -> Real:  # [n]
    """Return the mask so far with changes, at some voxels."""
    boxes = [Box(_index(point), _index(point + 1)) for point in points]
    return np.asarray([_over(box, mask, changes).item() for box in boxes], np.float32)


def _index(point: NDArray[np.intp]) -> Index:
    z, y, x = point.tolist()
    return z, y, x


def _reaching(changed: MaskArray, marked: MaskArray) -> MaskArray:
    """Return the pieces of what changed that reach what is marked, or lie against it."""
    pieces, count = label(changed, np.ones((3, 3, 3), bool))
    reached = np.zeros(count + 1, bool)
    reached[np.unique(pieces[binary_dilation(marked, iterations=2)])] = True
    reached[0] = False
    return np.asarray(reached[pieces])
