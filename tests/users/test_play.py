"""The loop in which a robot and a method meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.core.image import MaskArray, whole
from segmend.core.prompts import Click, Prompt
from segmend.core.segmenter import Prediction, Workspace
from segmend.users import LargestError, RandomError
from segmend.users.play import play, rounds


def square() -> MaskArray:
    truth = np.zeros((1, 8, 10), bool)
    truth[0, 2:6, 3:8] = True
    return truth


class Painter(Workspace):
    """Paints the clicked rows; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[Prompt, ...], int]] = []

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        self.asked.append((tuple(prompts), int(previous.sum())))
        mask = previous.copy()
        for prompt in prompts:
            assert isinstance(prompt, Click)
            z, y, x = prompt.index
            mask[z, y, x:] = prompt.positive
        return Prediction(mask.astype(np.float32), whole(previous.shape), quality=0.5)


def test_each_turn_has_all_prompts_so_far_and_the_mask_they_were_given_for() -> None:
    game = play(LargestError(), square(), interactions=3)
    wrong = np.roll(square(), 1, axis=1)

    first = next(game)
    second = game.send(wrong)
    third = game.send(np.zeros_like(wrong))

    assert len(first.prompts) == 1
    assert not first.mask.any()
    assert second.prompts[0] == first.prompts[0]
    assert second.mask is wrong
    assert len(third.prompts) == 3
    with pytest.raises(StopIteration):
        game.send(wrong)


def test_a_content_robot_ends_the_game() -> None:
    game = play(LargestError(), square(), interactions=100)
    next(game)

    with pytest.raises(StopIteration):
        game.send(square())


def test_a_game_may_start_from_a_mask() -> None:
    start = square()
    start[0, 3, 4] = False

    turn = next(play(LargestError(), square(), interactions=1, start=start))

    assert turn.prompts == (Click((0, 3, 4)),)
    assert turn.mask is start
    assert list(play(LargestError(), square(), interactions=1, start=square())) == []


def test_rounds_give_the_prompt_and_the_mask_that_answered_it() -> None:
    workspace = Painter()

    played = list(rounds(LargestError(), workspace, square(), interactions=4))

    assert [prompts for prompts, _ in workspace.asked] == [
        tuple(r.prompts[0] for r in played[: turn + 1]) for turn in range(4)
    ]
    assert [size for _, size in workspace.asked] == [0, *(int(r.mask.sum()) for r in played[:-1])]
    assert all(r.quality == 0.5 for r in played)
    assert all(0 <= r.seconds < 10 for r in played)
    for one in played:
        assert isinstance(one.prompts[0], Click)
        assert one.mask[one.prompts[0].index] == one.prompts[0].positive


def test_rounds_end_when_the_robot_is_content() -> None:
    class Knowing(Painter):
        def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
            return Prediction(square().astype(np.float32), whole(previous.shape))

    assert len(list(rounds(LargestError(), Knowing(), square(), interactions=9))) == 1
    assert list(rounds(LargestError(), Knowing(), np.zeros_like(square()), interactions=9)) == []


@given(seed=st.integers(0, 10_000), interactions=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_every_mark_holds_at_the_end_of_a_game(seed: int, interactions: int) -> None:
    played = list(rounds(RandomError(seed), Painter(), square(), interactions=interactions))

    assert len(played) <= interactions
    for one in played:
        assert isinstance(one.prompts[0], Click)
        assert played[-1].mask[one.prompts[0].index] == square()[one.prompts[0].index] == one.prompts[0].positive


def test_several_prompts_can_be_one_interaction() -> None:
    def pair(truth, mask):
        return Click((0, 1, 1)), Click((0, 0, 0), positive=False)

    played = list(rounds(pair, Painter(), square(), interactions=3))

    assert [len(one.prompts) for one in played] == [2, 2, 2]
