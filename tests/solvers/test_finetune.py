"""Teaching a head: its slopes against differences, the paper's weights drawn by hand, and what the loop mends."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.errors import ModelError, ShapeError
from segmend.solvers.finetune import IN_2D, IN_3D, Head, alternate, finetune, load_head, save_head, voxel_weights


def head_of(rng, *sizes):
    weights = tuple(rng.normal(0, 0.7, (b, a)) for a, b in pairwise(sizes))
    return Head(weights, tuple(rng.normal(0, 0.3, b) for b in sizes[1:]))


def cost(head, x, y, w):
    p = 1 / (1 + np.exp(-head._contrast(head._layers(x)[-1]).astype(np.float64)))
    return -(w * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum()


@pytest.mark.parametrize("sizes", [(3, 1), (3, 2), (4, 5, 2), (3, 4, 4, 1)])
def test_slopes_are_those_of_the_weighted_cross_entropy(sizes):
    rng = np.random.default_rng(0)
    head = head_of(rng, *sizes)
    x, y, w = rng.normal(0, 1, (sizes[0], 30)), rng.integers(0, 2, 30), rng.uniform(0, 2, 30)

    slopes = head.gradients(x, y, w)

    layers = len(head.weights)
    for number, slope in enumerate(slopes):
        values = [v.copy() for v in (*head.weights, *head.biases)]
        at = tuple(0 for _ in slope.shape)
        costs = []
        for sign in (1, -1):
            values[number][at] += sign * 1e-2
            costs.append(cost(Head(tuple(values[:layers]), tuple(values[layers:])), x, y, w))
            values[number][at] -= sign * 1e-2
        assert slope[at] == pytest.approx((costs[0] - costs[1]) / 2e-2, abs=2e-2)


def test_a_step_goes_down_the_mean_by_the_rate():
    head = Head((np.zeros((1, 2), np.float32),), (np.zeros(1, np.float32),))
    features = np.array([[1.0, 3.0, 5.0], [0.0, 0.0, 9.0]], np.float32)

    taught = finetune(
        features, np.array([True, False, False]), np.array([1, 3, 0], np.float32), head, rate=0.1, steps=1
    )

    # At p = 1/2 the slope is the mean of (1/2 - label) feature, weights 1/4 and 3/4; the third voxel teaches nothing.
    assert taught.weights[0] == pytest.approx(np.array([[-0.1 * (-0.5 * 1 / 4 + 0.5 * 3 * 3 / 4), 0]]))
    assert taught.biases[0] == pytest.approx(np.array([-0.1 * (-0.5 / 4 + 0.5 * 3 / 4)]))


def test_voxels_without_weight_teach_nothing():
    head = head_of(np.random.default_rng(0), 2, 2)

    assert finetune(np.ones((2, 5), np.float32), np.ones(5, bool), np.zeros(5, np.float32), head) is head


def test_a_part_of_the_voxels_stands_for_all_and_marks_are_never_left_out():
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (3, 5000)).astype(np.float32)
    labels, weights = features[0] > 0.5, np.ones(5000, np.float32)
    head = head_of(rng, 3, 2)
    whole, part = (finetune(features, labels, weights, head, rate=0.1, most=most) for most in (None, 1000))
    weights[7], labels[7] = 1e6, not labels[7]
    told = finetune(features, labels, weights, head, rate=0.1, most=1000)

    assert ((part.logits(features) > 0) == (whole.logits(features) > 0)).mean() > 0.97
    assert (told.logits(features)[7] > 0) == labels[7]


def test_weights_are_those_of_equation_12():
    #              sure in, uncertain, uncertain's edges stay, near a mark that contradicts, marked
    probability = np.array([[[0.9, 0.5, 0.2, 0.7, 0.1, 0.9, 0.1]]], np.float32)
    labels = np.array([[[1, 1, 0, 1, 0, 1, 0]]], bool)
    near_inside = np.array([[[0, 0, 0, 0, 1, 1, 1]]], bool)
    near_outside = np.array([[[0, 0, 0, 0, 0, 1, 1]]], bool)
    marked = np.array([[[0, 0, 0, 0, 0, 0, BACKGROUND]]], np.uint8)

    weights = voxel_weights(probability, labels, marked, (near_inside, near_outside), IN_2D)
    narrower = voxel_weights(probability, labels, marked, (near_inside, near_outside), IN_3D)
    plain = voxel_weights(probability, labels, marked, (near_inside, near_outside), replace(IN_2D, weighted=False))

    assert weights.tolist() == [[[1, 0, 1, 1, 0, 0, 5]]]
    assert narrower.tolist() == [[[1, 0, 1, 1, 0, 0, 5]]]
    assert (
        voxel_weights(np.full((1, 1, 1), 0.65), labels[..., :1], marked[..., :1], (labels[..., 1:1],) * 2, IN_3D) == 1
    )
    assert plain.tolist() == [[[1] * 7]]


def scene(shape=(1, 30, 40)):
    """Two bright squares; the head was trained to want the left one only half-heartedly, and the right one not."""
    truth = np.zeros(shape, bool)
    truth[:, 8:22, 5:15] = truth[:, 8:22, 25:35] = True
    intensities = (0.2 + 0.6 * truth + np.random.default_rng(0).normal(0, 0.02, shape)).astype(np.float32)
    features = np.stack([intensities, np.broadcast_to(np.linspace(1, 0, shape[2]), shape)]).astype(np.float32)
    head = Head((np.array([[6.0, 2.0]], np.float32),), (np.array([-5.5], np.float32),))
    return truth, intensities, features, head


def test_without_rounds_it_is_the_cut_of_what_the_head_says():
    truth, intensities, features, head = scene()
    free = np.zeros(truth.shape, np.uint8)

    cut = alternate(features, intensities, head, marked=free, tuning=replace(IN_2D, rounds=0))

    assert cut.head is head
    assert np.array_equal(cut.probability, head.probability(features))
    assert cut.labels[truth].mean() < 0.9 or cut.labels[~truth].any()


@pytest.mark.parametrize("shape", [(1, 30, 40), (4, 30, 40)])
def test_every_cut_obeys_the_marks_and_what_they_say_spreads(shape):
    truth, intensities, features, head = scene(shape)
    marked = np.zeros(shape, np.uint8)
    marked[0, 15, 27:33] = FOREGROUND
    marked[0, 2, 3:30] = BACKGROUND
    tuning = IN_2D if shape[0] == 1 else replace(IN_3D, rate=0.05)

    before = alternate(features, intensities, head, marked=marked * 0, tuning=replace(tuning, rounds=0)).labels
    after = alternate(features, intensities, head, marked=marked, tuning=tuning)

    assert after.labels[marked == FOREGROUND].all()
    assert not after.labels[marked == BACKGROUND].any()
    assert (after.labels != truth).sum() < (before != truth).sum()


def test_the_same_question_has_the_same_answer():
    truth, intensities, features, head = scene()
    marked = np.zeros(truth.shape, np.uint8)
    marked[0, 15, 27:33] = FOREGROUND

    first, again = (alternate(features, intensities, head, marked=marked) for _ in range(2))

    assert np.array_equal(first.probability, again.probability)
    assert np.array_equal(first.labels, again.labels)


def test_a_head_comes_back_from_its_file(tmp_path):
    head = head_of(np.random.default_rng(0), 4, 3, 2)

    save_head(head, tmp_path / "new" / "head.npz")
    back = load_head(tmp_path / "new" / "head.npz")

    assert [w.shape for w in back.weights] == [(3, 4), (2, 3)]
    assert np.allclose(back.weights[0], head.weights[0], atol=2e-3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["head.npz"]


def test_a_missing_or_damaged_file_is_named(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"no head")

    with pytest.raises(ModelError, match=r"head.npz is missing; it belongs beside the network's weights"):
        load_head(tmp_path / "head.npz")
    with pytest.raises(ModelError, match=r"bad.npz could not be read as a network's head"):
        load_head(tmp_path / "bad.npz")


def test_shapes_that_do_not_fit_are_refused():
    head = head_of(np.random.default_rng(0), 2, 2)
    features = np.zeros((2, 1, 3, 4), np.float32)

    with pytest.raises(ShapeError, match=r"layers that fit and 1 or 2 outputs; got weights of shapes \[\(3, 2\)\]"):
        head_of(np.random.default_rng(0), 2, 3)
    with pytest.raises(ShapeError, match="This head needs 2 features; got 3"):
        head.logits(np.zeros((3, 4), np.float32))
    with pytest.raises(ShapeError, match=r"labels and weights for every voxel of \(1, 3, 4\); got \(1, 3, 5\)"):
        finetune(features, np.zeros((1, 3, 5), bool), np.zeros((1, 3, 4), np.float32), head)
    with pytest.raises(ShapeError, match=r"intensities and marks for every voxel of \(1, 3, 4\); got \(3, 4\)"):
        alternate(features, np.zeros((3, 4), np.float32), head, marked=np.zeros((1, 3, 4), np.uint8))
