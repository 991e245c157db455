"""Probabilities and their logits, log(p / (1 - p))."""

from __future__ import annotations

import numpy as np

from segmend.core.image import Real

# Beyond this a probability does not differ from 0 or 1 in float32.
LARGEST = 30.0


def sigmoid(logits: Real) -> Real:
    """Return the probabilities of logits, however large.

    >>> sigmoid(np.array([-1e4, 0, 1e4], np.float32)).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -LARGEST, LARGEST))), np.float32)


def logit(probability: Real, least: float = 1e-4) -> Real:
    """Return the logits of probabilities, which count as no nearer to 0 and 1 than `least`.

    >>> logit(np.array([0.0, 0.5, 1.0]), 0.01).round(2).tolist()
    [-4.599999904632568, 0.0, 4.599999904632568]
    """
    sure = np.clip(probability, least, 1 - least)
    return np.asarray(np.log(sure / (1 - sure)), np.float32)
