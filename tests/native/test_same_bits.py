"""The loops give the same bits on every machine: sums, products, quotients and roots are rounded as IEEE 754 says.

What is not here calls exp, log, tanh or sin, which mathematics libraries round as they like.
"""

import hashlib

import numpy as np
import pytest

from segmend.classical.solvers.forest import Forest
from segmend.classical.solvers.growcut import growcut
from segmend.classical.solvers.randomwalk import walk
from segmend.evaluation import distance_loops
from segmend.solvers.geodesic import geodesic
from segmend.solvers.maxflow import cut, offsets
from segmend.solvers.nudge import nudge

SHAPE = (7, 21, 30)


@pytest.fixture
def random():
    return np.random.default_rng(7)


def checksum(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def test_a_cut(random):
    steps = offsets(SHAPE, diagonal=True)
    unary = random.integers(-99, 100, SHAPE, np.int32)
    found = cut(unary, random.integers(0, 60, (len(steps), *SHAPE), np.int32), steps=steps)

    assert (checksum(found.inside), found.cost) == ("32f4b9a7332f8cb5", 107393)


def test_a_geodesic_distance(random):
    found = geodesic(random.random((2, *SHAPE), np.float32), random.random(SHAPE) < 0.01, spacing=(3, 0.7, 1.1))

    assert checksum(found) == "57f2297c039d6a38"


def test_a_nudge(random):
    mask = random.random(SHAPE) < 0.2

    assert checksum(nudge(mask, 0.4, spacing=(3, 0.7, 1.1)), nudge(mask, -0.4)) == "bc74b606cd5511ac"


def test_a_random_walk(random):
    pinned = random.choice(
        np.array([0, 0, 0, 0, 0, 1, 2], np.uint8), (1, 9, 11)
    )  # small: NumPy solves its coarsest grid
    links = random.random((3, *pinned.shape), np.float32)

    assert checksum(walk(links, pinned) > 0.5) == "a26b1cf8c3e104ff"


def test_growcut(random):
    seeds = random.choice(np.array([0] * 90 + [1, 2], np.uint8), SHAPE)
    found = growcut(random.random((2, *SHAPE), np.float32), seeds, largest=1.5)

    assert checksum(found.owner, found.strength) == "16ed1967339fffa7"


def test_a_forest(random):
    forest = Forest.planted(4).grown(random.random((300, 4), np.float32), random.random(300) < 0.4)

    assert checksum(forest.feature, forest.threshold, forest.counts) == "35ea52b75a30f8b1"


def test_distances(random):
    near = distance_loops.rows(random.random(SHAPE) < 0.02)

    assert checksum(near, distance_loops.transform(near, np.array([3.0, 0.7, 1.1]))) == "d2d1276e7b73e287"
