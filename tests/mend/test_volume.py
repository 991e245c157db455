"""mend in space, with small engines that any person can follow: where it looks, what it changes, what it keeps."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label

from segmend.core.image import Box, Image, MaskArray, Real, bounds, scale_affine
from segmend.core.marks import marks
from segmend.core.masks import dice
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Mask, Prompt, Stroke
from segmend.core.segmenter import answer, replaced
from segmend.core.session import FINETUNES
from segmend.errors import PromptError
from segmend.mend.method import solid
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import Question, WindowAnswer
from segmend.mend.three_planes import crossing, mistake_at
from segmend.mend.volume import VolumeWorkspace
from segmend.mend.volume_changes import Change, leaks
from segmend.mend.volume_networks import FrameAnswer
from segmend.mend.volume_options import TUNING, VolumeOptions
from segmend.mend.volume_quality import expected_dice
from segmend.runtime.budget import MEMORY
from segmend.runtime.engine import Arrays, Engine, load_network
from segmend.sampling.channels import Guess
from segmend.sampling.frame import Frame
from segmend.sampling.window import Window
from segmend.solvers.finetune import Head


class Tones(Engine):
    """A reader whose features are the tones themselves."""

    name = "intensities"

    def __init__(self) -> None:
        self.asked = 0

    def run(self, inputs: Arrays) -> dict[str, Real]:
        self.asked += 1
        return {"f0": np.asarray(inputs["x"], np.float32)}


class Grower(Engine):
    """A refiner that takes what has the tone of the marks, or of the box's middle, and is joined to it."""

    name = "grower"

    def run(self, inputs: Arrays) -> dict[str, Real]:
        so_far, positive, negative, box = inputs["prompts"][0]
        tone, valid = inputs["f0"][0, 0], inputs["f0"][0, 3] > 0
        seeds = (positive > 0) & valid
        if box.any():
            seeds[:] = False
            seeds[tuple(np.argwhere(box > 0).mean(axis=0).round().astype(int))] = True
        if not seeds.any():
            seeds = (so_far > 0.5) & valid
        grown = np.zeros(seeds.shape, bool)
        if seeds.any():
            parts, _ = label((np.abs(tone - np.median(tone[seeds])) < 0.2) & valid & (negative == 0))
            grown = np.isin(parts, np.setdiff1d(parts[seeds], 0))
        return said(grown, 0.9)


class Echo(Engine):
    """A refiner that never changes its mind: it says the mask so far."""

    name = "echo"

    def run(self, inputs: Arrays) -> dict[str, Real]:
        so_far = np.clip(inputs["prompts"][0, 0], 1e-4, 1 - 1e-4)
        logits = np.log(so_far / (1 - so_far)).astype(np.float32)
        uncertainty = -np.abs(logits)
        return {
            "logits": logits[None, None],
            "quality": np.asarray([0.5], np.float32),
            "error_logits": uncertainty[None, None],
        }


class Dotter(Engine):
    """A refiner that changes the mask so far by the dots of the marks and no further."""

    name = "dotter"

    def run(self, inputs: Arrays) -> dict[str, Real]:
        so_far, positive, negative, _ = inputs["prompts"][0]
        return said(((so_far > 0.5) | (positive > 0)) & (negative == 0), 0.5)


class Slowly(Engine):
    """A refiner that goes only four cells further than the mask so far each time it is asked, and knows it."""

    name = "slowly"

    def __init__(self) -> None:
        self.asked = 0

    def run(self, inputs: Arrays) -> dict[str, Real]:
        self.asked += 1
        so_far, positive, _, _ = inputs["prompts"][0]
        bright = inputs["f0"][0, 0] > 0.5
        mask = binary_dilation((so_far > 0.5) | (positive > 0), iterations=4) & bright
        return said(mask, 0.9 * mask.sum() / max(bright.sum(), 1))


class Boxed(Engine):
    """A refiner that fills the boxes, and of a volume without one says nothing."""

    name = "boxed"

    def run(self, inputs: Arrays) -> dict[str, Real]:
        return said(inputs["prompts"][0, 3] > 0, 0.9)


