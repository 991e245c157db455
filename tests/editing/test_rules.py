"""Edits against what they mean, written down slowly: every axis, voxels that are no cubes, flat images."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from segmend.core.edits import (
    EDITS,
    Combine,
    Component,
    CopySlice,
    Cut,
    Draw,
    Edit,
    FillHoles,
    Grow,
    Interpolate,
    KeepLargest,
    Merge,
    Paint,
    RemoveSmall,
    Smooth,
    Threshold,
    check_edit,
    edit_from_json,
    edit_to_json,
)
from segmend.core.image import Box, Image, MaskArray, scale_affine
from segmend.core.marks import path
from segmend.core.prompts import Drawn, Lasso
from segmend.editing.distances import within_mm
from segmend.editing.edited import Change, edit_map, edited, in_range, laid_over
from segmend.errors import PromptError

SHAPE = (4, 6, 7)
SPACING = (3.0, 1.0, 0.5)
IMAGE = Image(np.arange(np.prod(SHAPE)).reshape(1, *SHAPE).astype(np.int16), scale_affine(SPACING))
MASKS = arrays(bool, SHAPE)
INDEX = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
AXES = st.sampled_from([0, 1, 2])
ALL_AXES = st.sampled_from([None, 0, 1, 2])


def after(edit: Edit, mask: MaskArray, other: MaskArray | None = None, image: Image = IMAGE) -> MaskArray:
    """Return the whole mask after an edit."""
    check_edit(edit, mask.shape)
    change = edited(edit, mask, image, lambda label: mask if other is None else other)
    out = mask.copy()
    if change is not None:
        out[change.box.slices] = change.mask
    return out


def drawn(text: str) -> MaskArray:
    """Return a flat mask as it is drawn: # is inside."""
    rows = text.split()
    return np.array([[[letter == "#" for letter in row] for row in rows]])


def shown(mask: MaskArray) -> str:
    return " ".join("".join(".#"[int(v)] for v in row) for row in mask[0])


def turned(mask: MaskArray, axis: int) -> MaskArray:
    """Return a mask of slices along the first axis as one of slices along another."""
    return np.ascontiguousarray(np.moveaxis(mask, 0, axis))


def flat(mask: MaskArray, values: Any = None) -> Image:
    return Image((np.zeros(mask.shape) if values is None else np.asarray(values))[None])


class TestBrush:
    @given(MASKS, st.lists(INDEX, min_size=1, max_size=3), st.floats(0, 4), ALL_AXES, st.booleans())
    def test_a_round_brush_covers_what_is_near_its_line_in_mm(
        self, mask: MaskArray, points: list[Any], radius: float, axis: int | None, positive: bool
    ) -> None:
        if axis is not None:
            points = [(*point[:axis], points[0][axis], *point[axis + 1 :]) for point in points]
        line = path(points)
        grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
        away = np.sqrt((((grid[..., None, :] - line) * SPACING) ** 2).sum(axis=-1)).min(axis=-1)
        near = away <= radius * (1 + 1e-5)
        if axis is not None:
            near &= grid[..., axis] == line[0, axis]

        painted = after(Paint(tuple(points), positive, radius, axis=axis), mask)

        assert np.array_equal(painted, mask | near if positive else mask & ~near)

    def test_a_square_brush_and_a_radius_in_voxels(self) -> None:
        nothing = np.zeros((1, 5, 7), bool)
        image = Image(np.zeros((1, 1, 5, 7)), scale_affine((9.0, 2.0, 1.0)))
        one = Paint(((0, 2, 3),), radius=2.0, unit="voxels", axis=0, square=True)

        assert shown(after(one, nothing, image=image)) == "....... .#####. .#####. .#####. ......."
        assert (
            shown(after(replace(one, square=False), nothing, image=image)) == "....... ...#... .#####. ...#... ......."
        )

    def test_a_square_line_is_as_wide_as_its_brush_everywhere(self) -> None:
        line = Paint(((0, 1, 1), (0, 1, 4)), radius=1.0, square=True)

        assert shown(after(line, np.zeros((1, 4, 7), bool), image=flat(np.zeros((1, 4, 7))))) == (
            "######. ######. ######. ......."
        )

    def test_a_brush_keeps_to_a_range_of_values(self) -> None:
        values = np.array([[[10, 20, 30, 40, 50]]])
        nothing = np.zeros(values.shape, bool)
        brush = Paint(((0, 0, 2),), radius=2.0)

        assert shown(after(replace(brush, within=(20, 40)), nothing, image=flat(nothing, values))) == ".###."
        assert shown(after(replace(brush, within=(30, np.inf)), nothing, image=flat(nothing, values))) == "..###"
        erased = after(replace(brush, positive=False, within=(40, 50)), ~nothing, image=flat(nothing, values))
        assert shown(erased) == "###.."

    def test_colours_count_by_their_mean(self) -> None:
        image = Image(np.array([[[[0, 90]]], [[[30, 90]]], [[[60, 0]]]], np.uint8))

        assert in_range(image, Box((0, 0, 0), (1, 1, 2)), (30, 31)).tolist() == [[[True, False]]]

    @given(MASKS, MASKS, st.booleans())
    def test_a_drawing_adds_or_takes_its_voxels(self, mask: MaskArray, drawing: MaskArray, positive: bool) -> None:
        drawing[0, 0, 0] = True

        edit = Draw(Drawn(drawing, positive=positive))

        assert np.array_equal(after(edit, mask), mask | drawing if positive else mask & ~drawing)


