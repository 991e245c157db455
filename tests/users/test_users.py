"""Every robot: its marks lie inside the mistake, carry the right sign, and follow from the seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from segmend.core.image import Box
from segmend.core.marks import path
from segmend.core.prompts import Click, Stroke, check, kind_of
from segmend.core.segmenter import Prediction, Workspace
from segmend.errors import SettingsError, ShapeError
from segmend.users import (
    USERS,
    BoxFirst,
    FarthestError,
    LargestError,
    NoisyHuman,
    RandomError,
    SkeletonStroke,
    user,
)
from segmend.users.play import as_prompts, play, rounds

FLAT = st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 12))
SOLID = st.tuples(st.integers(2, 5), st.integers(1, 6), st.integers(1, 7))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw a truth and a mask of one shape, flat or solid."""
    shape = draw(st.one_of(FLAT, SOLID))
    masks = hnp.arrays(bool, shape, elements=st.booleans(), fill=st.booleans())
    return draw(masks), draw(masks)


def drawn(rows: list[str]) -> np.ndarray:
    return np.array([[[c == "#" for c in row] for row in rows]])


# These leave small mistakes alone, make some, or need an object; the tests beside this one have their rules.
OTHERWISE = {"adjustment", "brush", "editor", "edits", "extremes", "regions", "scribbles", "selection", "wrong"}


