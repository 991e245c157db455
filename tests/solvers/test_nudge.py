"""K moves a boundary: nested by construction, nothing at zero, and never over a mark."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.errors import ShapeError
from segmend.solvers.nudge import nudge, nudge_box


def ellipse(shape=(1, 40, 50), middle=(0, 18, 27), radii=(1, 9, 12)):
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum(((g - m) / r) ** 2 for g, m, r in zip(grid, middle, radii, strict=True)) < 1


def scene(seed, depth):
    random = np.random.default_rng(seed)
    shape = (depth, 12, 17)
    mask = random.random(shape) < random.uniform(0.05, 0.6)
    logits = random.normal(0, 3, shape).astype(np.float32)
    pinned = np.zeros(shape, np.uint8)
    said = random.random(shape) < 0.1
    pinned[said & mask], pinned[said & ~mask] = FOREGROUND, BACKGROUND
    return mask, logits, pinned


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 999), depth=st.sampled_from([1, 4]), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_a_larger_k_never_takes_away_a_voxel_that_a_smaller_one_leaves(seed, depth, a, b):
    mask, logits, pinned = scene(seed, depth)
    low, high = sorted((a, b))

    small, large = (nudge(mask, k, logits=logits, pinned=pinned, spacing=(3, 1, 2)) for k in (low, high))

    assert not (small & ~large).any()
    assert large[pinned == FOREGROUND].all() and small[pinned == FOREGROUND].all()
    assert not large[pinned == BACKGROUND].any()
    assert mask[mask].all() and (nudge(mask, 0.0, logits=logits, pinned=pinned) == mask).all()


@pytest.mark.parametrize("k", [0.6, 0.2, 0.01, -0.02, -0.3, -2.0])
def test_the_volume_becomes_what_k_means(k):
    mask = ellipse()

    assert nudge(mask, k).sum() == round(mask.sum() / (1 - k))


def test_a_mask_grows_to_four_times_its_size_at_most_and_never_vanishes():
    mask = ellipse()

    assert nudge(mask, 50.0).sum() == 4 * mask.sum()
    assert nudge(mask, -1e9).sum() == 1


def test_the_boundary_moves_all_round():
    mask = ellipse(radii=(1, 10, 10))

    ring = nudge(mask, 0.3) & ~mask

    rows, columns = (np.flatnonzero(ring.any(axis=axis)) for axis in ((0, 2), (0, 1)))
    assert rows[0] + rows[-1] == 2 * 18 and columns[0] + columns[-1] == 2 * 27
    assert abs(int(ring[:, :18].sum()) - int(ring[:, 19:].sum())) < 0.1 * ring.sum()


def test_it_moves_first_where_the_network_agrees():
    mask = ellipse()
    logits = np.where(np.arange(50) < 27, -3, 3).astype(np.float32) * np.ones(mask.shape, np.float32)

    grown, shrunk = nudge(mask, 0.2, logits=logits) & ~mask, mask & ~nudge(mask, -0.2, logits=logits)

    assert grown[..., 27:].sum() > 4 * grown[..., :27].sum()
    assert shrunk[..., :27].sum() > 4 * shrunk[..., 27:].sum()


def test_millimetres_count_and_not_voxels():
    mask = np.zeros((9, 21, 21), bool)
    mask[4, 10, 10] = True

    grown = nudge(mask, 0.75, spacing=(5, 1, 1))

    assert np.flatnonzero(grown.any(axis=(1, 2))).tolist() == [4]


def test_an_object_that_the_pictures_edge_cuts_off_does_not_shrink_from_there():
    mask = np.zeros((1, 20, 30), bool)
    mask[0, :, :10] = True

    gone = mask & ~nudge(mask, -1.0)

    assert gone[..., 5:10].all() and not gone[..., :5].any()


def test_an_empty_mask_stays_empty_and_has_no_room():
    empty = np.zeros((1, 4, 5), bool)

    assert not nudge(empty, 0.5).any()
    assert nudge_box(empty) is None


@pytest.mark.parametrize("name", ["logits", "pinned"])
def test_what_does_not_fit_the_mask_is_refused(name):
    with pytest.raises(ShapeError, match=rf"Nudging needs {name} of the mask's shape \(1, 40, 50\); got \(1, 2, 3\)"):
        nudge(ellipse(), 0.5, **{name: np.zeros((1, 2, 3))})
