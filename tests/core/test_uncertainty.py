"""Where to look next: the widest part of the region with the most uncertainty, and nowhere twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import Box, whole
from segmend.core.prompts import Click, Stroke
from segmend.core.segmenter import Prediction
from segmend.core.uncertainty import most_uncertain

EVEN = np.ones(3)


def uncertain(uncertainty, low=(0, 0, 0)):
    high = tuple(int(a) for a in np.add(low, uncertainty.shape))
    return Prediction(np.zeros(uncertainty.shape, np.float32), Box(low, high), uncertainty=uncertainty)


def flat(*regions, rows=60, columns=80):
    uncertainty = np.zeros((1, rows, columns), np.float32)
    for where, value in regions:
        uncertainty[(0, *where)] = value
    return uncertainty


LARGE = (slice(10, 22), slice(50, 70))
SMALL = (slice(40, 45), slice(5, 10))


def test_a_large_region_comes_before_a_small_one_that_is_uncertain_more():
    place = most_uncertain(uncertain(flat((LARGE, 0.6), (SMALL, 0.9))), EVEN)

    assert place is not None
    assert place[1] in (15, 16)
    assert 53 <= place[2] <= 66  # anywhere along its middle line


def test_a_place_lies_in_the_image_and_not_in_the_box():
    place = most_uncertain(uncertain(flat((SMALL, 1)), low=(7, 100, 200)), EVEN)

    assert place == (7, 142, 207)


def test_single_uncertain_voxels_are_no_place_to_look_at():
    uncertainty = flat((SMALL, 0.7))
    uncertainty[0, 20, ::9] = 1

    place = most_uncertain(uncertain(uncertainty), EVEN)

    assert place == (0, 42, 7)


def test_what_was_marked_is_not_looked_at_again():
    uncertainty = flat((LARGE, 0.6), (SMALL, 0.9))
    line = Stroke(((0, 16, 50), (0, 16, 69)))

    for marked in ([line], [Stroke(line.points, positive=False)], [line, Click((0, 0, 0))]):
        place = most_uncertain(uncertain(uncertainty[:, 14:18]), EVEN, marked)
        assert place is None or abs(place[1] - 16) > 2
    around = [Stroke(((0, y, 48), (0, y, 71))) for y in range(9, 23)]
    assert most_uncertain(uncertain(uncertainty), EVEN, around) == (0, 42, 7)


def test_a_volumes_place_follows_its_spacing():
    uncertainty = np.zeros((6, 30, 40), np.float32)
    uncertainty[1:4, 5:15, 20:30] = 0.8  # 24 mm thick where slices are 8 mm, and 10 mm wide

    place = most_uncertain(uncertain(uncertainty), np.array([8.0, 1.0, 1.0]))

    assert place is not None
    assert place[0] in (1, 2, 3)
    assert abs(place[1] - 9.5) <= 1
    assert abs(place[2] - 24.5) <= 1


def test_of_a_large_volume_blocks_are_looked_at_and_the_place_is_still_inside():
    uncertainty = np.zeros((90, 120, 100), np.float32)
    uncertainty[60:70, 30:50, 70:85] = 1

    place = most_uncertain(uncertain(uncertainty), EVEN)

    assert place is not None
    assert 62 <= place[0] <= 68
    assert 33 <= place[1] <= 47
    assert 73 <= place[2] <= 82


def test_where_a_method_is_sure_or_does_not_tell_there_is_no_place():
    nothing = np.zeros((1, 5, 6), np.float32)

    assert most_uncertain(Prediction(nothing, whole(nothing.shape)), EVEN) is None
    assert most_uncertain(uncertain(nothing), EVEN) is None
    assert most_uncertain(uncertain(nothing + 0.01), EVEN) is None
    assert (
        most_uncertain(Prediction(nothing[:, :0], Box((0, 3, 3), (1, 3, 9)), uncertainty=nothing[:, :0]), EVEN) is None
    )


@given(st.integers(0, 50), st.integers(1, 6), st.integers(3, 20), st.integers(3, 20))
def test_a_place_is_always_inside_the_box(seed, depth, rows, columns):
    uncertainty = np.random.default_rng(seed).random((depth, rows, columns)).astype(np.float32)
    low = (3, 1, 4)

    place = most_uncertain(uncertain(uncertainty, low), np.array([3.0, 1.0, 0.5]))

    assert place is not None
    assert all(a <= at < a + side for a, at, side in zip(low, place, uncertainty.shape, strict=True))


@pytest.mark.parametrize("value", [0.3, 1.0])
def test_the_place_does_not_depend_on_how_loudly_it_is_uncertain(value):
    uncertainty = flat((LARGE, 1), (SMALL, 0.7))

    assert most_uncertain(uncertain(uncertainty * np.float32(value)), EVEN) == most_uncertain(
        uncertain(uncertainty), EVEN
    )


def test_the_next_place_is_away_from_those_that_were_looked_at():
    prediction = uncertain(flat((LARGE, 0.6), (SMALL, 0.9)))
    places = []

    while (place := most_uncertain(prediction, EVEN, looked_at=places)) is not None:
        places.append(place)

    assert places[0][1] in (15, 16)
    assert any(abs(y - 42) <= 3 and abs(x - 7) <= 3 for _, y, x in places)  # the small one has its turn
    apart = [np.hypot(*np.subtract(a, b)[1:]) for i, a in enumerate(places) for b in places[:i]]
    assert min(apart) > 7  # three times 2.4 pixels
    assert len(places) < 12
