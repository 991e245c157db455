"""A slice of a volume that a person gave stays as it is, and the volume follows from it."""

import numpy as np
import pytest

from segmend import methods
from segmend.core.prompts import Click, Mask
from tests.methods.scenes import ask, ball, dice


def given(scene, index=9):
    middle = np.zeros_like(scene.truth)
    middle[index] = scene.truth[index]
    return Mask(middle)


@pytest.mark.parametrize("method", ["randomwalker", "densecrf", "graphcut", "geos"])
def test_a_given_slice_stays_and_the_others_follow(method):
    scene = ball()

    mask = ask(methods.load(method), scene, [given(scene)])

    assert np.array_equal(mask[9], scene.truth[9])
    assert dice(scene, mask) > 0.85


@pytest.mark.parametrize("method", ["randomwalker", "densecrf"])
def test_a_later_mark_in_another_slice_leaves_the_given_one_and_one_in_it_corrects_it(method):
    scene = ball()
    segmenter, slice_ = methods.load(method), given(scene)
    before = ask(segmenter, scene, [slice_])

    beside = ask(segmenter, scene, [slice_, Click((5, 28, 30))], before)
    within = ask(
        segmenter, scene, [slice_, Click((9, 2, 2), positive=False), Click((9, 28, 30), positive=False)], before
    )

    assert np.array_equal(beside[9], scene.truth[9])
    assert not within[9, 28, 30]
