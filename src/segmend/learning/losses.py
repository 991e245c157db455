"""Losses on logits, averaged over the samples of a batch."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:  # [b 1 y x] or [b 1 z y x] both -> []
    """Return one less the overlap of the probabilities with the truth.

    >>> import torch
    >>> truth = torch.zeros(1, 1, 2, 2); truth[..., 0] = 1
    >>> round(float(soft_dice(20 * (2 * truth - 1), truth)), 4)
    0.0
    """
    probability = logits.sigmoid()
    common = (probability * truth).flatten(1).sum(dim=1)
    total = probability.flatten(1).sum(dim=1) + truth.flatten(1).sum(dim=1)
    return (1 - (2 * common + 1) / (total + 1)).mean()


def overlap_and_entropy(logits: Tensor, truth: Tensor) -> Tensor:  # [b 1 y x] or [b 1 z y x] both -> []
    """Return soft Dice plus binary cross entropy: the one sees the object, the other each pixel."""
    return soft_dice(logits, truth) + binary_cross_entropy_with_logits(logits, truth)