class Ruler(PlanePredictor):
    """An answer for planes that finds what has the tone of the mark and is joined to it."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.asked: list[tuple[int, int]] = []

    def answer_by_networks(self, question: Question) -> WindowAnswer:
        self.asked.append((question.axis, question.index))
        pixels = np.delete(marks(question.prompts, self.image.shape)[0], question.axis, axis=1)
        bright = np.take(self.image.voxels[0], question.index, question.axis) > 250
        parts, _ = label(bright)
        mask = np.isin(parts, np.setdiff1d(parts[tuple(pixels.T)], 0)).astype(np.float32)
        rows, columns = mask.shape
        return WindowAnswer(Window(0, 0, rows, columns), mask, mask, mask, np.s_[0:rows, 0:columns], 0.9, mask[None])


def said(mask: MaskArray, quality: float) -> dict[str, Real]:
    logits = np.where(mask, 9.0, -9.0).astype(np.float32)
    uncertainty = -np.abs(logits)[None, None]
    return {"logits": logits[None, None], "quality": np.asarray([quality], np.float32), "error_logits": uncertainty}


SHAPE, SPACING, MIDDLE = (16, 60, 70), (3.0, 1.0, 1.25), (8, 28, 33)
AFFINE = scale_affine(SPACING)


def ball(
    shape: Sequence[int], middle: Sequence[float], radii_mm: Sequence[float], spacing: Sequence[float] = SPACING
) -> MaskArray:
    away = [(np.arange(n) - m) * s / r for n, m, s, r in zip(shape, middle, spacing, radii_mm, strict=True)]
    return np.asarray(away[0][:, None, None] ** 2 + away[1][:, None] ** 2 + away[2] ** 2 <= 1)


def scanned(truth: MaskArray, *, spacing: Sequence[float] = SPACING) -> Image:
    noise = np.random.default_rng(0).normal(0, 20, truth.shape)
    return Image((noise + 500 * truth).astype(np.int16)[None], scale_affine(spacing))


TRUTH = ball(SHAPE, MIDDLE, (13, 14, 19))
IMAGE = scanned(TRUTH)
NOTHING = np.zeros(SHAPE, bool)
BOUNDS = bounds(TRUTH) or Box((0, 0, 0), (0, 0, 0))


SHOWN = VolumeOptions(shown=True)  # the mask so far, to networks that go on from it


def opened(image: Image = IMAGE, options: VolumeOptions | None = None) -> VolumeWorkspace:
    return VolumeWorkspace(Tones(), Grower(), image, options)


def alone(**options: Any) -> VolumeOptions:
    """Return a way of options that asks for no second opinion."""
    return VolumeOptions(second_prediction=False, **options)


def flat(axis: int) -> Box:
    low, high = list(BOUNDS.low), list(BOUNDS.high)
    low[axis], high[axis] = MIDDLE[axis], MIDDLE[axis] + 1
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def ends() -> Extremes:
    voxels = np.argwhere(TRUTH)
    found = [voxels[voxels[:, axis].argmin()] for axis in range(3)]
    found += [voxels[voxels[:, axis].argmax()] for axis in range(3)]
    return Extremes(tuple((int(z), int(y), int(x)) for z, y, x in found))


@pytest.mark.parametrize(
    "prompt",
    [
        Click(MIDDLE),
        Click((5, 26, 40)),
        Stroke(((8, 24, 25), (8, 30, 40))),
        Stroke(((6, 28, 33), (10, 28, 33))),
        BOUNDS,
        flat(0),
        flat(1),
        flat(2),
        ends(),
        Lasso(((8, 18, 25), (8, 18, 42), (8, 38, 42), (8, 38, 25))),
        Lasso(((6, 28, 22), (10, 28, 22), (10, 28, 44), (6, 28, 44)), axis=1),
    ],
    ids=lambda prompt: type(prompt).__name__,
)
def test_any_first_prompt_on_any_plane_finds_the_object(prompt: Prompt) -> None:
    found = answer(opened(options=alone()), [prompt], NOTHING)

    assert dice(TRUTH, found.over(NOTHING)) > 0.9
    assert found.quality == pytest.approx(0.9)
    assert found.uncertainty is not None
    assert found.uncertainty.shape == found.box.shape
    assert 0 <= found.uncertainty.min() <= found.uncertainty.max() <= 1


@pytest.mark.parametrize("radius_mm", [4.0, 9.0, 20.0, 34.0])
def test_a_click_finds_objects_of_any_size_and_nothing_else(radius_mm: float) -> None:
    truth = ball((30, 90, 80), (14, 44, 41), (radius_mm,) * 3, (2.5, 1.0, 1.0))
    image = scanned(truth, spacing=(2.5, 1.0, 1.0))
    workspace = opened(image)

    found = answer(workspace, [Click((14, 44, 41))], np.zeros(truth.shape, bool))

    assert dice(truth, found.over(np.zeros(truth.shape, bool))) > 0.87
    assert all(
        h - l < 2.6 * radius_mm / s + 8 for l, h, s in zip(found.box.low, found.box.high, (2.5, 1, 1), strict=True)
    )


class TestSize:
    """How large the object is that a mark means, planes through it tell."""

    def opened(self) -> VolumeWorkspace:
        return VolumeWorkspace(Tones(), Boxed(), IMAGE, VolumeOptions(across=False), planes=Ruler(IMAGE))

    def asked(self, workspace: VolumeWorkspace) -> list[tuple[int, int]]:
        assert isinstance(workspace.planes, Ruler)
        return workspace.planes.asked

    @pytest.mark.parametrize("first", [Click(MIDDLE), Stroke(((8, 28, 31), MIDDLE, (8, 28, 35)))])
    def test_three_planes_through_the_first_mark_make_its_box(self, first: Prompt) -> None:
        workspace = self.opened()
        mask = answer(workspace, [first], NOTHING).over(NOTHING)
        found = bounds(mask)
        assert found is not None and self.asked(workspace) == [(0, 8), (1, 28), (2, 33)]
        for low, high, wanted_low, wanted_high in zip(found.low, found.high, BOUNDS.low, BOUNDS.high, strict=True):
            assert abs(low - wanted_low) <= 1 and abs(high - wanted_high) <= 1

    def test_later_marks_widen_the_box_and_ask_no_plane(self) -> None:
        workspace = self.opened()
        mask = answer(workspace, [Click(MIDDLE)], NOTHING).over(NOTHING)
        outside = (8, 28, 60)
        answer(workspace, [Click(MIDDLE), Click((8, 20, 20), positive=False)], mask)
        prompts = [Click(MIDDLE), Click(outside)]
        told = workspace._with_object_box(prompts, mask)
        assert told[:2] == prompts and isinstance(told[2], Guess)
        wider = BOUNDS.union(Box(outside, (9, 29, 61)))
        assert told[2] == Guess(wider.low, wider.high)
        assert len(self.asked(workspace)) == 3

    @pytest.mark.parametrize(
        "prompts", [[BOUNDS], [Click(MIDDLE), BOUNDS], [ends()], [Click(MIDDLE, positive=False)]], ids=str
    )
    def test_what_says_how_large_it_is_itself_is_left_alone(self, prompts: list[Prompt]) -> None:
        workspace = self.opened()
        answer(workspace, prompts, NOTHING)
        assert self.asked(workspace) == []

    def test_a_mask_from_elsewhere_says_it_too(self) -> None:
        workspace = self.opened()
        answer(workspace, [Click(MIDDLE)], TRUTH)
        assert self.asked(workspace) == []

    def test_where_planes_see_nothing_marks_speak_alone(self) -> None:
        workspace = self.opened()
        prompts = [Click((1, 2, 3))]
        assert workspace._with_object_box(prompts, NOTHING) == prompts


def test_an_object_that_leaves_its_box_is_looked_at_from_further_away() -> None:
    part = Box((8, 27, 31), (10, 31, 36))

    near = answer(opened(options=VolumeOptions(further=0)), [part], NOTHING).over(NOTHING)
    far = answer(opened(), [part], NOTHING).over(NOTHING)

    assert dice(TRUTH, near) < 0.7
    assert dice(TRUTH, far) > 0.9


def test_an_object_at_the_volumes_side_is_cut_off_there_alone() -> None:
    truth = ball(SHAPE, (1, 3, 66), (15, 15, 15))

    found = answer(opened(scanned(truth)), [Click((2, 5, 65))], NOTHING).over(NOTHING)

    assert dice(truth, found) > 0.9


def test_a_mask_is_asked_for_again_while_that_makes_it_better() -> None:
    part = ball(SHAPE, MIDDLE, (8, 8, 8))
    grown, asked = [], []
    for again in (0, 1, 2, 9):
        refiner = Slowly()
        options = replace(SHOWN, again=again, obey=False, further=0, sure=0.8, second_prediction=False)
        workspace = VolumeWorkspace(Tones(), refiner, IMAGE, options)
        grown.append(int(answer(workspace, [Click(MIDDLE)], part).over(part).sum()))
        asked.append(refiner.asked)

    assert part.sum() < grown[0] < grown[1] < grown[2] <= grown[3]
    assert asked[:3] == [1, 2, 3]
    assert asked[3] < 10  # it was sure


def test_what_a_frame_shows_is_read_once_while_a_person_works() -> None:
    workspace = opened()
    mask = answer(workspace, [Click(MIDDLE)], NOTHING).over(NOTHING)
    assert isinstance(workspace.frames.reader, Tones)
    answer(workspace, [Click(MIDDLE), Click((9, 30, 30))], mask)
    read = workspace.frames.reader.asked

    prompts: list[Prompt] = [Click(MIDDLE), Click((9, 30, 30))]
    for index in [(8, 27, 29), (7, 31, 36), (9, 25, 33)]:
        prompts.append(Click(index))
        mask = answer(workspace, prompts, mask).over(mask)

    assert workspace.frames.reader.asked == read


def test_a_used_workspace_answers_as_a_fresh_one() -> None:
    used, prompts = opened(), [Click(MIDDLE), Click((2, 50, 60), positive=False), Click((11, 28, 33))]
    mask = NOTHING
    for count in range(1, 4):
        found, fresh = (answer(one, prompts[:count], mask) for one in (used, opened()))
        np.testing.assert_array_equal(found.probability, fresh.probability)
        assert found.box == fresh.box
        mask = found.over(mask)


def test_features_of_old_frames_are_forgotten() -> None:
    workspace = opened()
    for x in range(4, 68, 4):
        answer(workspace, [Click((8, 28, x))], NOTHING)

    assert 1 < MEMORY.count_of(workspace.frames._owner) <= 12


def test_stacks_of_thick_slices_are_left_to_the_plane() -> None:
    for spacing, wanted in [((3.0, 1.0, 1.25), True), ((8.0, 1.5, 1.5), False), ((1.0, 1.0, 5.0), False)]:
        assert solid(Image(np.zeros((1, 9, 20, 20)), scale_affine(spacing))) is wanted


def test_a_second_opinion_that_expects_little_lowers_the_quality_and_is_uncertain() -> None:
    class Flighty(Grower):
        """A refiner that finds the object, and from further away half of it, of which it expects little."""

        def run(self, inputs: Arrays) -> dict[str, Real]:
            found = super().run(inputs)
            grown = found["logits"][0, 0] > 0
            if grown.sum() < 3000:
                grown[: grown.shape[0] // 2] = False
                return said(grown, 0.3)
            return said(grown, 0.9)

    sure, alone_there, uncertainty_map = (
        answer(VolumeWorkspace(Tones(), refiner, IMAGE, options), [BOUNDS], NOTHING)
        for refiner, options in ((Grower(), VolumeOptions()), (Flighty(), alone()), (Flighty(), VolumeOptions()))
    )
    np.testing.assert_array_equal(sure.probability > 0.5, uncertainty_map.probability > 0.5)
    assert (
        sure.quality is not None
        and uncertainty_map.quality is not None
        and uncertainty_map.quality < sure.quality - 0.1
    )
    assert alone_there.quality == pytest.approx(0.9)
    assert uncertainty_map.uncertainty is not None and sure.uncertainty is not None
    assert uncertainty_map.uncertainty.mean() > 2 * sure.uncertainty.mean()


@pytest.mark.parametrize(("rows", "leaking"), [(2, False), (8, False), (9, True)])
def test_a_change_that_makes_a_mask_many_times_as_large_is_found(rows: int, leaking: bool) -> None:
    seen, grown = np.zeros((12, 12, 12), np.float32), np.zeros((12, 12, 12), np.float32)
    seen[0], grown[1:rows] = 1, 1
    whole = Frame((0, 0, 0), (12, 12, 12), (12, 12, 12))

    assert leaks(seen, Change(whole, grown)) is leaking


def test_voxels_without_the_intensity_of_their_side_are_most_uncertain() -> None:
    class Unsure(Boxed):
        """A refiner that fills the boxes, and is as uncertain of every cell."""

        def run(self, inputs: Arrays) -> dict[str, Real]:
            found = super().run(inputs)
            return {**found, "error_logits": np.full_like(found["error_logits"], -1.0)}

    found = answer(VolumeWorkspace(Tones(), Unsure(), IMAGE, alone(boundary_cut=False)), [BOUNDS], NOTHING)
    mask, uncertainty = found.over(NOTHING), np.zeros(SHAPE, np.float32)
    assert found.uncertainty is not None
    uncertainty[found.box.slices] = found.uncertainty
    assert (mask & ~TRUTH).sum() > 1000  # the corners of the box
    assert uncertainty[mask & ~TRUTH].mean() > 3 * uncertainty[TRUTH].mean() > 0


def test_quality_follows_the_uncertainty_of_the_mask_that_was_made_and_how_much_of_the_look_it_is() -> None:
    frame = Frame((0, 0, 0), (8, 8, 8), (8, 8, 8))
    mask = np.zeros(frame.cells, bool)
    mask[2:6, 2:6, 2:6] = True

    def told(uncertainty_map: float, made: MaskArray = mask) -> float:
        uncertainty = np.full(frame.cells, uncertainty_map, np.float32)
        look = FrameAnswer(frame, mask.astype(np.float32), uncertainty, 0.9)
        return expected_dice(look, look, made)

    part = mask.copy()
    part[4:] = False
    assert told(0.0) == pytest.approx(0.975, abs=0.01)
    assert told(0.0) > told(0.1) + 0.05 > told(0.5) + 0.15
    assert told(0.0, part) < told(0.0) - 0.05


class TestCorrections:
    """Networks that are not shown the mask so far answer anew each time; what a correction does not reach stays."""

    def test_a_correction_reaches_as_far_as_the_mistake_is_deep(self) -> None:
        mask = TRUTH | BESIDE_IT
        mask[8, 5:7, 3:5] = True  # far away, and nothing that the networks would say
        options = VolumeOptions(obey=False)

        after = answer(VolumeWorkspace(Tones(), Grower(), IMAGE, options), [Click(MIDDLE)], mask).over(mask)
        assert after[8, 5:7, 3:5].all()  # the mark is where it should be: there is no mistake

        wrong = TRUTH & (np.arange(SHAPE[2]) < 30)
        wrong[8, 5:7, 3:5] = True
        after = answer(VolumeWorkspace(Tones(), Grower(), IMAGE, options), [Click((8, 28, 40))], wrong).over(wrong)
        assert (after & TRUTH & ~wrong).sum() > 0.5 * (TRUTH & ~wrong).sum()
        assert after[8, 5:7, 3:5].all()

    def test_a_first_mark_and_a_box_speak_of_the_whole_object(self) -> None:
        for prompt in (Click(MIDDLE), Box((4, 16, 20), (13, 41, 46))):
            after = answer(VolumeWorkspace(Tones(), Grower(), IMAGE, VolumeOptions(obey=False)), [prompt], NOTHING)
            assert dice(TRUTH, after.over(NOTHING)) > 0.9


class Seer(PlanePredictor):
    """An answer for planes that finds the truth where it was marked."""

    def __init__(self, truth: MaskArray) -> None:
        self.truth = truth

    def answer_by_networks(self, question: Question) -> WindowAnswer:
        here = np.take(self.truth, question.index, question.axis)
        mask = here.astype(np.float32)
        rows, columns = mask.shape
        return WindowAnswer(Window(0, 0, rows, columns), mask, mask, mask, np.s_[0:rows, 0:columns], 0.9, mask[None])


class TestAcross:
    """What is wrong round a click, the planes through it tell."""

    WRONG = TRUTH & ~ball(SHAPE, (8, 28, 43), (9, 9, 9))
    LEAK = TRUTH | ball(SHAPE, (8, 28, 50), (9, 9, 9))

    def mended(self, start: MaskArray, prompts: Sequence[Prompt], **options: Any) -> MaskArray:
        how = VolumeOptions(second_prediction=False, obey=False, **options)
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, how, planes=Seer(TRUTH))
        return answer(workspace, prompts, start).over(start)

    def test_a_mistake_that_space_leaves_alone_is_mended(self) -> None:
        there, here = Click((8, 28, 43)), Click((8, 28, 50), positive=False)
        for start, prompts in ((self.WRONG, [there]), (self.LEAK, [here]), (self.WRONG, [Click(MIDDLE), there])):
            mask = self.mended(start, prompts, together=0)
            assert (mask ^ TRUTH).sum() < 0.3 * (start ^ TRUTH).sum()

    def test_what_lies_far_from_the_mark_stays(self) -> None:
        both = self.WRONG & ~ball(SHAPE, (8, 28, 18), (5, 5, 5))
        mask = self.mended(both, [Click((8, 28, 43))])
        np.testing.assert_array_equal(mask[:, :, :24], both[:, :, :24])

    @pytest.mark.parametrize("prompt", [Click(MIDDLE), Stroke(((8, 28, 41), (8, 28, 45)))], ids=["right", "a stroke"])
    def test_a_click_that_is_right_already_and_a_stroke_ask_no_planes(self, prompt: Prompt) -> None:
        assert mistake_at(Seer(TRUTH), [prompt], self.WRONG) is None

    def test_a_mark_that_planes_do_not_follow_is_a_dot(self) -> None:
        dot = mistake_at(Seer(self.WRONG), [Click((8, 28, 43))], self.WRONG)
        assert dot is not None and dot.box == Box((8, 28, 43), (9, 29, 44))

    def test_cross_sections_that_do_not_meet_make_nothing(self) -> None:
        row = np.eye(4, dtype=bool)
        assert crossing([row[:1], row[1:2], row[:1]]) is None


class TestMasksFromElsewhere:
    """What a first mark says of a mask that came from elsewhere is said of its whole boundary, where that is wrong."""

    THIN = ball(SHAPE, MIDDLE, (10, 11, 16))  # the object, but wrong all round
    THERE = Click((8, 28, 47))  # three voxels off

    def after(
        self, quality: float, prompts: Sequence[Prompt], start: MaskArray, planes: MaskArray = TRUTH
    ) -> MaskArray:
        class Judging(Grower):
            def run(self, inputs: Arrays) -> dict[str, Real]:
                return {**super().run(inputs), "quality": np.asarray([quality], np.float32)}

        options = VolumeOptions(second_prediction=False, obey=False)
        workspace = VolumeWorkspace(Tones(), Judging(), IMAGE, options, planes=Seer(planes))
        return answer(workspace, prompts, start).over(start)

    @pytest.mark.parametrize(("quality", "believed"), [(0.95, True), (0.5, False)])
    def test_its_whole_boundary_may_be_as_wrong(self, quality: float, believed: bool) -> None:
        start = self.THIN
        mask = self.after(quality, [Mask(start), self.THERE], start)
        left = np.s_[:, :, :25]
        assert (mask & TRUTH & ~start)[left].any() == believed
        assert dice(TRUTH, mask) > dice(TRUTH, start)

    @pytest.mark.parametrize(
        "between",
        [Click(MIDDLE), Lasso(((8, 27, 32), (8, 27, 34), (8, 29, 34), (8, 29, 32)), axis=0)],
        ids=["a mark", "a lasso"],
    )
    def test_what_a_person_did_to_it_since_is_left_alone(self, between: Prompt) -> None:
        mask = self.after(0.95, [Mask(self.THIN), between, self.THERE], self.THIN)
        np.testing.assert_array_equal(mask[:, :, :25], self.THIN[:, :, :25])

    def test_the_mask_of_another_object_is_left_alone(self) -> None:
        other = ball(SHAPE, (8, 28, 40), (6, 7, 7))
        near = TRUTH & (np.arange(SHAPE[2]) < 40)
        mask = self.after(0.95, [Mask(other), Click((8, 28, 32))], other, planes=near)
        assert mask[8, 28, 33]
        np.testing.assert_array_equal(mask[:, :, 42:], other[:, :, 42:])


class TestWhatStays:
    def test_details_finer_than_cells_stay_where_nothing_changed(self) -> None:
        mask = ball((60, 200, 200), (30, 100, 100), (25, 90, 90), (1, 1, 1))
        mask[30, 100, 195:199] = True  # a thread of one voxel
        mask[30, 40, 60:80] = False  # a gap of one
        image = scanned(mask, spacing=(1, 1, 1))
        workspace = VolumeWorkspace(Tones(), Echo(), image, SHOWN)

        after = answer(workspace, [Click((30, 100, 100))], mask).over(mask)

        np.testing.assert_array_equal(after, mask)


class TestObeying:
    def test_a_mark_moves_the_region_round_it_as_far_as_the_edges(self) -> None:
        mask = TRUTH & (np.arange(SHAPE[2]) < 36)  # the right part is missing
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, SHOWN)

        after = answer(workspace, [Click((8, 28, 24)), Click((8, 28, 41))], mask).over(mask)

        assert (after & TRUTH & ~mask).sum() > 0.35 * (TRUTH & ~mask).sum()
        assert (after & ~TRUTH).sum() < 0.05 * TRUTH.sum()
        np.testing.assert_array_equal(after[:, :, :30], mask[:, :, :30])

    def test_a_negative_mark_takes_a_leak_away(self) -> None:
        leak = ball(SHAPE, (8, 28, 55), (6, 6, 6))
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, SHOWN)

        after = answer(workspace, [Click(MIDDLE), Click((8, 28, 55), positive=False)], TRUTH | leak).over(TRUTH | leak)

        assert (after & leak).sum() < 0.2 * leak.sum()
        assert dice(TRUTH, after) > 0.98

    def test_old_marks_count_too(self) -> None:
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, SHOWN)
        prompts = [Click((8, 28, 24)), Click((8, 28, 41)), Click((2, 8, 8), positive=False)]
        mask = TRUTH & (np.arange(SHAPE[2]) < 36)

        after = answer(workspace, prompts, mask).over(mask)

        assert (after & TRUTH & ~mask).sum() > 0.35 * (TRUTH & ~mask).sum()

    def test_a_stroke_moves_all_of_its_length(self) -> None:
        mask = TRUTH & (np.arange(SHAPE[1])[:, None] < 24)
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, SHOWN)
        line = Stroke(((8, 34, 24), (8, 34, 42)))

        after = answer(workspace, [line], mask).over(mask)

        for a, b in pairwise(range(24, 43, 6)):
            assert after[7:10, 30:37, a:b].mean() > 0.8

    def test_without_it_a_mark_is_one_voxel(self) -> None:
        mask = TRUTH & (np.arange(SHAPE[2]) < 36)
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, replace(SHOWN, obey=False))

        after = answer(workspace, [Click((8, 28, 41))], mask).over(mask)

        assert (after ^ mask).sum() == 1

    @given(
        seed=st.integers(0, 10_000),
        shape=st.tuples(st.integers(1, 8), st.integers(3, 14), st.integers(3, 12)),
        echo=st.booleans(),
    )
    @settings(max_examples=25, deadline=None)
    def test_marks_are_law_in_any_volume(self, seed: int, shape: tuple[int, int, int], echo: bool) -> None:
        rng = np.random.default_rng(seed)
        image = Image(rng.integers(-100, 100, (1, *shape)).astype(np.int16), scale_affine(rng.uniform(0.3, 6, 3)))
        workspace = VolumeWorkspace(Tones(), Echo() if echo else Grower(), image)
        prompts: list[Prompt] = []
        mask = rng.random(shape) < 0.3 if rng.random() < 0.5 else np.zeros(shape, bool)
        for _ in range(4):
            a, b = sorted(rng.integers(0, shape, (2, 3)).tolist())
            low, high = np.minimum(a, b).tolist(), (np.maximum(a, b) + 1).tolist()
            prompts.append(
                [
                    Click(tuple(a), bool(rng.random() < 0.6)),
                    Stroke((tuple(a), tuple(b)), bool(rng.random() < 0.6)),
                    Box(tuple(low), tuple(high)),
                    Adjust(0.2),
                ][rng.integers(4)]
            )
            if all(isinstance(prompt, Adjust) for prompt in prompts):
                continue

            mask = answer(workspace, prompts, mask).over(mask)

            positive, negative = marks(prompts, shape)
            assert mask[tuple(positive.T)].all()
            assert not mask[tuple(negative.T)].any()


class TestDots:
    @pytest.mark.parametrize("positive", [True, False])
    def test_a_mark_of_which_only_a_dot_is_left_moves_what_lies_round_it(self, positive: bool) -> None:
        mask = TRUTH & (np.arange(SHAPE[2]) < MIDDLE[2]) if positive else TRUTH | BESIDE_IT
        click = Click((8, 28, 42)) if positive else Click((8, 30, 60), positive=False)

        before, after = (
            dice(TRUTH, answer(VolumeWorkspace(Tones(), Dotter(), IMAGE, options), [click], mask).over(mask))
            for options in (replace(SHOWN, dot=0.0), SHOWN)
        )

        assert after > before + 0.05

    def test_a_mark_that_the_network_follows_is_left_to_it(self) -> None:
        mask = TRUTH & (np.arange(SHAPE[2]) < 20)
        click = [Click((8, 28, 42))]

        found = [answer(opened(options=VolumeOptions(dot=dot)), click, mask) for dot in (0.0, 7.0)]

        np.testing.assert_array_equal(found[0].over(mask), found[1].over(mask))


class Heedless(Engine):
    """A refiner that looks at no mark: it says what its head says of the tones, and gives these as what that saw."""

    name = "heedless"

    def run(self, inputs: Arrays) -> dict[str, Real]:
        intensities = inputs["f0"][0]
        hidden = np.stack([intensities[0], np.ones_like(intensities[0])])
        logits = np.where(intensities[3] > 0, BRIGHT.logits(hidden), -9).astype(np.float32)
        return said(logits > 0, 0.6) | {"logits": logits[None, None], "hidden": hidden[None]}


BRIGHT = Head((np.array([[20.0, -10.0]], np.float32),), (np.zeros(1, np.float32),))
SHELL = ball(SHAPE, MIDDLE, (19, 22, 28)) & ~TRUTH
BESIDE_IT = np.zeros(SHAPE, bool)
BESIDE_IT[3:13, 15:45, 52:68] = True  # taken for the object by mistake
RING = Image((IMAGE.voxels + 250 * SHELL).astype(np.int16), AFFINE)  # half as bright as the object
BESIDE = Click((8, 28, 52), positive=False)  # in the shell


class TestLearning:
    @staticmethod
    def heedless() -> VolumeWorkspace:
        quick = alone(tuning=replace(TUNING, rate=0.5))  # two features teach less in a step than a network's many
        return VolumeWorkspace(Tones(), Heedless(), RING, quick, BRIGHT)

    def test_a_mark_that_is_not_obeyed_teaches_the_frame(self) -> None:
        workspace = self.heedless()
        mask = TRUTH | SHELL
        prompts = [BOUNDS.grown((4, 8, 8)).clipped(SHAPE), Click(MIDDLE), BESIDE]

        found = {finetune: answer(workspace.with_finetuning(finetune), prompts, mask) for finetune in FINETUNES}

        left = {finetune: int((said.over(mask) & SHELL).sum()) for finetune, said in found.items()}
        assert left["auto"] < 0.25 * left["off"] < 0.25 * SHELL.sum()
        assert {finetune: said.finetuned for finetune, said in found.items()} == {
            "auto": True,
            "on": True,
            "off": False,
        }
        assert not found["auto"].over(mask)[BESIDE.index]

    def test_marks_that_agree_fine_tune_only_when_set(self) -> None:
        workspace = self.heedless()
        prompts = [BOUNDS, Click(MIDDLE)]

        assert not answer(workspace, prompts, NOTHING).finetuned
        assert answer(workspace.with_finetuning("on"), prompts, NOTHING).finetuned
        assert not answer(workspace.with_finetuning("on"), prompts[:1], NOTHING).finetuned  # nothing was corrected yet

    def test_nothing_is_kept_of_what_was_taught(self) -> None:
        used, fresh = self.heedless(), self.heedless()
        prompts = [BOUNDS, Click(MIDDLE), BESIDE]
        mask = TRUTH | SHELL
        for other in ([*prompts, Click((8, 50, 33), positive=False)], prompts):
            answer(used.with_finetuning("on"), other, mask)

        again, first = answer(used, prompts, mask), answer(fresh, prompts, mask)

        assert again.box == first.box and again.finetuned
        np.testing.assert_array_equal(again.probability, first.probability)

    def test_a_network_without_a_head_cannot_learn(self) -> None:
        workspace = VolumeWorkspace(Tones(), Heedless(), RING)

        assert not answer(workspace.with_finetuning("on"), [BOUNDS, BESIDE], TRUTH | SHELL).finetuned

    def test_both_share_what_was_read(self) -> None:
        workspace = self.heedless()
        reader = workspace.frames.reader
        assert isinstance(reader, Tones)
        answer(workspace, [BOUNDS], TRUTH)

        answer(workspace.with_finetuning("on"), [BOUNDS], TRUTH)

        assert reader.asked == 1


class TestEdges:
    def test_nothing_to_go_by_is_said(self) -> None:
        for prompts in ([], [Adjust(0.3)]):
            with pytest.raises(PromptError, match="at least one prompt with a place; got none"):
                opened().predict(prompts, NOTHING)

    def test_a_mask_from_elsewhere_is_the_answer(self) -> None:
        there = Mask(np.ones((2, 3, 4), bool), (5, 6, 7))

        after = answer(opened(), [there], TRUTH).over(TRUTH)

        assert after.sum() == 24
        assert after[5:7, 6:9, 7:11].all()
        assert replaced(there, NOTHING).box == there.box

    def test_a_negative_mark_alone_leaves_nothing(self) -> None:
        found = answer(opened(), [Click(MIDDLE, positive=False)], NOTHING)

        assert not found.over(NOTHING).any()
        assert found.quality is None

    def test_a_lasso_adds_and_takes_away_even_if_nothing_follows(self) -> None:
        workspace = VolumeWorkspace(Tones(), Echo(), IMAGE, SHOWN)
        ring = ((8, 20, 25), (8, 20, 40), (8, 36, 40), (8, 36, 25))

        for positive, wanted in ((True, TRUTH[8, 20:37, 25:41].size), (False, 0)):
            after = answer(workspace, [Lasso(ring, positive=positive)], TRUTH).over(TRUTH)
            assert after[8, 20:37, 25:41].sum() == wanted
            np.testing.assert_array_equal(after[[0, 7, 9]], TRUTH[[0, 7, 9]])

    def test_a_constant_volume_or_one_slice_is_answered(self) -> None:
        for shape in [(6, 9, 8), (1, 12, 12), (5, 1, 1)]:
            image = Image(np.full((1, *shape), 7, np.int16), AFFINE)
            nothing = np.zeros(shape, bool)
            index = (shape[0] // 2, shape[1] // 2, shape[2] // 2)

            found = answer(VolumeWorkspace(Tones(), Grower(), image), [Click(index)], nothing)

            assert found.over(nothing)[index]
            assert np.isfinite(found.probability).all()

    def test_memory_follows_the_object_and_not_the_volume(self) -> None:
        shape = (150, 600, 600)
        image = Image(np.broadcast_to(np.int16(0), (1, *shape)), scale_affine((1, 1, 1)))
        mask = np.zeros(shape, bool)
        mask[70:80, 300:320, 300:320] = True
        workspace = VolumeWorkspace(Tones(), Echo(), image, SHOWN)
        workspace.predict([Click((75, 310, 310))], mask)

        tracemalloc.start()
        workspace.predict([Click((75, 310, 310)), Click((75, 310, 322))], mask)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 40e6  # the volume has 54 million voxels


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    """Untrained networks, exported as trained ones are."""
    import torch

    from segmend.nets.mend import ImageEncoder, PromptDecoder
    from segmend.runtime.engine import export_network

    folder: Path = tmp_path_factory.mktemp("mend3d")
    torch.manual_seed(0)
    sizes = {"dimensions": 3, "widths": [4, 6, 8], "features": 4}
    reader, refiner = ImageEncoder(inputs=4, **sizes).eval(), PromptDecoder(prompts=4, **sizes).eval()
    x = torch.zeros(1, 4, 16, 16, 16)
    with torch.no_grad():
        features = reader(x)
    names = [f"f{i}" for i in range(len(features))]
    export_network(
        reader,
        folder / "reader.onnx",
        architecture="mend:ImageEncoder",
        settings={"inputs": 4, **sizes},
        inputs={"x": x},
        outputs=names,
    )
    export_network(
        refiner,
        folder / "refiner.onnx",
        architecture="mend:PromptDecoder",
        settings={"prompts": 4, **sizes},
        inputs={"prompts": x, **dict(zip(names, features, strict=True))},
        outputs=("logits", "quality", "hidden", "error_logits"),
    )
    return load_network(str(folder / "reader.onnx")), load_network(str(folder / "refiner.onnx"))


def test_exported_networks_answer(networks: tuple[Engine, Engine]) -> None:
    workspace = VolumeWorkspace(*networks, IMAGE, VolumeOptions(cells=32, first=16))

    mask = NOTHING
    for count, prompts in enumerate([[Click(MIDDLE)], [Click(MIDDLE), Click((8, 10, 10), positive=False)]]):
        found = answer(workspace, prompts, mask)
        mask = found.over(mask)
        assert found.quality is None or 0 < found.quality <= 1
        assert np.isfinite(found.probability).all()
        assert mask[MIDDLE]
        assert count == 0 or not mask[8, 10, 10]
