import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from segmend.classical.solvers.levelset import Forces, levelset
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.errors import SettingsError, ShapeError


def ellipse(shape, *, spacing=(1.0, 1.0, 1.0), radius=9.0, contrast=8.0, noise=1.0, seed=0):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    away = sum(((a - n // 2) * s) ** 2 for a, n, s in zip(axes, shape, spacing, strict=True) if n > 1)
    truth = np.broadcast_to(away < radius**2, shape).copy()
    values = contrast * truth + np.random.default_rng(seed).normal(0, noise, (1, *shape))
    unary = np.where(truth, 2.0, -2.0) + np.random.default_rng(seed + 1).normal(0, 2, shape)
    return truth, values.astype(np.float32), unary.astype(np.float32)


def dot(shape, size=2):
    start = np.zeros(shape, bool)
    start[tuple(slice(max(0, n // 2 - size), n // 2 + size + 1) for n in shape)] = True
    return start


def dice(truth, mask):
    return 2 * (truth & mask).sum() / (truth.sum() + mask.sum())


@pytest.mark.parametrize(
    ("shape", "spacing"), [((1, 40, 52), (1.0, 1.0, 1.0)), ((11, 34, 40), (2.5, 1.0, 1.0))], ids=["2D", "3D"]
)
@pytest.mark.parametrize("coarse_first", [False, True])
def test_a_front_grows_to_the_object_through_noise(shape, spacing, coarse_first):
    truth, values, unary = ellipse(shape, spacing=spacing)

    mask = levelset(dot(shape), unary, values, spacing=spacing, coarse_first=coarse_first) > 0

    assert dice(truth, unary > 0) < 0.8
    assert dice(truth, mask) > 0.93


def test_a_front_shrinks_to_the_object():
    truth, values, unary = ellipse((1, 40, 52))

    assert dice(truth, levelset(dot(truth.shape, size=16), unary, values) > 0) > 0.93


def test_a_front_that_has_far_to_go_gets_there():
    truth, values, unary = ellipse((1, 200, 240), radius=70)

    near = levelset(dot(truth.shape), unary, values, most=100) > 0
    settled = levelset(dot(truth.shape), unary, values, most=100, coarse_first=True) > 0

    assert dice(truth, near) < 0.9
    assert dice(truth, settled) > 0.97


def test_local_means_find_what_differs_from_its_surroundings():
    truth, values, _ = ellipse((1, 40, 52), contrast=5, noise=0.5)
    slanted = values + np.linspace(0, 12, 52, dtype=np.float32)  # no one threshold separates these
    unsure = np.zeros(truth.shape, np.float32)

    mask = levelset(dot(truth.shape, size=6), unsure, slanted, forces=Forces(likelihood=0, local=1, window=5)) > 0

    assert dice(truth, mask) > 0.95


def test_tension_makes_a_lone_front_vanish():
    start = dot((1, 30, 30), size=3)
    nothing = np.zeros((1, 30, 30), np.float32)

    height = levelset(start, nothing, nothing[None], forces=Forces(tension=1.0), most=400)

    assert not (height > 0).any()


def test_left_alone_the_slope_at_the_front_becomes_one():
    truth, values, unary = ellipse((1, 40, 52))
    none = Forces(likelihood=0, local=0, tension=0)

    height = levelset(truth, unary, values, forces=none, most=300)[0]

    down, across = np.gradient(height)
    front = np.abs(height) < 1
    assert 0.8 < np.median(np.hypot(down, across)[front]) < 1.5  # it begins at 2.4
    assert dice(truth[0], height > 0) > 0.98


def test_pins_hold_and_start_fronts_of_their_own():
    truth, values, unary = ellipse((1, 40, 52))
    pinned = np.zeros(truth.shape, np.uint8)
    pinned[0, 20, 26], pinned[0, 3, 3] = BACKGROUND, FOREGROUND

    mask = levelset(dot(truth.shape), unary, values, pinned=pinned) > 0

    assert not mask[0, 20, 26]
    assert mask[0, 3, 3]


def test_one_front_makes_one_part_and_without_a_start_none():
    truth, values, unary = ellipse((1, 40, 52), noise=3)

    assert label(levelset(dot(truth.shape), unary, values) > 0)[1] == 1
    assert not (levelset(np.zeros(truth.shape, bool), unary, values) > 0).any()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), flat=st.booleans())
def test_turning_the_image_turns_the_front(seed, flat):
    shape = (1, 12, 15) if flat else (5, 9, 11)
    _, values, unary = ellipse(shape, radius=4, seed=seed)

    straight = levelset(dot(shape), unary, values, most=30)
    turned = levelset(
        dot(shape)[:, ::-1].swapaxes(1, 2), unary[:, ::-1].swapaxes(1, 2), values[:, :, ::-1].swapaxes(2, 3), most=30
    )

    assert turned == pytest.approx(straight[:, ::-1].swapaxes(1, 2), abs=2e-2)
    assert np.isfinite(straight).all()


def test_grids_that_differ_are_refused():
    with pytest.raises(ShapeError, match=r"one grid; got \(1, 2, 3\), \(1, 2, 3\), \(1, 1, 2, 4\) and \(1, 2, 3\)"):
        levelset(np.zeros((1, 2, 3), bool), np.zeros((1, 2, 3)), np.zeros((1, 1, 2, 4)))


@pytest.mark.parametrize("forces", [Forces(window=0), Forces(pace=-1), Forces(tension=-0.1)])
def test_forces_that_cannot_be_are_refused(forces):
    with pytest.raises(SettingsError, match="A level set needs a window, pace and spacing above 0 and no negative"):
        levelset(np.zeros((1, 2, 3), bool), np.zeros((1, 2, 3)), np.zeros((1, 1, 2, 3)), forces=forces)
