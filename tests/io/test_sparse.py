"""Masks packed by gzip: whatever runs of zeros there are, another unpacker finds the same bytes."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.io.sparse import BLOCK, gzipped


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(-2, 2)), max_size=6), st.sampled_from([1, 3]))
def test_any_runs_of_zeros_come_back(runs: list[tuple[bool, int, int]], level: int) -> None:
    random = np.random.default_rng(0)
    parts = [
        random.integers(0, 3, max(0, blocks * BLOCK + more), np.uint8) * np.uint8(filled)
        for filled, blocks, more in runs
    ]
    data = np.concatenate([np.zeros(0, np.uint8), *parts])

    assert gzip.decompress(gzipped(data, level)) == data.tobytes()


@pytest.mark.parametrize("kind", ["bool", "int8", "<u2", "<f4"])
def test_any_kind_of_number_is_packed_and_a_mask_small(kind: str) -> None:
    mask = np.zeros((20, 256, 256), kind)
    mask[8:11, 100:150, 90:130] = 1
    packed = gzipped(mask)

    assert gzip.decompress(packed) == mask.tobytes() and len(packed) < mask.nbytes / 100
    assert gzip.decompress(gzipped(mask[:, ::2])) == mask[:, ::2].tobytes()
