"""Perturbed masks: like the truth, and wrong."""

import numpy as np

from segmend.core.masks import dice
from segmend.learning.perturb import perturb_mask


def test_a_perturbed_mask_is_a_plausible_first_mask():
    truth = np.zeros((64, 64), bool)
    truth[16:48, 20:44] = True

    masks = [perturb_mask(np.random.default_rng(i), truth) for i in range(20)]
    overlap = [dice(truth, mask) for mask in masks]

    assert 0.3 < min(overlap) < 0.9 < max(overlap)


def test_perturbing_nothing_is_nothing():
    assert not perturb_mask(np.random.default_rng(0), np.zeros((8, 8), bool)).any()