class TestDistances:
    @given(MASKS, st.floats(0, 40))
    def test_what_is_near_is_what_the_distance_transform_says(self, mask: MaskArray, mm: float) -> None:
        away = ndimage.distance_transform_edt(~mask, sampling=SPACING)

        assert np.array_equal(within_mm(mask, mm, SPACING), (away <= mm * (1 + 1e-5)) & mask.any())

    @given(MASKS, st.sampled_from([0.5, 1.0, 1.2, 3.0, 7.0]))
    def test_growing_and_shrinking_are_each_others_complement(self, mask: MaskArray, mm: float) -> None:
        if mask.any() and not mask.all():
            larger, smaller = after(Grow(mm), mask), after(Grow(-mm), mask)
            assert (larger >= mask).all() and (smaller <= mask).all()
            assert np.array_equal(larger, within_mm(mask, mm, SPACING))
            assert np.array_equal(smaller, ~within_mm(~mask, mm, SPACING))

    def test_thick_slices_grow_where_the_distance_reaches_them(self) -> None:
        mask = np.zeros((3, 5, 5), bool)
        mask[1, 2, 2] = True
        image = Image(np.zeros((1, 3, 5, 5)), scale_affine((3, 1, 2)))

        assert [int(plane.sum()) for plane in after(Grow(2.0), mask, image=image)] == [0, 7, 0]
        assert [int(plane.sum()) for plane in after(Grow(3.0), mask, image=image)] == [1, 15, 1]

    def test_a_mask_that_the_border_cuts_does_not_shrink_from_there(self) -> None:
        assert shown(after(Grow(-1.0), drawn("###. ###."), image=flat(drawn("###. ###.")))) == "##.. ##.."


class TestHoles:
    @given(MASKS, ALL_AXES)
    def test_holes_are_what_no_way_leads_out_of(self, mask: MaskArray, axis: int | None) -> None:
        if not mask.any():
            return
        if axis is None:
            wanted = ndimage.binary_fill_holes(mask)
        else:
            planes = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(mask, axis, 0)]
            wanted = np.moveaxis(np.stack(planes), 0, axis)

        assert np.array_equal(after(FillHoles(axis), mask), wanted)

    def test_a_flat_image_has_holes_in_its_plane(self) -> None:
        ring = drawn("#### #.## ####")

        assert after(FillHoles(), ring, image=flat(ring)).all()
        assert after(Component((0, 1, 1), "fill"), ring, image=flat(ring)).all()


