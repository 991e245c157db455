"""iunet's robot: one click inside, one beside, both anywhere."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.users import RandomPair
from segmend.users.pair import surroundings
from segmend.users.play import play


def drawn(*rows):
    return np.array([[[c == "#" for c in row] for row in rows]])


OBJECT = drawn(
    "............................",
    "..####......................",
    "..####......................",
    "............................",
)


def test_one_interaction_is_a_click_inside_and_one_outside():
    for seed in range(30):
        positive, negative = RandomPair(seed)(OBJECT, np.zeros_like(OBJECT))

        assert positive.positive and OBJECT[positive.index]
        assert not negative.positive and not OBJECT[negative.index]


def test_the_click_outside_stays_in_the_surroundings():
    columns = {RandomPair(seed)(OBJECT, np.zeros_like(OBJECT))[1].index[2] for seed in range(200)}

    assert max(columns) == 2 + 4 + 5 - 1
    assert columns == set(range(11))


def test_clicks_fall_on_what_is_right_already_too():
    mask = OBJECT.copy()
    mask[0, 1, 2] = False

    places = {RandomPair(seed)(OBJECT, mask)[0].index for seed in range(200)}

    assert places == set(map(tuple, np.argwhere(OBJECT).tolist()))


def test_in_a_volume_both_clicks_lie_in_the_plane_with_the_largest_mistake():
    truth = np.concatenate([np.zeros_like(OBJECT), OBJECT, OBJECT])
    mask = truth.copy()
    mask[2, 1, 2:5] = False

    clicks = RandomPair(3)(truth, mask)

    assert [click.index[0] for click in clicks] == [2, 2]


def test_a_plane_without_the_object_gets_only_a_negative_click():
    truth = np.concatenate([OBJECT, np.zeros_like(OBJECT)])
    mask = truth.copy()
    mask[1, 0, 9] = True

    (click,) = RandomPair(1)(truth, mask)

    assert not click.positive and click.index[0] == 1


def test_an_object_that_fills_its_plane_gets_only_a_positive_click():
    full = np.ones((1, 3, 4), bool)

    (click,) = RandomPair(1)(full, ~full)

    assert click.positive


def test_the_surroundings_of_an_object_at_the_border_stay_on_the_image():
    plane = np.zeros((4, 9), bool)
    plane[0, :2] = True

    around = surroundings(plane)

    assert around[:, :7].sum() == 4 * 7 - 2 and not around[:, 7:].any()


def test_two_clicks_count_as_one_interaction():
    turns = play(RandomPair(2), OBJECT, interactions=2)

    first = next(turns)
    second = turns.send(np.roll(OBJECT, 1, axis=2))

    assert (len(first.prompts), len(second.prompts)) == (2, 4)


@given(seed=st.integers(0, 2**32 - 1), shift=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_the_same_seed_and_mistake_give_the_same_clicks(seed, shift):
    mask = np.roll(OBJECT, shift, axis=2)

    assert RandomPair(seed)(OBJECT, mask) == RandomPair(seed)(OBJECT.copy(), mask.copy())
    assert RandomPair(seed)(OBJECT, OBJECT) is None
