"""The mask of a slide put together of what was marked at several levels, its areas, and its outlines."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from segmend.core import slidemask
from segmend.core.slidemask import FieldChange, areas, blocks, labels_at
from segmend.core.slideoutlines import outlines


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(slidemask, "BLOCK", 16)


def marked(rng, height, width):
    """Return the changes of some random marks at random levels, and the mask at level 0 that they make."""
    full, made = np.zeros((height, width), np.uint16), []
    for _ in range(rng.integers(1, 5)):
        level = int(rng.integers(0, 4))
        rows, columns = -(-height // 2**level), -(-width // 2**level)
        y0, x0 = int(rng.integers(0, rows)), int(rng.integers(0, columns))
        y1, x1 = int(rng.integers(y0 + 1, rows + 1)), int(rng.integers(x0 + 1, columns + 1))
        before = labels_at(made, level, (y0, x0), (y1, x1))
        after = np.where(rng.random(before.shape) < 0.3, rng.integers(0, 3, before.shape), before).astype(np.uint16)
        change = FieldChange.between(level, (y0, x0), before, after)
        if change is None:
            continue
        made.append(change)
        change = np.kron(np.where(before != after, after.astype(int), -1), np.ones((2**level, 2**level), int))
        here = full[y0 << level : (y1 << level), x0 << level : (x1 << level)]
        change = change[: here.shape[0], : here.shape[1]]
        here[change >= 0] = change[change >= 0]
    return made, full


def inside(polygons, height, width):
    """Return which pixels have an odd number of edges above them."""
    crossed = np.zeros((height, width), int)
    for polygon in polygons:
        for ring in (polygon.outline, *polygon.holes):
            for (ax, ay), (bx, by) in pairwise(ring):
                if ay == by:
                    crossed[ay:, min(ax, bx) : max(ax, bx)] += 1
    return crossed % 2 == 1


def test_marks_at_all_levels_make_one_mask_and_nothing_is_rounded():
    rng = np.random.default_rng(4)
    for _ in range(25):
        height, width = rng.integers(30, 120, 2).tolist()
        made, full = marked(rng, height, width)

        np.testing.assert_array_equal(labels_at(made, 0, (0, 0), (height, width)), full)
        found = {value: int((full == value).sum()) for value in np.unique(full).tolist() if value}
        assert areas(made, height, width) == found
        polygons = outlines(made, height, width)
        assert sorted(polygons) == sorted(found)
        for value, ones in polygons.items():
            np.testing.assert_array_equal(inside(ones, height, width), full == value)
            assert len(ones) == ndimage.label(full == value)[1]  # parts that touch at a corner alone are two


def test_a_coarse_mark_leaves_fine_ones_as_they_are_where_it_changes_nothing():
    fine = np.zeros((8, 8), np.uint16)
    fine[1:6, 2:7] = 3
    one = FieldChange.between(0, (0, 0), np.zeros_like(fine), fine)
    before = labels_at([one], 1, (0, 0), (8, 8))
    after = before.copy()
    after[6, 6] = 3

    both = [one, FieldChange.between(1, (0, 0), before, after)]

    wanted = np.zeros((16, 16), np.uint16)
    wanted[:8, :8] = fine
    wanted[12:14, 12:14] = 3
    np.testing.assert_array_equal(labels_at(both, 0, (0, 0), (16, 16)), wanted)
    assert FieldChange.between(1, (0, 0), before, before) is None


def test_what_is_empty_is_gone_over_at_once():
    dot = np.zeros((4, 4), np.uint16)
    dot[2, 2] = 1
    change = FieldChange.between(0, (70_000, 90_000), np.zeros_like(dot), dot)

    assert [(block.level, block.labels.sum()) for block in blocks([change], 100_000, 100_000)] == [(0, 1)]
    assert outlines([change], 100_000, 100_000)[1][0].outline[0] == (90_002, 70_002)
