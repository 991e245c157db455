import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import SettingsError, ShapeError


def brute_force(probability, values, spacing, pinned, kernels, rounds):
    """The paper's mean field, every pair of voxels written out."""
    places = np.stack(np.meshgrid(*(np.arange(n) for n in probability.shape), indexing="ij")).reshape(3, -1).T
    places = places * np.asarray(spacing)
    looks = values.reshape(len(values), -1).T.astype(float)
    far = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    unlike = ((looks[:, None] - looks[None]) ** 2).sum(axis=2)
    appearance_weight = 0
    for weight, kernel in (
        (kernels.smooth_weight, np.exp(-far / 2 / kernels.smooth_reach**2)),
        (kernels.weight, np.exp(-far / 2 / kernels.reach**2 - unlike / 2 / kernels.intensity**2)),
    ):
        neighbours = np.sqrt(kernel.sum(axis=1))
        appearance_weight = appearance_weight + weight * kernel / neighbours[:, None] / neighbours[None]
    np.fill_diagonal(appearance_weight, 0)
    logits = np.log(probability / (1 - probability)).ravel().astype(float)
    inside = np.where(pinned.ravel() == UNKNOWN, 1 / (1 + np.exp(-logits)), pinned.ravel() == FOREGROUND)
    for _ in range(rounds):
        energy = logits + appearance_weight @ inside - appearance_weight @ (1 - inside)
        inside = np.where(pinned.ravel() == UNKNOWN, 1 / (1 + np.exp(-energy)), inside)
    return inside.reshape(probability.shape)


def case(shape, channels, seed=0):
    random = np.random.default_rng(seed)
    truth = np.zeros(shape, bool)
    truth[:, 5:10, 4:9] = True
    values = 6 * truth + random.normal(0, 1.5, (channels, *shape))
    probability = np.clip(0.5 + 0.25 * (2 * truth - 1) + random.normal(0, 0.3, shape), 0.02, 0.98)
    pinned = np.zeros(shape, np.uint8)
    pinned[0, 0, 0] = pinned[-1, 3, 4] = BACKGROUND
    pinned[0, 6, 6] = FOREGROUND
    return truth, values.astype(np.float32), probability.astype(np.float32), pinned


@pytest.mark.parametrize(
    ("shape", "channels", "spacing"),
    [
        ((1, 24, 31), 1, (1, 1, 1)),
        ((1, 24, 31), 3, (1, 1, 1)),
        ((7, 13, 15), 1, (3, 1, 1.5)),
        ((6, 12, 13), 3, (2, 1, 1)),
    ],
    ids=["2D grey", "2D colour", "3D grey", "3D colour"],
)
@pytest.mark.parametrize(
    "kernels",
    [
        Kernels(),
        Kernels(smooth_weight=2, smooth_reach=2, weight=4, reach=6, intensity=2),
        Kernels(smooth_weight=0, weight=4, reach=10, intensity=4),
        Kernels(smooth_weight=3, smooth_reach=0.7, weight=0),
    ],
    ids=["usual", "far", "appearance", "smoothness"],
)
def test_it_is_the_mean_field_with_every_pair_written_out(shape, channels, spacing, kernels):
    _, values, probability, pinned = case(shape, channels)

    for rounds in (1, 5):
        ours = densecrf(probability, values, spacing=spacing, pinned=pinned, kernels=kernels, rounds=rounds)
        exact = brute_force(probability, values, spacing, pinned, kernels, rounds)

        assert np.abs(ours - exact).mean() < 0.01
        assert ((ours > 0.5) != (exact > 0.5)).mean() < 0.015
        assert np.abs(exact - probability).mean() > 0.05  # there was something to do


@pytest.mark.parametrize("shape", [(1, 24, 31), (7, 13, 15)])
def test_a_noisy_probability_becomes_the_object(shape):
    truth, values, probability, _ = case(shape, 1)

    before, after = probability > 0.5, densecrf(probability, values) > 0.5

    assert (after != truth).sum() < 0.5 * (before != truth).sum()


def test_pinned_voxels_stay_and_change_their_neighbours():
    values = np.zeros((1, 1, 9, 14), np.float32)
    values[0, 0, 2:6, 3:9] = 20
    unsure = np.full((1, 9, 14), 0.4, np.float32)
    pinned = np.zeros(unsure.shape, np.uint8)
    pinned[0, 3, 3:9] = FOREGROUND
    pinned[0, 0, 0] = BACKGROUND

    answer = densecrf(unsure, values, pinned=pinned, kernels=Kernels(smooth_weight=0, weight=8, reach=10, intensity=3))

    assert (answer[pinned == FOREGROUND] == 1).all()
    assert answer[0, 0, 0] == 0
    assert ((answer > 0.5) == (values[0] > 0)).all()


def test_everything_pinned_is_the_answer():
    pinned = np.array([[[FOREGROUND, BACKGROUND, FOREGROUND]]], np.uint8)

    assert densecrf(np.full((1, 1, 3), 0.5), np.zeros((1, 1, 1, 3)), pinned=pinned).tolist() == [[[1, 0, 1]]]


def test_without_weights_the_probability_stays():
    probability = np.array([[[0.1, 0.6, 0.9]]], np.float32)

    answer = densecrf(probability, np.ones((2, 1, 1, 3)), kernels=Kernels(smooth_weight=0, weight=0))

    assert answer == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (2, 1, 3)])
def test_the_smallest_and_flattest_grids_have_an_answer(shape):
    answer = densecrf(np.full(shape, 0.8), np.full((1, *shape), 3.0))

    assert answer.shape == shape
    assert (answer > 0.7).all()


def test_more_than_three_channels_are_reduced_to_principal_axes():
    truth, values, probability, _ = case((1, 24, 31), 5)

    before, after = probability > 0.5, densecrf(probability, values) > 0.5

    assert (after != truth).sum() < 0.5 * (before != truth).sum()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), channels=st.integers(1, 3), flat=st.booleans())
def test_inside_and_outside_are_treated_alike(seed, channels, flat):
    random = np.random.default_rng(seed)
    shape = (1, 9, 11) if flat else (3, 6, 7)
    values = random.normal(0, 3, (channels, *shape)).astype(np.float32)
    probability = random.random(shape).astype(np.float32)

    one, other = densecrf(probability, values), densecrf(1 - probability, values)

    assert one == pytest.approx(1 - other, abs=1e-3)
    assert one.min() >= 0
    assert one.max() <= 1


def test_arrays_of_different_grids_are_refused():
    with pytest.raises(ShapeError, match=r"one grid; got \(1, 2, 3\), \(1, 1, 2, 4\) and \(1, 2, 3\)"):
        densecrf(np.zeros((1, 2, 3)), np.zeros((1, 1, 2, 4)))


@pytest.mark.parametrize("kernels", [Kernels(reach=0), Kernels(intensity=-1), Kernels(weight=-0.1)])
def test_kernels_without_a_width_or_with_a_negative_weight_are_refused(kernels):
    with pytest.raises(SettingsError, match="reaches, intensity and spacing above 0 and no negative weight"):
        densecrf(np.full((1, 2, 3), 0.5), np.zeros((1, 1, 2, 3)), kernels=kernels)


def test_an_intensity_width_too_fine_for_the_values_is_refused():
    values = np.array([0, 1e9], np.float32).reshape(1, 1, 1, 2)

    with pytest.raises(
        SettingsError, match=r"whose grid has at most 33554432 cells; an intensity of 1.5 and a reach of 4"
    ):
        densecrf(np.full((1, 1, 2), 0.5), values)
