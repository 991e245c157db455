"""What the cards promise of whole masks: a rough one gets better, an empty one becomes a first guess."""

import numpy as np
import pytest

from segmend import methods
from segmend.core.image import Image
from segmend.core.masks import dice
from segmend.core.prompts import Mask
from segmend.core.segmenter import answer
from tests.methods.test_marks import segmenter_of

SHAPES = {2: (1, 96, 110), 3: (16, 60, 64)}


def bright_ball(shape):
    z, y, x = np.indices(shape)
    depth, rows, columns = shape
    truth = (
        ((z - depth / 2 + 0.5) / max(depth / 3, 1)) ** 2 + ((y - rows / 2) / 18) ** 2 + ((x - columns / 2) / 20) ** 2
    )
    truth = truth < 1
    noise = np.random.default_rng(0).normal(0, 12, shape)
    return Image((100 + 60 * truth + noise).astype(np.float32)[None]), truth


def those_that(promise):
    return [
        pytest.param(card, dimensions, id=f"{card.id}-{dimensions}D")
        for card in methods.cards()
        if getattr(card, promise)
        for dimensions in card.dimensions
    ]


@pytest.mark.parametrize(("card", "dimensions"), those_that("refines"))
def test_a_rough_mask_gets_better(card, dimensions):
    image, truth = bright_ball(SHAPES[dimensions])
    rough, nothing = np.roll(truth, (4, -3), (1, 2)), np.zeros_like(truth)

    refined = answer(segmenter_of(card).open(image), [Mask(rough)], nothing).over(nothing)

    assert dice(truth, refined) > dice(truth, rough)


@pytest.mark.parametrize(("card", "dimensions"), those_that("guesses"))
def test_an_empty_mask_is_answered_over_the_whole_image(card, dimensions):
    image, truth = bright_ball(SHAPES[dimensions])
    nothing = np.zeros_like(truth)

    guess = answer(segmenter_of(card).open(image), [Mask(np.zeros((1, 1, 1), bool))], nothing)

    assert guess.probability.max() > 0
    assert np.isfinite(guess.probability).all()
