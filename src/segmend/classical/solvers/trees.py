"""The inner loops of `forest.py`, in native/forest.c: sorting samples into leaves, splitting leaves, prediction.

A tree is rows of arrays: node i asks whether `feature[i]` is below `threshold[i]` and leads to `child[i]` when it is,
to `child[i] + 1` when not; `feature[i]` is LEAF in a leaf. `counts[i]` is how many samples of each side came to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]

LEAF = -1


@loop(
    "forest_place", "f4[n f]", "i8", "b1[n]", "u1[n]", "i2[nodes]", "f4[nodes]", "i4[nodes]", "f4[nodes 2]!", "i4[n]!"
)
def sort_samples(
    samples: Real,  # [n f]
    first: int,  # samples before this one have a leaf already
    inside: NDArray[np.bool_],  # [n]
    draws: NDArray[np.uint8],  # [n] how often this tree drew each
    feature: NDArray[np.int16],  # [nodes]
    threshold: Real,  # [nodes]
    child: NDArray[np.int32],  # [nodes]
    counts: Real,  # [nodes 2] changed
    leaves: NDArray[np.int32],  # [n] out from `first` on
) -> None:
    """Sort new samples into the leaves of one tree and count them there."""


@loop(
    "forest_split",
    "f4[n f]",
    "b1[n]",
    "u1[n]",
    "f4[2]",
    "i8",
    "i8",
    "i8",
    "u8[1]!",
    "i2[nodes]!",
    "f4[nodes]!",
    "i4[nodes]!",
    "u1[nodes]!",
    "f4[nodes 2]!",
    "i4[n]!",
    "i8",
)
def split(
    samples: Real,  # [n f]
    inside: NDArray[np.bool_],  # [n]
    draws: NDArray[np.uint8],  # [n]
    weights: Real,  # [2] of a sample of each side
    tries: int,
    least: int,
    deepest: int,
    state: NDArray[np.uint64],  # [1] of the random numbers, changed
    feature: NDArray[np.int16],  # [nodes] changed, as are those below
    threshold: Real,
    child: NDArray[np.int32],
    depth: NDArray[np.uint8],
    counts: Real,
    leaves: NDArray[np.int32],  # [n]
    used: int,
) -> int:
    """Split every leaf of one tree that holds both sides, as long as it pays; return how many nodes there are."""


@loop("forest_ask", "f4[f n]", "b1[n]", "i2[t nodes]", "f4[t nodes]", "i4[t nodes]", "f4[t nodes]", "f4[n]!")
def predict(
    values: Real,  # [f n]
    where: NDArray[np.bool_],  # [n]
    feature: NDArray[np.int16],  # [t nodes]
    threshold: Real,  # [t nodes]
    child: NDArray[np.int32],  # [t nodes]
    probabilities: Real,  # [t nodes] of a sample in each leaf to be inside
    out: Real,  # [n]
) -> None:
    """Write the mean of the trees' probabilities where it is wanted."""
