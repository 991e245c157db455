from importlib.util import find_spec

import numpy as np
import pytest

from segmend.classical.solvers import trees
from segmend.classical.solvers.forest import NODES, TREES, Forest
from segmend.errors import ShapeError


def sides(count, *, share=0.5, seed=0):
    """Samples whose sides differ in one feature, and in a second only together with a third."""
    random = np.random.default_rng(seed)
    inside = random.random(count) < share
    samples = random.normal(0, 1, (count, 9)).astype(np.float32)
    samples[:, 0] += 1.5 * inside
    samples[:, 1] += np.where(inside, 1.5 * np.sign(samples[:, 2]), 0)
    return samples, inside


def right(forest, samples, inside):
    return float(((forest.probabilities(samples.T) > 0.5) == inside).mean())


def test_it_learns_what_separates_the_sides():
    forest = Forest.planted(9).grown(*sides(2000))

    assert right(forest, *sides(5000, seed=1)) > 0.78


def test_a_rare_side_counts_as_much_as_a_common_one():
    forest = Forest.planted(9).grown(*sides(2000, share=0.05))
    samples, inside = sides(5000, seed=1)

    found = forest.probabilities(samples.T) > 0.5

    assert found[inside].mean() > 0.6
    assert (~found)[~inside].mean() > 0.6


def test_training_in_parts_is_nearly_as_good():
    samples, inside = sides(2000)
    forest = Forest.planted(9)
    for start in range(0, 2000, 250):
        forest = forest.grown(samples[start : start + 250], inside[start : start + 250])

    assert right(forest, *sides(5000, seed=1)) > 0.74


def test_trees_only_grow():
    first = Forest.planted(9).grown(*sides(300))
    second = first.grown(*sides(300, seed=1))

    split = first.feature != trees.LEAF
    assert (second.used >= first.used).all()
    assert second.used.sum() > first.used.sum()
    assert np.array_equal(second.feature[split], first.feature[split])
    assert np.array_equal(second.threshold[split], first.threshold[split])
    assert len(first.samples) == 300


def test_new_samples_of_another_kind_are_learnt():
    samples, inside = sides(500)
    forest = Forest.planted(9).grown(samples, inside)
    strange = samples[:200] + 20
    nothing = np.zeros(200, bool)

    before = forest.probabilities(strange.T).mean()
    after = forest.grown(strange, nothing).probabilities(strange.T).mean()

    assert after < 0.1 < before


def test_every_leaf_counts_the_samples_that_came_to_it():
    forest = Forest.planted(9).grown(*sides(400)).grown(*sides(300, seed=1))

    for tree in range(TREES):
        for inside in (False, True):
            mine = forest.inside == inside
            counted = np.bincount(forest.leaves[tree][mine], forest.draws[tree][mine], NODES)
            leaf = forest.feature[tree] == trees.LEAF
            assert np.array_equal(counted[leaf], forest.counts[tree, leaf, int(inside)])


def test_the_same_seed_grows_the_same_forest():
    a, b, c = (Forest.planted(9, seed).grown(*sides(300)).probabilities(sides(50)[0].T) for seed in (0, 0, 1))

    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_equal_samples_of_both_sides_get_one_half():
    forest = Forest.planted(2).grown(np.ones((60, 2), np.float32), np.arange(60) < 10)

    assert forest.used.tolist() == [1] * TREES
    assert forest.probabilities(np.ones((2, 1), np.float32))[0] == pytest.approx(0.5, abs=0.1)


def test_an_untrained_forest_gives_one_half():
    empty = Forest.planted(3)

    assert empty.probabilities(np.zeros((3, 2, 2), np.float32)).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    still = empty.grown(np.zeros((0, 3), np.float32), np.zeros(0, bool))
    assert still.probabilities(np.zeros((3, 1))).tolist() == [0.5]


def test_only_split_get_a_probability():
    forest = Forest.planted(9).grown(*sides(300))
    values, where = sides(6)[0].T.reshape(9, 2, 3), np.array([[True, False, True], [False, False, True]])

    some, every = forest.probabilities(values, where), forest.probabilities(values)

    assert np.array_equal(some[where], every[where])
    assert not some[~where].any()


def test_it_is_no_worse_than_the_library_of_its_kind():
    if find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    from sklearn.ensemble import RandomForestClassifier

    theirs = RandomForestClassifier(TREES, class_weight="balanced", max_depth=12, random_state=0)
    samples, inside = sides(5000, seed=1)

    known = float((theirs.fit(*sides(2000, share=0.1)).predict(samples) == inside).mean())

    assert right(Forest.planted(9).grown(*sides(2000, share=0.1)), samples, inside) > known - 0.02


def test_samples_of_another_size_are_refused():
    with pytest.raises(ShapeError, match=r"forest of 9 features needs samples of shape \(n, 9\) and n sides; got"):
        Forest.planted(9).grown(np.zeros((5, 4), np.float32), np.zeros(5, bool))
    with pytest.raises(ShapeError, match=r"got \(5, 9\) and 4"):
        Forest.planted(9).grown(np.zeros((5, 9), np.float32), np.zeros(4, bool))