class TestComponents:
    ISLANDS = drawn("##..# ##... ....# #...#")

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_the_largest_stays(self, axis: int) -> None:
        wanted = "##... ##... ..... ....."

        kept = after(KeepLargest(), turned(self.ISLANDS, axis), image=flat(turned(self.ISLANDS, axis)))

        assert shown(np.moveaxis(kept, axis, 0)) == wanted

    def test_small_ones_go_by_their_volume(self) -> None:
        image = Image(np.zeros((1, *self.ISLANDS.shape)), scale_affine((2.0, 1.0, 0.5)))  # mm^3 a voxel: 1

        assert shown(after(RemoveSmall(2.0), self.ISLANDS, image=image)) == "##... ##... ....# ....#"
        assert shown(after(RemoveSmall(2.5), self.ISLANDS, image=image)) == "##... ##... ..... ....."
        assert not after(RemoveSmall(4.5), self.ISLANDS, image=image).any()

    def test_one_that_is_picked_goes_or_stays_alone(self) -> None:
        image = flat(self.ISLANDS)

        assert shown(after(Component((0, 2, 4)), self.ISLANDS, image=image)) == "##..# ##... ..... #...."
        assert shown(after(Component((0, 3, 4), "keep"), self.ISLANDS, image=image)) == "..... ..... ....# ....#"

    def test_a_plane_of_one_that_is_picked(self) -> None:
        tube = np.ones((3, 1, 2), bool)

        assert after(Component((1, 0, 0), axis=0), tube, image=flat(tube)).any(axis=(1, 2)).tolist() == [
            True,
            False,
            True,
        ]

    @pytest.mark.parametrize(
        ("edit", "words"),
        [
            (Component((0, 3, 3)), "nothing of the mask at the voxel"),
            (Component((0, 0, 0), "fill"), "in the mask already"),
            (Component((0, 2, 2), "fill"), "not enclosed"),
        ],
    )
    def test_what_is_not_there_cannot_be_picked(self, edit: Edit, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            after(edit, self.ISLANDS, image=flat(self.ISLANDS))

    @given(MASKS, INDEX)
    def test_erasing_and_keeping_one_share_the_mask(self, mask: MaskArray, index: Any) -> None:
        mask[index] = True
        erased, kept = after(Component(index), mask), after(Component(index, "keep"), mask)

        assert not (erased & kept).any() and np.array_equal(erased | kept, mask)


class TestSmoothing:
    @pytest.mark.parametrize("kind", ["gaussian", "median"])
    def test_a_bump_goes_and_the_middle_stays(self, kind: str) -> None:
        mask = np.zeros((9, 15, 15), bool)
        mask[2:7, 3:12, 3:12] = True
        mask[4, 7, 12] = mask[4, 7, 13] = True
        image = Image(np.zeros((1, *mask.shape)), scale_affine((2.0, 1.0, 1.0)))

        smooth = after(Smooth(1.0, kind), mask, image=image)  # type: ignore[arg-type]

        assert not smooth[4, 7, 13] and smooth[3:6, 5:10, 5:10].all() and not smooth[:2].any()

    @given(MASKS)
    def test_the_median_is_the_majority_of_a_block(self, mask: MaskArray) -> None:
        if not mask.any():
            return
        padded = np.pad(mask, ((0, 0), (1, 1), (2, 2)), mode="edge")  # 1.2 mm: 0, 1 and 2 voxels
        views = [padded[:, y : y + SHAPE[1], x : x + SHAPE[2]] for y, x in product(range(3), range(5))]

        assert np.array_equal(after(Smooth(1.2, "median"), mask), 2 * np.sum(views, axis=0) > len(views))

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_slices_far_apart_do_not_blur_into_each_other(self, axis: int) -> None:
        mask = np.zeros((3, 9, 9), bool)
        mask[1, 2:7, 2:7] = True
        spacing = np.ones(3)
        spacing[axis] = 20.0
        image = Image(np.zeros((1, *turned(mask, axis).shape)), scale_affine(spacing))

        smooth = np.moveaxis(after(Smooth(1.0), turned(mask, axis), image=image), axis, 0)

        assert smooth[1, 3:6, 3:6].all() and not smooth[0].any()


class TestThreshold:
    VALUES = np.array([[[0, 5, 6, 7, 9], [0, 5, 6, 7, 9]]])
    MASK = drawn("##... .....")

    @pytest.mark.parametrize(
        ("inside", "wanted"), [("replace", ".##.. .##.."), ("add", "###.. .##.."), ("remove", ".#... .....")]
    )
    def test_a_region_gains_what_is_in_range_and_loses_what_is_not(self, inside: Any, wanted: str) -> None:
        box = Threshold((5, 6), Box((0, 0, 0), (1, 2, 5)), inside=inside)

        assert shown(after(box, self.MASK, image=flat(self.MASK, self.VALUES))) == wanted

    def test_the_mask_itself_with_a_margin_is_a_region(self) -> None:
        assert shown(after(Threshold((5, 9), margin_mm=1.0), self.MASK, image=flat(self.MASK, self.VALUES))) == (
            ".##.. .#..."
        )

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_lasso_is_a_region_in_its_plane(self, axis: int) -> None:
        values = turned(np.full((3, 5, 6), 50), axis)
        corners = [(1, 1, 1), (1, 1, 4), (1, 3, 4), (1, 3, 1)]
        order = [1, 2]
        order.insert(axis, 0)
        points = tuple(tuple(corner[i] for i in order) for corner in corners)
        nothing = np.zeros(values.shape, bool)

        found = after(Threshold((40, 60), Lasso(points, axis)), nothing, image=flat(nothing, values))  # type: ignore[arg-type]

        wanted = np.zeros((3, 5, 6), bool)
        wanted[1, 1:4, 1:5] = True
        assert np.array_equal(found, turned(wanted, axis))


class TestLabels:
    @given(MASKS, MASKS, st.sampled_from(["union", "subtract", "intersect"]), st.sampled_from([0.5, 1.0, 4.0]))
    def test_two_labels_combine_as_sets(self, mask: MaskArray, other: MaskArray, operation: Any, mm: float) -> None:
        near = within_mm(other, mm, SPACING)
        wanted = {"union": mask | other, "subtract": mask & ~near, "intersect": mask & near}[operation]

        assert np.array_equal(after(Combine(operation, 2, mm), mask, other), wanted)

    def test_a_union_takes_the_other_label_but_not_a_third(self) -> None:
        before = np.array([[[1, 2, 3, 0]]], np.uint16)
        image = flat(before)

        assert edit_map(before, Combine("union", 2), image, label=1).tolist() == [[[1, 1, 3, 0]]]
        assert edit_map(before, Combine("union", 2), image, label=1, locked=[2]).tolist() == before.tolist()

    @given(arrays(np.uint16, SHAPE, elements=st.integers(0, 3)), st.booleans(), st.sampled_from([(), (2,), (2, 3)]))
    def test_painting_changes_other_labels_only_where_it_may(self, before: Any, overwrite: bool, locked: Any) -> None:
        everything = Change(Box((0, 0, 0), SHAPE), np.ones(SHAPE, bool))

        now = laid_over(before, everything, 1, locked=locked, overwrite=overwrite)

        stays = np.isin(before, [2, 3] if not overwrite else list(locked))
        assert np.array_equal(now, np.where(stays, before, 1))


class TestSlices:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_cone_is_filled_in_between_its_ends(self, axis: int) -> None:
        rows, columns = np.mgrid[:21, :21]
        away = np.hypot(rows - 10, columns - 10)
        mask = np.zeros((5, 21, 21), bool)
        mask[0], mask[4] = away <= 9, away <= 3
        image = flat(turned(mask, axis))

        found = np.moveaxis(after(Interpolate(axis), turned(mask, axis), image=image), axis, 0)

        for number, radius in ((1, 7.5), (2, 6), (3, 4.5)):
            assert ((away <= radius - 1) <= found[number]).all() and (found[number] <= (away <= radius + 1)).all()
        assert np.array_equal(found[[0, 4]], mask[[0, 4]])

    def test_a_shape_that_moves_is_met_halfway(self) -> None:
        mask = np.zeros((3, 1, 12), bool)
        mask[0, 0, 0:3] = mask[2, 0, 8:11] = True

        assert shown(after(Interpolate(0), mask, image=flat(mask))[1][None]) == "....###....."

    def test_slices_that_are_full_to_the_border_stay_full(self) -> None:
        mask = np.ones((5, 4, 6), bool)
        mask[1:4] = False

        assert after(Interpolate(0), mask, image=flat(mask)).all()

    def test_named_slices_replace_what_lies_between(self) -> None:
        mask = np.ones((4, 3, 5), bool)
        mask[1, 0] = False
        mask[0, :, 0] = mask[3, :, 0] = False

        found = after(Interpolate(0, (0, 3)), mask, image=flat(mask))

        assert np.array_equal(found[1], mask[0]) and np.array_equal(found[2], mask[0])

    @pytest.mark.parametrize(
        ("slices", "words"),
        [((), "needs two slices with a mask along axis 0; 1 has one"), ((1, 3), "one that was named has none")],
    )
    def test_two_slices_are_needed(self, slices: tuple[int, ...], words: str) -> None:
        mask = np.zeros((4, 2, 2), bool)
        mask[1] = True
        with pytest.raises(PromptError, match=words):
            after(Interpolate(0, slices), mask, image=flat(mask))

    def test_no_gap_is_said(self) -> None:
        with pytest.raises(PromptError, match="no empty slice between"):
            after(Interpolate(0), np.ones((3, 2, 2), bool), image=flat(np.zeros((3, 2, 2))))

    @given(MASKS, AXES, st.data())
    def test_a_slice_is_copied(self, mask: MaskArray, axis: int, data: Any) -> None:
        source, target = data.draw(st.permutations(range(SHAPE[axis])))[:2]
        np.moveaxis(mask, axis, 0)[source][0, 0] = True

        found = np.moveaxis(after(CopySlice(axis, source, target), mask), axis, 0)

        planes = np.moveaxis(mask.copy(), axis, 0)
        planes[target] = planes[source]
        assert np.array_equal(found, planes)

    def test_an_empty_slice_is_not_copied(self) -> None:
        mask = np.zeros((3, 2, 2), bool)
        mask[0] = True
        with pytest.raises(PromptError, match="to copy from has no mask"):
            after(CopySlice(0, 1, 2), mask, image=flat(mask))


class TestCuts:
    BAR = drawn("....... #####.# ####### #####.. .......")

    def test_the_part_that_was_picked_goes(self) -> None:
        cut = Cut(((0, 0, 2), (0, 4, 2)), (0, 2, 4))

        assert shown(after(cut, self.BAR, image=flat(self.BAR))) == "....... ###.... ###.... ###.... ......."

    def test_it_goes_to_another_label(self) -> None:
        before = self.BAR.astype(np.uint16)
        before[0, 2, 4] = 3

        now = edit_map(before, Cut(((0, 0, 2), (0, 4, 2)), (0, 1, 0), to=5), flat(self.BAR), label=1)

        assert now[0, 2].tolist() == [5, 5, 1, 1, 3, 1, 1]

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("through", [True, False])
    def test_a_slanted_line_cuts_every_slice_or_its_own(self, axis: int, through: bool) -> None:
        mask = turned(np.ones((3, 6, 6), bool), axis)
        order = [1, 2]
        order.insert(axis, 0)
        points = tuple(tuple((1, *end)[i] for i in order) for end in ((0, 1), (5, 4)))
        index = tuple((1, 0, 5)[i] for i in order)

        found = np.moveaxis(after(Cut(points, index, axis, through=through), mask, image=flat(mask)), axis, 0)  # type: ignore[arg-type]

        assert [bool(plane[0, 5]) for plane in found] == ([False] * 3 if through else [True, False, True])
        assert all(plane[5, 0] for plane in found)
        assert 10 < int(found[1].sum()) < 26

    @pytest.mark.parametrize(
        ("cut", "words"),
        [
            (Cut(((0, 0, 2), (0, 2, 2)), (0, 2, 4)), "does not cut off"),
            (Cut(((0, 0, 2), (0, 4, 2)), (0, 2, 2)), "lies on the line"),
            (Cut(((0, 0, 2), (0, 4, 2)), (0, 0, 4)), "nothing of the mask at the voxel"),
        ],
    )
    def test_a_line_has_to_part_something(self, cut: Cut, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            after(cut, self.BAR, image=flat(self.BAR))


RULES: tuple[Edit, ...] = (
    FillHoles(),
    FillHoles(1),
    KeepLargest(),
    RemoveSmall(4.0),
    Smooth(1.0),
    Smooth(1.0, "median"),
    Grow(1.0),
    Grow(-0.5),
    Threshold((10, 90)),
    Combine("subtract", 2, 1.0),
)


class TestAll:
    @given(MASKS, st.sampled_from(RULES), st.tuples(*[st.integers(0, 3)] * 6))
    def test_the_box_they_work_in_is_wide_enough(self, mask: MaskArray, edit: Edit, room: Any) -> None:
        """A larger grid round the same mask changes nothing, but that its border is no longer near."""
        if not mask.any():
            return
        margin = [(room[2 * axis] + 3, room[2 * axis + 1] + 3) for axis in range(3)]
        wide = np.pad(mask, [(3, 3)] * 3), np.pad(IMAGE.voxels[0], [(3, 3)] * 3)
        wider = np.pad(mask, margin), np.pad(IMAGE.voxels[0], margin)
        inner = tuple(slice(low - 3, low - 3 + side + 6) for (low, _), side in zip(margin, SHAPE, strict=True))

        found = [
            after(edit, one, np.roll(one, 2, 1), Image(values[None], scale_affine(SPACING)))
            for one, values in (wide, wider)
        ]

        assert np.array_equal(found[0], found[1][inner])
        assert found[0].sum() == found[1].sum()

    @pytest.mark.parametrize("edit", [rule for rule in RULES if not isinstance(rule, Combine)])
    def test_a_rule_needs_a_mask(self, edit: Edit) -> None:
        with pytest.raises(PromptError, match="no mask of this label"):
            after(edit, np.zeros(SHAPE, bool))

    @given(MASKS, st.sampled_from([FillHoles(), FillHoles(2), KeepLargest(), RemoveSmall(4.0)]))
    def test_those_that_clean_up_have_nothing_to_do_twice(self, mask: MaskArray, edit: Edit) -> None:
        if mask.any():
            once = after(edit, mask)
            assert not once.any() or edited(edit, once, IMAGE, lambda label: once) is None


EXAMPLES: tuple[Edit, ...] = (
    *RULES,
    Paint(((0, 1, 2), (0, 3, 4)), False, 2.5, "voxels", 0, True, (-np.inf, 40.0)),
    Draw(Drawn(np.ones((1, 2, 3), bool), (1, 1, 1), False), (3.0, 9.0)),
    Component((1, 2, 3), "fill", 2),
    Threshold((10.0, np.inf), Lasso(((0, 1, 1), (0, 3, 4), (0, 3, 1))), inside="add"),
    Threshold((10.0, 12.0), Box((0, 0, 0), (2, 3, 4))),
    Interpolate(1, (0, 3)),
    CopySlice(2, 3, 4),
    Merge(2),
    Cut(((0, 1, 2), (0, 3, 4)), (0, 5, 5), 0, 3, False),
)


CLICK = {"kind": "click", "index": [0, 0, 0]}


class TestJson:
    def test_every_kind_has_an_example(self) -> None:
        assert {type(edit) for edit in EXAMPLES} == set(EDITS.values())

    @pytest.mark.parametrize("edit", EXAMPLES)
    def test_what_is_written_is_read(self, edit: Edit) -> None:
        assert edit_from_json(edit_to_json(edit)) == edit

    @pytest.mark.parametrize("edit", EXAMPLES)
    def test_what_is_usual_need_not_be_said(self, edit: Edit) -> None:
        values = edit_to_json(edit)
        usual = {name: value for name, value in values.items() if value is not None}
        assert edit_from_json(usual) == edit

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({}, "needs a kind among paint, draw, .*; got None"),
            ({"kind": "polish"}, "needs a kind among .*; got 'polish'"),
            ({"kind": "paint"}, r"of kind paint needs 'points'; got only \['kind'\]"),
            ({"kind": "paint", "points": []}, "needs 1 to 100000 points; got 0"),
            ({"kind": "paint", "points": [[0, 0]]}, "three whole numbers"),
            ({"kind": "grow", "mm": "1"}, "'mm' needs a number; got '1'"),
            ({"kind": "grow", "width": 1}, "of kind grow has no 'width'; it has mm"),
            ({"kind": "keep_largest", "mm": 1}, "has no 'mm'; it has none"),
            ({"kind": "threshold", "within": [1]}, "two numbers, or null"),
            (
                {"kind": "threshold", "within": [1, 2], "region": {"kind": "click", "index": [0, 0, 0]}},
                "lasso or a box",
            ),
            ({"kind": "draw", "drawn": {"kind": "click", "index": [0, 0, 0]}}, "a prompt of kind drawn"),
            ({"kind": "combine", "operation": "union", "other": True}, "'other' needs a whole number; got True"),
            ({"kind": "cut", "points": [[0, 0, 0]], "index": [0, 0, 0], "through": 1}, "true or false; got 1"),
            ({"kind": "interpolate", "slices": 3}, "could not be read"),
        ],
    )
    def test_what_is_wrong_is_said(self, values: dict[str, Any], words: str) -> None:
        with pytest.raises(PromptError, match=words):
            edit_from_json(values)


