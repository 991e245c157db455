import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.classical.solvers.growcut import growcut
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import ShapeError


def automaton(values, seeds, diagonal):
    """The paper's cellular automaton, step by step, all cells at once; the strengths and owners at rest.

    Where attacks of one step tie, the owner of the larger number takes the cell.
    """
    values = values.astype(np.float32)
    loss = np.float32(1 / float(np.linalg.norm(np.ptp(values, axis=(1, 2, 3))) or np.inf))
    strength = (seeds != UNKNOWN).astype(np.float32)
    owner = seeds.copy()
    while True:
        old_strength, old_owner = strength.copy(), owner.copy()
        for p in np.ndindex(seeds.shape):
            for step in np.ndindex(3, 3, 3):
                q = tuple(i + s - 1 for i, s in zip(p, step, strict=True))
                arms = sum(s != 1 for s in step)
                if (
                    arms == 0
                    or (arms > 1 and not diagonal)
                    or any(i < 0 or i >= n for i, n in zip(q, seeds.shape, strict=True))
                ):
                    continue
                fall = np.float32(0)
                for channel in values:
                    fall += (channel[p] - channel[q]) ** 2
                attack = max(np.float32(0), np.float32(1) - loss * np.sqrt(fall)) * old_strength[q]
                fresh = strength[p] > old_strength[p]
                if attack > strength[p] or (fresh and attack == strength[p] and old_owner[q] > owner[p]):
                    strength[p], owner[p] = attack, old_owner[q]
        if (strength == old_strength).all() and (owner == old_owner).all():
            return strength, owner


def scattered(seed, shape, channels, levels):
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, (channels, *shape)).astype(np.float32)
    seeds = np.zeros(shape, np.uint8)
    for label in (FOREGROUND, BACKGROUND, BACKGROUND, FOREGROUND):
        seeds[tuple(random.integers(0, n) for n in shape)] = label
    return values, seeds


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 9999),
    shape=st.sampled_from([(1, 6, 7), (1, 1, 9), (3, 4, 5)]),
    channels=st.integers(1, 2),
    levels=st.sampled_from([2, 5, 1000]),
    diagonal=st.booleans(),
)
def test_it_converges_to_the_automatons_labels(seed, shape, channels, levels, diagonal):
    values, seeds = scattered(seed, shape, channels, levels)

    grown = growcut(values, seeds, diagonal=diagonal)
    strength, owner = automaton(values, seeds, diagonal)

    assert np.array_equal(grown.strength, strength)
    assert np.array_equal(grown.owner, owner)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 9999))
def test_turning_the_image_turns_the_answer(seed):
    values, seeds = scattered(seed, (3, 5, 6), 1, 1000)

    grown = growcut(values, seeds)
    turned = growcut(values[:, ::-1].transpose(0, 3, 1, 2), seeds[::-1].transpose(2, 0, 1))

    assert np.array_equal(turned.owner, grown.owner[::-1].transpose(2, 0, 1))


def test_growth_stops_at_an_edge_that_both_sides_reach():
    values = np.zeros((1, 1, 9, 12), np.float32)
    values[..., 5:] = 50
    seeds = np.zeros((1, 9, 12), np.uint8)
    seeds[0, 4, 1], seeds[0, 4, 11] = FOREGROUND, BACKGROUND

    owner = growcut(values, seeds).owner

    assert (owner[..., :5] == FOREGROUND).all()
    assert (owner[..., 5:] == BACKGROUND).all()


def test_in_an_even_image_the_nearer_seed_wins():
    seeds = np.array([[[FOREGROUND, 0, 0, 0, 0, 0, BACKGROUND]]], np.uint8)

    assert growcut(np.full((1, 1, 1, 7), 3.0), seeds).owner.tolist() == [[[1, 1, 1, 2, 2, 2, 2]]]


def test_without_seeds_there_are_no_labels():
    grown = growcut(np.ones((1, 1, 2, 3)), np.zeros((1, 2, 3), np.uint8))

    assert not grown.owner.any()
    assert not grown.strength.any()


def test_an_edge_as_large_as_the_largest_stops_growth():
    values = np.array([[[[0, 0, 9, 9]]]], np.float32)

    grown = growcut(values, np.array([[[FOREGROUND, 0, 0, 0]]], np.uint8))

    assert grown.owner.tolist() == [[[1, 1, 0, 0]]]
    assert growcut(values, grown.owner, largest=18).owner.all()


def test_values_of_another_grid_are_refused():
    with pytest.raises(ShapeError, match=r"GrowCut needs values \(c, z, y, x\) of \(1, 2, 3\); got \(1, 1, 2, 4\)"):
        growcut(np.zeros((1, 1, 2, 4)), np.zeros((1, 2, 3), np.uint8))
