"""A person's scribbles, put down again: which voxels, with which sign, in which order."""

import numpy as np
import pytest

from segmend.core.marks import marks
from segmend.core.prompts import Click, Stroke
from segmend.errors import SettingsError
from segmend.users import Human, user
from segmend.users.human import ScribblePlayer, scribble_strokes
from segmend.users.play import play

SHAPE = (3, 6, 8)


def drawn(*voxels):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(np.transpose(voxels))] = True
    return mask


SCRIBBLES = {
    0: drawn((0, 0, 0), (0, 0, 1), (2, 5, 7)),
    1: drawn((1, 2, 2), (1, 2, 3), (1, 3, 4), (2, 2, 2)),
    3: drawn((1, 4, 1), (1, 5, 1)),
}


def test_a_round_pins_just_the_voxels_that_were_drawn():
    positive, negative = marks(scribble_strokes(SCRIBBLES, 1), SHAPE)

    assert {tuple(v) for v in positive.tolist()} == set(zip(*np.nonzero(SCRIBBLES[1]), strict=True))
    assert {tuple(v) for v in negative.tolist()} == set(zip(*np.nonzero(SCRIBBLES[0] | SCRIBBLES[3]), strict=True))


def test_the_slice_with_most_of_the_object_is_the_newest():
    given = scribble_strokes(SCRIBBLES, 1)

    assert given[-1] == Stroke(((1, 2, 2), (1, 2, 3), (1, 3, 4)), positive=True, radius=0.5)
    assert [stroke.points[0][0] for stroke in given] == [0, 2, 2, 1, 1]


def test_a_voxel_drawn_for_two_objects_is_this_ones():
    positive, negative = marks(scribble_strokes({0: SCRIBBLES[1], 1: SCRIBBLES[1]}, 1), SHAPE)

    assert len(positive) == 4
    assert len(negative) == 0


def test_one_round_is_put_down_at_once_and_then_it_clicks():
    truth = np.zeros(SHAPE, bool)
    truth[1, 1:4, 1:6] = True

    game = play(user("human").of(SCRIBBLES, 1), truth, interactions=2)

    assert next(game).prompts == scribble_strokes(SCRIBBLES, 1)
    newest = game.send(np.zeros(SHAPE, bool)).prompts[-1]
    assert isinstance(newest, Click)
    assert truth[newest.index]


def test_where_nobody_drew_on_the_object_or_there_is_a_mask_it_clicks():
    truth = np.ones(SHAPE, bool)
    begun = np.zeros(SHAPE, bool)
    begun[0, 0, 0] = True

    for robot, mask in ((Human().of({0: SCRIBBLES[0]}, 1), begun & False), (Human().of(SCRIBBLES, 1), begun)):
        assert isinstance(robot.opening(truth, mask), Click)


def test_it_needs_scribbles():
    assert isinstance(user("human"), ScribblePlayer)
    assert not isinstance(user("click"), ScribblePlayer)
    with pytest.raises(SettingsError, match="'human' needs a person's scribbles; the case has none"):
        Human().of(None, 1)
