import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from segmend.errors import ShapeError
from segmend.solvers import grid_loops as sweep
from segmend.solvers.geodesic import geodesic
from segmend.solvers.maxflow import offsets


def exact(values, sources, spacing, contrast):
    """Dijkstra over the same neighbours, written as a sparse graph."""
    shape = sources.shape
    number = np.arange(sources.size).reshape(shape)
    rows, columns, costs = [], [], []
    for step in offsets(shape, diagonal=True):
        for p in np.ndindex(shape):
            q = tuple(a + b for a, b in zip(p, step, strict=True))
            if all(0 <= a < n for a, n in zip(q, shape, strict=True)):
                fall = values[(slice(None), *p)] - values[(slice(None), *q)]
                length = np.linalg.norm(np.multiply(step, spacing))
                rows.append(number[p])
                columns.append(number[q])
                costs.append(np.sqrt(length**2 + contrast**2 * (fall**2).sum()))
    graph = coo_array((costs, (rows, columns)), shape=(sources.size, sources.size)).tocsr()
    return dijkstra(graph, directed=False, indices=np.flatnonzero(sources), min_only=True).reshape(shape)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from([(1, 5, 8), (3, 4, 5), (2, 1, 6)]), channels=st.integers(1, 3))
def test_passes_until_nothing_changes_are_exact(seed, shape, channels):
    random = np.random.default_rng(seed)
    values = random.normal(0, 3, (channels, *shape)).astype(np.float32)
    sources = random.random(shape) < 0.1
    sources.flat[random.integers(sources.size)] = True

    found = geodesic(values, sources, spacing=(3, 1, 1.5), contrast=2)

    assert np.allclose(found, exact(values, sources, (3, 1, 1.5), 2), rtol=1e-4)


def test_a_wall_is_gone_round_not_through():
    values = np.zeros((1, 1, 5, 7), np.float32)
    values[0, 0, :4, 3] = 100  # open at the bottom row
    sources = np.zeros((1, 5, 7), bool)
    sources[0, 0, 2] = True

    found = geodesic(values, sources, contrast=1)

    assert 7 < found[0, 0, 4] < 12


def test_without_sources_everything_is_infinitely_far():
    assert np.isinf(geodesic(np.zeros((1, 1, 2, 3), np.float32), np.zeros((1, 2, 3), bool))).all()


def test_prices_to_start_with_and_voxels_that_keep_theirs():
    distance, free = np.array([[[5, 0.5, 9, 9, 9]]], np.float32), np.array([[[True, True, True, False, True]]])
    back = np.asarray([(0, 0, -1)])

    turns = sweep.geodesic(distance, free, np.zeros((1, 1, 1, 5), np.float32), back, np.ones(1, np.float32), 1.0, 9)

    assert distance.tolist() == [[[1.5, 0.5, 1.5, 9, 9]]]
    assert turns == 2


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"values \(c, z, y, x\) of \(1, 2, 3\); got \(1, 2, 3\)"):
        geodesic(np.zeros((1, 2, 3), np.float32), np.zeros((1, 2, 3), bool))
