"""Sheets of examples: outlines in their places, cells in their order."""

import numpy as np

from segmend.training.sheets import ANSWER, GAP, TRUTH, Example, sheet


def test_outlines_lie_where_the_masks_end():
    truth, answer = np.zeros((6, 9), bool), np.zeros((6, 9), bool)
    truth[1:5, 1:5] = True
    answer[1:4, 6:9] = True
    image = np.linspace(-3, 5, 54, dtype=np.float32).reshape(1, 6, 9)

    made = sheet([Example(image, truth, answer)])

    assert made.shape == (6, 9, 3) and made.dtype == np.uint8
    assert tuple(made[1, 1]) == TRUTH and tuple(made[1, 6]) == ANSWER and tuple(made[3, 8]) == ANSWER
    assert tuple(made[0, 0]) == (0, 0, 0) and tuple(made[5, 8]) == (255, 255, 255)
    assert made[2, 2].std() == 0 and tuple(made[2, 7]) not in (TRUTH, ANSWER)


def test_examples_of_unequal_size_and_colour_share_a_sheet():
    small, large = np.zeros((2, 3), bool), np.zeros((5, 4), bool)
    red = np.stack([np.ones((5, 4)), np.zeros((5, 4)), np.zeros((5, 4))]).astype(np.float32)

    made = sheet([Example(np.ones((1, 2, 3), np.float32), small, small), Example(red, large, large)])

    assert made.shape == (5, 4 + GAP + 4, 3)
    assert tuple(made[4, 9]) == (255, 0, 0)
    assert made[:, 4:6].max() == 0
