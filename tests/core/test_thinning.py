"""Thinning keeps what is connected connected, holes included, and the longest way is a way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from segmend.core.thinning import longest, thin

SHAPES = st.tuples(st.integers(1, 10), st.integers(1, 14))
CORNERS = np.ones((3, 3))


def parts(plane: Any, structure: Any = None) -> int:
    return int(ndimage.label(plane, structure)[1])


@given(hnp.arrays(bool, SHAPES, elements=st.booleans(), fill=st.booleans()))
@settings(max_examples=300, deadline=None)
def test_thinning_keeps_parts_and_holes(shape: Any) -> None:
    lines = thin(shape)

    assert not (lines & ~shape).any()
    assert parts(lines, CORNERS) == parts(shape, CORNERS)
    assert parts(np.pad(~lines, 1, constant_values=True)) == parts(np.pad(~shape, 1, constant_values=True))


def test_lines_are_one_pixel_wide_and_in_the_middle() -> None:
    shape = np.zeros((15, 40), bool)
    shape[3:12, 2:38] = True

    lines = thin(shape)

    assert lines[7, 8:32].all()
    assert (lines[:, 12:28].sum(axis=0) == 1).all()


def test_skeletons_are_as_long_as_an_independent_implementations() -> None:
    morphology = pytest.importorskip("skimage.morphology", reason="scikit-image is the independent implementation")
    generator = np.random.default_rng(1)
    for _ in range(10):
        shape = ndimage.gaussian_filter(generator.normal(size=(60, 70)), 4) > 0
        ours, theirs = int(thin(shape).sum()), int(morphology.skeletonize(shape).sum())
        assert ours == pytest.approx(theirs, rel=0.15)


@given(hnp.arrays(bool, SHAPES, elements=st.booleans(), fill=st.booleans()))
@settings(max_examples=100, deadline=None)
def test_the_longest_way_steps_from_neighbour_to_neighbour_and_visits_no_pixel_twice(shape: Any) -> None:
    if not shape.any():
        return
    way = longest(shape)

    assert shape[tuple(way.T)].all()
    assert (np.abs(np.diff(way, axis=0)).max(axis=1, initial=0) == 1).all()
    assert len(np.unique(way, axis=0)) == len(way)
