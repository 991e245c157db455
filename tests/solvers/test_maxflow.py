from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import SettingsError, ShapeError
from segmend.solvers.maxflow import LARGEST, cut, offsets, whole_numbers

SHAPES = [(1, 1, 1), (1, 4, 7), (1, 9, 2), (3, 4, 5), (2, 1, 6), (4, 2, 3)]


def random_grid(seed, shape, *, diagonal=False, largest=9):
    random = np.random.default_rng(seed)
    steps = offsets(shape, diagonal=diagonal)
    unary = random.integers(-largest, largest + 1, shape, np.int32)
    arcs, back = random.integers(0, largest + 1, (2, len(steps), *shape), np.int32)
    fixed = random.choice(np.array([UNKNOWN, UNKNOWN, UNKNOWN, FOREGROUND, BACKGROUND], np.uint8), shape)
    return unary, arcs, back, fixed, steps


def pairs(shape, steps):
    """Every pair of neighbours as (i, p, q): the step's number and both indices."""
    for i, step in enumerate(steps):
        for p in product(*map(range, shape)):
            q = tuple(a + b for a, b in zip(p, step, strict=True))
            if all(0 <= a < n for a, n in zip(q, shape, strict=True)):
                yield i, p, q


def cost_of(inside, unary, arcs, back, steps):
    """What these labels cost, counted voxel by voxel and pair by pair."""
    cost = int(unary[~inside & (unary > 0)].sum()) - int(unary[inside & (unary < 0)].sum())
    for i, p, q in pairs(unary.shape, steps):
        if inside[p] and not inside[q]:
            cost += int(arcs[i][p])
        if inside[q] and not inside[p]:
            cost += int(back[i][p])
    return cost


def reference(unary, arcs, back, steps, fixed):
    """The value of the largest flow by SciPy, with fixed voxels tied to their terminal."""
    number = np.arange(unary.size).reshape(unary.shape)
    source, sink, tied = unary.size, unary.size + 1, 10**6
    capacity = np.zeros((unary.size + 2, unary.size + 2), np.int32)
    for i, p, q in pairs(unary.shape, steps):
        capacity[number[p], number[q]] += arcs[i][p]
        capacity[number[q], number[p]] += back[i][p]
    capacity[source, : unary.size] = (np.maximum(unary, 0) + tied * (fixed == FOREGROUND)).ravel()
    capacity[: unary.size, sink] = (np.maximum(-unary, 0) + tied * (fixed == BACKGROUND)).ravel()
    return int(maximum_flow(csr_array(capacity), source, sink).flow_value)


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(SHAPES), diagonal=st.booleans(), pinned=st.booleans())
def test_the_cut_costs_what_the_largest_flow_carries(seed, shape, diagonal, pinned):
    unary, arcs, back, fixed, steps = random_grid(seed, shape, diagonal=diagonal)
    fixed = fixed if pinned else np.zeros(shape, np.uint8)

    found = cut(unary, arcs, steps=steps, back=back, fixed=fixed)

    assert found.cost == reference(unary, arcs, back, steps, fixed)
    assert found.cost == cost_of(found.inside, unary, arcs, back, steps)
    assert found.inside[fixed == FOREGROUND].all()
    assert not found.inside[fixed == BACKGROUND].any()


@pytest.mark.parametrize("shape", [(1, 23, 31), (7, 9, 11)])
def test_larger_grids_agree_with_scipy_too(shape):
    for seed in range(5):
        unary, arcs, _, fixed, steps = random_grid(seed, shape, largest=100)

        found = cut(unary, arcs)

        assert found.cost == reference(unary, arcs, arcs, steps, np.zeros_like(fixed))
        assert found.cost == cost_of(found.inside, unary, arcs, arcs, steps)


def test_a_cut_follows_the_weak_arcs_not_the_axes():
    unary = np.zeros((1, 3, 5), np.int32)
    unary[0, 1, 0], unary[0, 1, 4] = 1000, -1000
    arcs = np.full((2, 1, 3, 5), 50, np.int32)
    arcs[0, 0, 0, 1] = arcs[0, 0, 1, 2] = arcs[0, 0, 2, 3] = 1  # between x and x + 1, a staircase
    arcs[1, 0, 0, 2] = arcs[1, 0, 1, 3] = 1  # between y and y + 1

    found = cut(unary, arcs)

    assert found.inside[0].tolist() == [
        [True, True, False, False, False],
        [True, True, True, False, False],
        [True, True, True, True, False],
    ]
    assert found.cost == 5


def test_a_band_cut_equals_the_whole_cut_when_the_band_holds_its_boundary():
    unary, arcs, *_ = random_grid(3, (1, 20, 30), largest=20)
    whole = cut(unary, arcs)
    edge = np.zeros(unary.shape, bool)
    edge[:, :, 1:] |= whole.inside[:, :, 1:] != whole.inside[:, :, :-1]
    edge[:, :, :-1] |= edge[:, :, 1:]
    edge[:, 1:] |= whole.inside[:, 1:] != whole.inside[:, :-1]
    edge[:, :-1] |= edge[:, 1:]

    fixed = np.where(edge, UNKNOWN, np.where(whole.inside, FOREGROUND, BACKGROUND)).astype(np.uint8)

    assert 0 < (fixed == UNKNOWN).mean() < 1
    assert cut(unary, arcs, fixed=fixed).cost == whole.cost


def test_costs_up_to_the_largest_do_not_overflow():
    unary = np.array([[[LARGEST, -LARGEST, LARGEST]]], np.int32)
    arcs = np.full((2, 1, 1, 3), LARGEST, np.int32)

    assert cut(unary, arcs).cost == LARGEST
    assert cut(unary, arcs, fixed=np.array([[[1, 0, 1]]], np.uint8)).inside.all()


def test_real_costs_become_whole_numbers_that_keep_their_order():
    assert whole_numbers(np.array([-np.inf, -0.5, 0.004, 1.0]), scale=100).tolist() == [-LARGEST, -50, 0, 100]


def test_arguments_that_do_not_fit_a_cut_are_refused():
    unary, arcs = np.zeros((1, 2, 3), np.int32), np.zeros((2, 1, 2, 3), np.int32)
    with pytest.raises(ShapeError, match=r"3 axes \(z, y, x\); got shape \(2, 3\)"):
        cut(unary[0], arcs)
    with pytest.raises(ShapeError, match=r"needs arcs of shape \(2, 1, 2, 3\); got \(1, 1, 2, 3\)"):
        cut(unary, arcs[:1])
    with pytest.raises(ShapeError, match=r"needs fixed voxels of shape \(1, 2, 3\); got \(1, 2\)"):
        cut(unary, arcs, fixed=np.zeros((1, 2), np.uint8))
    with pytest.raises(ShapeError, match="whole numbers; got a unary of float64"):
        cut(unary.astype(float), arcs)
    with pytest.raises(SettingsError, match=r"arcs of at least 0 .* got -1"):
        cut(unary, arcs - 1)