@pytest.mark.parametrize("name", sorted(set(USERS) - OTHERWISE))
@given(pair=pairs(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_robots_are_content_exactly_when_the_mask_is_right(name: str, pair: tuple[Any, Any], seed: int) -> None:
    truth, mask = pair
    robot = user(name, seed)

    prompt = robot(truth, mask)

    assert (prompt is None) == bool((truth == mask).all())
    assert robot(truth, truth) is None
    if prompt is not None:
        for one in as_prompts(prompt):
            check(one, truth.shape)
        assert robot(truth.copy(), mask.copy()) == prompt
        assert user(name, seed)(truth, mask) == prompt


@pytest.mark.parametrize("robot", [LargestError(3), FarthestError(3), RandomError(3), BoxFirst(3, then=RandomError(1))])
@given(pair=pairs())
@settings(max_examples=100, deadline=None)
def test_a_click_lands_inside_the_mistake_with_the_sign_of_the_truth(robot: Any, pair: tuple[Any, Any]) -> None:
    truth, mask = pair

    prompt = robot(truth, mask)

    if isinstance(prompt, Click):
        assert truth[prompt.index] != mask[prompt.index]
        assert prompt.positive == truth[prompt.index]


@given(pair=pairs())
@settings(max_examples=150, deadline=None)
def test_a_stroke_stays_inside_mistakes_of_its_sign_and_in_one_plane(pair: tuple[Any, Any]) -> None:
    truth, mask = pair

    prompt = SkeletonStroke(seed=1)(truth, mask)

    if prompt is not None:
        where = tuple(path(prompt.points).T)
        assert (truth[where] == prompt.positive).all()
        assert (mask[where] != prompt.positive).all()
        assert len({point[0] for point in prompt.points}) == 1


@given(pair=pairs(), seed=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_a_careful_human_is_right_and_each_click_says_something_new(pair: tuple[Any, Any], seed: int) -> None:
    truth, mask = pair

    prompt = NoisyHuman(seed, jitter=0, edge=0.5, wrong=0)(truth, mask)

    if prompt is not None:
        assert prompt.positive == truth[prompt.index] != mask[prompt.index]


def test_the_largest_mistake_is_counted_in_voxels_and_joins_at_corners() -> None:
    truth = drawn(
        [
            "..........",
            ".####.....",  # a bar of four
            "..........",
            ".......#..",
            "......#.#.",  # a ring of six joined at corners only
            "......#.#.",
            ".......#..",
        ]
    )

    prompt = LargestError()(truth, np.zeros_like(truth))

    assert prompt is not None
    assert prompt.index[1] >= 3


def test_the_largest_click_goes_to_the_centre_of_a_component_cut_by_the_image_border() -> None:
    truth = np.zeros((1, 6, 9), bool)
    truth[0, 0:5, 0:3] = True

    prompt = LargestError()(truth, np.zeros_like(truth))

    assert prompt == Click((0, 2, 1))


def test_the_largest_click_is_the_deepest_voxel_by_brute_force_in_3d() -> None:
    generator = np.random.default_rng(4)
    truth = ndimage.gaussian_filter(generator.normal(size=(9, 12, 15)), 1.5) > 0.05
    mask = np.zeros_like(truth)

    prompt = LargestError()(truth, mask)

    assert prompt is not None
    labels, _ = ndimage.label(truth, np.ones((3, 3, 3)))
    part = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    outside = np.argwhere(~np.pad(part, 1))
    distances = {tuple(v): float(((outside - 1 - v) ** 2).sum(axis=1).min()) for v in np.argwhere(part)}
    assert distances[prompt.index] == max(distances.values())


def test_the_challenge_robot_prefers_many_voxels_and_the_other_one_depth() -> None:
    truth = drawn(
        [
            "..............",
            ".############.",
            "..............",
            "..............",
            ".###..........",
            ".###..........",
            ".###..........",
            "..............",
        ]
    )
    mask = np.zeros_like(truth)

    largest, farthest = LargestError()(truth, mask), FarthestError()(truth, mask)

    assert largest is not None
    assert largest.index[1] == 1
    assert farthest == Click((0, 5, 2))


def test_the_farthest_robot_weighs_missed_against_false_voxels() -> None:
    truth = drawn(["#######....", "#######....", "#######....", "...........", "..........."])
    mask = drawn(["#######....", "#######....", "#######....", "......#####", "......#####"])
    mask[0, 1, 1] = False

    prompt = FarthestError()(truth, mask)

    assert prompt is not None
    assert not prompt.positive  # a missed voxel in the middle, ten false ones below
    assert prompt.index[1] >= 3


def test_ties_are_broken_by_the_seed_and_by_nothing_else() -> None:
    truth = np.zeros((1, 1, 40), bool)
    truth[0, 0, 3:37] = True
    mask = np.zeros_like(truth)

    places = {LargestError(seed)(truth, mask).index for seed in range(20)}  # type: ignore[union-attr]

    assert len(places) > 3


def test_random_clicks_reach_every_voxel_of_the_mistake() -> None:
    truth = drawn(["....", ".##.", "..#."])
    mask = np.zeros_like(truth)

    places = {RandomError(seed)(truth, mask).index for seed in range(100)}  # type: ignore[union-attr]

    assert places == {(0, 1, 1), (0, 1, 2), (0, 2, 2)}


def test_a_box_holds_the_object_and_stays_within_its_margin() -> None:
    truth = np.zeros((8, 30, 40), bool)
    truth[2:6, 10:20, 10:30] = True

    boxes = [BoxFirst(seed, margin=0.25).opening(truth, np.zeros_like(truth)) for seed in range(40)]

    tight, widest = Box((2, 10, 10), (6, 20, 30)), Box((1, 8, 5), (7, 22, 35))
    for box in boxes:
        assert isinstance(box, Box)
        assert box.union(tight) == box
        assert box.union(widest) == widest
    assert len(set(boxes)) > 10


def test_a_box_in_a_flat_image_is_one_slice_thick_and_the_next_prompt_is_another_robots() -> None:
    truth = np.zeros((1, 8, 9), bool)
    truth[0, 1:4, 2:8] = True
    robot = BoxFirst(margin=1.0, then=FarthestError())

    first, second = robot.opening(truth, np.zeros_like(truth)), robot(truth, ~truth)

    assert isinstance(first, Box)
    assert (first.low[0], first.high[0]) == (0, 1)
    assert second == FarthestError()(truth, ~truth)


def test_a_game_that_starts_from_a_mask_has_no_box() -> None:
    mask = drawn(["....", ".##."])
    truth = drawn(["####", ".##."])

    assert BoxFirst().opening(truth, mask) == LargestError()(truth, mask)
    assert BoxFirst().opening(np.zeros_like(mask), mask) == LargestError()(np.zeros_like(mask), mask)
    assert BoxFirst().opening(mask, mask) is None


def test_a_box_is_drawn_once_even_when_it_is_answered_with_nothing() -> None:
    truth = drawn(["......", ".####.", ".####.", "......"])

    prompts = [turn.prompts[0] for turn in rounds(BoxFirst(), Deaf(), truth, interactions=4)]

    assert [type(prompt) for prompt in prompts] == [Box, Click, Click, Click]


def test_a_noisy_human_errs_about_as_often_as_set() -> None:
    truth = np.zeros((1, 40, 50), bool)
    truth[0, 5:35, 5:45] = True
    mask = np.zeros_like(truth)
    robot = NoisyHuman(jitter=1.0, edge=0.0, wrong=0.25)

    signs = [replace(robot, seed=seed)(truth, mask).positive for seed in range(400)]  # type: ignore[union-attr]

    assert 0.65 < np.mean(signs) < 0.85


def test_a_noisy_human_clicks_beside_the_aim_and_sometimes_on_the_rim() -> None:
    truth = np.zeros((1, 41, 41), bool)
    truth[0, 5:36, 5:36] = True
    mask = np.zeros_like(truth)

    shaky = [NoisyHuman(seed, jitter=3.0, edge=0, wrong=0)(truth, mask).index for seed in range(50)]  # type: ignore[union-attr]
    rim = [NoisyHuman(seed, jitter=0, edge=1, wrong=0)(truth, mask).index for seed in range(20)]  # type: ignore[union-attr]

    assert 1.5 < np.std([index[1] for index in shaky]) < 4.5
    assert all(index[0] == 0 for index in shaky)
    inner = ndimage.binary_erosion(truth[0])
    assert not any(inner[index[1:]] for index in rim)


def test_a_stroke_runs_along_a_curved_mistake() -> None:
    truth = drawn(
        [
            "............",
            ".###########",
            ".###########",
            ".###########",
            ".###........",
            ".###........",
            ".###........",
            ".###........",
        ]
    )

    prompt = SkeletonStroke()(truth, np.zeros_like(truth))

    assert isinstance(prompt, Stroke)
    voxels = path(prompt.points)
    assert {tuple(v) for v in voxels.tolist()} >= {(0, 2, 6), (0, 5, 2)}
    assert 10 <= len(voxels) <= 16


def test_a_stroke_is_drawn_in_the_widest_plane_of_the_largest_part() -> None:
    truth = np.zeros((5, 8, 9), bool)
    truth[1, 2:4, 2:5] = True
    truth[2, 1:6, 1:8] = True
    truth[4, 0, 0] = True

    prompt = SkeletonStroke()(truth, np.zeros_like(truth))

    assert isinstance(prompt, Stroke)
    assert {point[0] for point in prompt.points} == {2}


class Deaf(Workspace):
    """Answers nothing; only the marks themselves change the mask."""

    def predict(self, prompts: Any, previous: Any) -> Prediction:
        box = Box((0, 0, 0), previous.shape)
        return Prediction(np.zeros(previous.shape, np.float32), box)


@pytest.mark.parametrize("robot", [FarthestError(), LargestError()])
def test_no_voxel_is_clicked_twice_where_marks_are_law(robot: Any) -> None:
    truth = drawn(["......", ".####.", ".####.", "......"])

    clicks = [turn.prompts[0] for turn in rounds(robot, Deaf(), truth, interactions=20)]

    assert len(clicks) == len(set(clicks)) == 8


def test_robots_need_two_masks_of_one_shape() -> None:
    with pytest.raises(ShapeError, match=r"one shape; got \(1, 2, 3\) and \(1, 3, 2\)"):
        LargestError()(np.zeros((1, 2, 3), bool), np.zeros((1, 3, 2), bool))


def test_an_unknown_robot_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no user 'clack'; there are .*box, .*click, .*random, .*ritm, .*stroke"):
        user("clack")


def test_a_whole_game_is_the_same_twice() -> None:
    generator = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(generator.normal(size=(1, 40, 50)), (0, 4, 4)) > 0

    def game() -> list[Any]:
        turns = play(NoisyHuman(7), truth, interactions=5)
        first = next(turns).prompts
        answers = [np.roll(truth, step, axis=2) for step in range(1, 5)]
        return [*first, *(turns.send(answer).prompts[-1] for answer in answers)]

    assert game() == game()


@pytest.mark.parametrize("name", sorted(USERS))
@given(pair=pairs())
@settings(max_examples=20, deadline=None)
def test_robots_put_down_only_the_kinds_they_name(name: str, pair: tuple[Any, Any]) -> None:
    truth, _ = pair

    turns = rounds(user(name), Deaf(), truth, interactions=3)

    assert {kind_of(turn.prompts[0]) for turn in turns} <= set(user(name).kinds)


def test_a_box_adds_its_kind_to_those_of_the_robot_that_follows() -> None:
    assert BoxFirst(then=SkeletonStroke()).kinds == ("box", "stroke")
    assert BoxFirst().kinds == ("box", "click")