class TestChecks:
    @pytest.mark.parametrize(
        ("edit", "words"),
        [
            (Paint(((0, 0, 9),)), r"A brush reaches \(0, 0, 9\), outside the image of shape \(4, 6, 7\)"),
            (Paint(((0, 0, 0),), radius=-1), "a radius of 0 to 200 mm; got -1"),
            (Paint(((0, 0, 0),), radius=float("nan")), "a radius of 0 to 200 mm; got nan"),
            (Paint(((0, 0, 0),), unit="cm"), "in mm or voxels; got 'cm'"),  # type: ignore[arg-type]
            (Paint(((0, 0, 0),), axis=3), "needs to be 0, 1 or 2; got 3"),
            (Paint(((0, 0, 0),), within=(3, 1)), "lower end first; got 3 to 1"),
            (Draw(Drawn(np.zeros((1, 1, 1), bool))), "A drawing needs 1 to 1000000 voxels; got 0"),
            (Draw(Drawn(np.ones((1, 1, 9), bool))), r"The drawn reaches \(0, 0, 8\), outside"),
            (RemoveSmall(0), r"a size above 0 mm\^3; got 0"),
            (Component((9, 0, 0)), r"A component reaches \(9, 0, 0\)"),
            (Component((0, 0, 0), "eat"), "to be erase, fill or keep; got 'eat'"),  # type: ignore[arg-type]
            (Smooth(0), "above 0 and up to 50 mm; got 0"),
            (Smooth(1, "mean"), "needs gaussian or median; got 'mean'"),  # type: ignore[arg-type]
            (Grow(51), "-50 to 50 mm that is not 0; got 51"),
            (Grow(float("nan")), "not 0; got nan"),
            (Threshold((float("nan"), 1)), "lower end first"),
            (Threshold((1, 2), margin_mm=-1), "a margin of 0 to 50 mm; got -1"),
            (Threshold((1, 2), Box((0, 0, 0), (1, 1, 9))), "The box reaches"),
            (Threshold((1, 2), inside="both"), "replace, add or remove; got 'both'"),  # type: ignore[arg-type]
            (Combine("xor", 2), "union, subtract or intersect; got 'xor'"),  # type: ignore[arg-type]
            (Combine("subtract", 2), "subtract needs a margin above 0 mm; got 0"),
            (Interpolate(0, (1,)), "two slices at least"),
            (Interpolate(0, (1, 4)), "no slice 4 along axis 0; there are 0 to 3"),
            (Interpolate(None), "needs to be 0, 1 or 2; got None"),  # type: ignore[arg-type]
            (CopySlice(1, 2, 2), "copied to another one; got 2 twice"),
            (Cut(((0, 0, 0),), (0, 1, 1)), "a line of two points at least, all in one plane"),
            (Cut(((0, 0, 0), (1, 3, 3)), (0, 1, 1)), "all in one plane"),
            (Cut(((0, 0, 0), (0, 3, 3)), (1, 1, 1), through=False), "to be picked in that slice"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, edit: Edit, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            check_edit(edit, SHAPE)

    def test_a_flat_image_has_one_kind_of_plane(self) -> None:
        with pytest.raises(PromptError, match="planes across axis 0 alone; got 1"):
            check_edit(FillHoles(1), (1, 5, 5))
