"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from segmend.learning.losses import overlap_and_entropy, soft_dice


def test_soft_dice_of_a_coin_flip_is_the_one_worked_out_by_hand():
    truth = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])

    value = soft_dice(torch.zeros(1, 1, 1, 4), truth)

    assert value.item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))


def test_an_empty_truth_answered_empty_costs_nothing():
    assert soft_dice(torch.full((1, 1, 4, 4), -30.0), torch.zeros(1, 1, 4, 4)).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_adds_cross_entropy():
    truth = torch.tensor([[[[1.0, 0.0]]]])
    logits = torch.zeros(1, 1, 1, 2)

    assert overlap_and_entropy(logits, truth).item() == pytest.approx(soft_dice(logits, truth).item() + math.log(2))


def test_a_volume_is_one_overlap_whatever_its_axes():
    truth = torch.zeros(2, 1, 2, 3, 4)
    truth[0, 0, 1, 1:, 2] = 1
    logits = torch.randn(2, 1, 2, 3, 4, generator=torch.Generator().manual_seed(0))

    assert soft_dice(logits, truth).item() == pytest.approx(
        soft_dice(logits.reshape(2, 1, 6, 4), truth.reshape(2, 1, 6, 4)).item()
    )
