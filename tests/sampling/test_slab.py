"""A plane and its neighbours as input channels."""

from __future__ import annotations

import numpy as np
import pytest

from segmend.core.prompts import Box, Click
from segmend.sampling.slab import Shown, fade, neighbour_channel, slab_image_channels, slab_prompt_channels
from segmend.sampling.window import Window

GRID = Window(0, 0, 32, 32)
EVERYWHERE = np.ones((32, 32), bool)


def picture(channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 100, (channels, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e9])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_do_not_depend_on_the_unit(unit: float, channels: int) -> None:
    grid = picture(channels)

    there, here = (slab_image_channels(one, None, EVERYWHERE) for one in (grid, (grid * unit).astype(np.float32)))

    assert np.abs(there - here).max() < 0.02  # a cell may fall into the next bin of the histogram
    assert there.min() >= 0 and there.max() <= 1 and there.std() > 0.1


def test_neighbours_are_shown_in_the_window_level_of_their_plane() -> None:
    grid = picture()
    beside = np.concatenate([grid, grid + 1000])

    before, behind = slab_image_channels(grid, beside, EVERYWHERE)[4:]

    red = slab_image_channels(grid, None, EVERYWHERE)[0]
    assert np.array_equal(before, red)
    assert (behind == 1).all()


def test_a_picture_is_its_own_neighbour_and_what_is_outside_is_0() -> None:
    valid = EVERYWHERE.copy()
    valid[:8] = False

    channels = slab_image_channels(picture(), None, valid)

    assert np.array_equal(channels[4], channels[0]) and np.array_equal(channels[5], channels[0])
    assert not channels[:, :8].any()


def test_a_constant_plane_and_one_outside_the_image_are_0() -> None:
    assert not slab_image_channels(np.full((1, 32, 32), 7.0, np.float32), None, EVERYWHERE).any()
    assert not slab_image_channels(picture(), None, ~EVERYWHERE).any()


def test_a_mask_is_the_networks_own_or_anothers() -> None:
    mask = np.zeros((32, 32), bool)
    mask[4:9] = True

    own, foreign = (slab_prompt_channels(Shown((), 0, mask, said), 0, 0, GRID, 32) for said in (True, False))

    assert np.array_equal(own[0] > 0, mask) and not own[1].any()
    assert np.array_equal(foreign[1] > 0, mask) and not foreign[0].any()


def test_only_the_newest_marks_are_in_their_channel() -> None:
    marks = [Click((0, 8, 8)), Click((0, 20, 20)), Click((0, 25, 5), positive=False)]

    channels = slab_prompt_channels(Shown(marks, 2, np.zeros((32, 32), bool), own=True), 0, 0, GRID, 32)

    assert channels[5, 20, 20] == 1 and channels[5, 25, 5] == -1 and channels[5, 8, 8] == 0
    assert channels[2, 8, 8] == channels[2, 20, 20] == channels[3, 25, 5] == 1
    boxed = slab_prompt_channels(Shown([Box((0, 4, 4), (1, 9, 9))], 1, np.zeros((32, 32), bool), True), 0, 0, GRID, 32)
    assert boxed[4].sum() == 25


def test_what_is_known_of_other_planes_is_weaker_than_marks_of_this_one() -> None:
    context = np.zeros((3, 32, 32), np.float32)
    context[0] = fade(6.0)
    context[2] = neighbour_channel(EVERYWHERE, 3.0)

    channels = slab_prompt_channels(
        Shown([Click((0, 8, 8))], 1, np.zeros((32, 32), bool), True, context), 0, 0, GRID, 32
    )

    assert channels[2, 8, 8] == 1 and 0 < channels[2, 0, 0] < 1
    assert np.allclose(channels[6], fade(3.0))
    assert (neighbour_channel(~EVERYWHERE, 3.0) < 0).all()
