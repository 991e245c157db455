"""Measures against drawings, against independent implementations, and by their symmetries."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import integrate, ndimage

from segmend.core.masks import dice
from segmend.errors import GeometryError, SettingsError, ShapeError
from segmend.evaluation import distance_loops as nearest
from segmend.evaluation import metrics
from segmend.evaluation.surface_distance import surfaces

INF, NAN = float("inf"), float("nan")
FLAT = st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 12))
SOLID = st.tuples(st.integers(2, 6), st.integers(1, 7), st.integers(1, 8))
STEP = st.sampled_from([0.5, 1.0, 1.3, 3.27])
SPACINGS = st.tuples(STEP, STEP, STEP)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(st.one_of(FLAT, SOLID))
    masks = hnp.arrays(bool, shape, elements=st.booleans(), fill=st.booleans())
    return draw(masks), draw(masks)


def drawn(*rows: str) -> Any:
    return np.array([[[c == "#" for c in row] for row in rows]])


def blob(generator: np.random.Generator, shape: tuple[int, int, int], sigma: float) -> Any:
    smooth = ndimage.gaussian_filter(generator.normal(size=shape), [0 if n == 1 else sigma for n in shape])
    return smooth > np.quantile(smooth, 0.7)


# Overlap


def test_overlap_of_a_drawing() -> None:
    truth = drawn("####", "####", "....")
    mask = drawn("..##", "..##", "..##")

    scores = metrics.scores(truth, mask)

    assert metrics.counts(truth, mask) == metrics.Counts(both=4, truth_only=4, mask_only=2)
    assert scores.dice == pytest.approx(8 / 14)
    assert scores.iou == pytest.approx(4 / 10)
    assert scores.sensitivity == 0.5
    assert scores.ppv == pytest.approx(4 / 6)
    assert scores.volume_error == -0.25


@pytest.mark.parametrize(
    ("truth", "mask", "expected"),
    [
        ("....", "....", metrics.Scores(1, 1, 1, 1, 0, 0, 0, 0, 1)),
        ("....", ".##.", metrics.Scores(0, 0, NAN, 0, INF, INF, INF, INF, 0)),
        (".##.", "....", metrics.Scores(0, 0, 0, NAN, -1, INF, INF, INF, 0)),
    ],
)
@pytest.mark.parametrize("depth", [1, 3])
def test_empty_masks_are_defined(truth: str, mask: str, expected: metrics.Scores, depth: int) -> None:
    scores = metrics.scores(drawn(truth).repeat(depth, axis=0), drawn(mask).repeat(depth, axis=0))

    assert list(vars(scores).values()) == pytest.approx(list(vars(expected).values()), nan_ok=True)


@given(pairs())
@settings(deadline=None)
def test_single_measures_are_those_of_the_scores(pair: tuple[Any, Any]) -> None:
    truth, mask = pair
    spacing = (3.0, 1.0, 0.5)

    singly = [
        *(f(truth, mask) for f in (dice, metrics.iou, metrics.sensitivity, metrics.ppv, metrics.volume_error)),
        *(f(truth, mask, spacing) for f in (metrics.hausdorff, metrics.hd95, metrics.assd, metrics.nsd)),
    ]

    assert singly == pytest.approx(list(vars(metrics.scores(truth, mask, spacing)).values()), nan_ok=True)


# Symmetries


@given(pairs(), SPACINGS)
@settings(max_examples=150, deadline=None)
def test_measures_that_must_be_symmetric_are(pair: tuple[Any, Any], spacing: Any) -> None:
    one, other = pair

    there, back = metrics.scores(one, other, spacing), metrics.scores(other, one, spacing)

    for name in ("dice", "iou", "hd_mm", "hd95_mm", "assd_mm", "nsd"):
        assert getattr(there, name) == pytest.approx(getattr(back, name))
    assert there.sensitivity == pytest.approx(back.ppv, nan_ok=True)


@given(pairs(), SPACINGS, st.sampled_from([(0,), (1,), (2,), (0, 2), (0, 1, 2)]))
@settings(max_examples=100, deadline=None)
def test_flips_change_nothing(pair: tuple[Any, Any], spacing: Any, axes: Any) -> None:
    truth, mask = pair

    before = metrics.scores(truth, mask, spacing)
    after = metrics.scores(np.flip(truth, axes), np.flip(mask, axes), spacing)

    assert list(vars(after).values()) == pytest.approx(list(vars(before).values()), nan_ok=True)


@given(pairs(), SPACINGS)
@settings(max_examples=100, deadline=None)
def test_axes_and_their_spacing_turn_together(pair: tuple[Any, Any], spacing: Any) -> None:
    truth, mask = (np.pad(m, ((0, 1), (0, 1), (0, 1))) for m in pair)
    assume(min(truth.shape) > 1)

    before = surfaces(truth, mask, spacing)
    after = surfaces(truth.transpose(2, 0, 1), mask.transpose(2, 0, 1), (spacing[2], spacing[0], spacing[1]))

    assert after.assd() == pytest.approx(before.assd())
    assert after.hausdorff(95) == pytest.approx(before.hausdorff(95))


@given(pairs(), SPACINGS, st.floats(0, 10), st.floats(0, 10))
@settings(max_examples=100, deadline=None)
def test_nsd_rises_with_the_tolerance(pair: tuple[Any, Any], spacing: Any, one: float, other: float) -> None:
    apart = surfaces(*pair, spacing)

    assert 0 <= apart.nsd(min(one, other)) <= apart.nsd(max(one, other)) <= 1


@given(pairs(), SPACINGS)
@settings(max_examples=100, deadline=None)
def test_percentiles_rise_and_the_last_is_the_largest_distance(pair: tuple[Any, Any], spacing: Any) -> None:
    apart = surfaces(*pair, spacing)

    values = [apart.hausdorff(percent) for percent in (1, 50, 95, 99, 100)]

    assert values == sorted(values)
    farthest = np.concatenate([apart.truth_distances, apart.mask_distances, [0.0]]).max()
    assert values[-1] == farthest


@given(pairs(), st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_distances_scale_with_the_spacing(pair: tuple[Any, Any], factor: float) -> None:
    once, scaled = surfaces(*pair, (1, 1, 1)), surfaces(*pair, (factor, factor, factor))

    assert scaled.assd() == pytest.approx(factor * once.assd())
    assert scaled.truth_areas.sum() == pytest.approx(
        once.truth_areas.sum() * factor ** (1 if pair[0].shape[0] == 1 else 2)
    )


def test_the_space_round_the_masks_changes_nothing() -> None:
    generator = np.random.default_rng(2)
    truth, mask = blob(generator, (6, 9, 11), 1.5), blob(generator, (6, 9, 11), 1.5)

    wide = [np.pad(m, ((4, 0), (3, 7), (1, 2))) for m in (truth, mask)]

    assert list(vars(metrics.scores(*wide, (3, 2, 1))).values()) == pytest.approx(
        list(vars(metrics.scores(truth, mask, (3, 2, 1))).values())
    )


# Surfaces by hand and against other implementations


def test_distances_of_a_drawing_use_the_spacing_of_their_axis() -> None:
    truth = np.zeros((4, 12, 12), bool)
    truth[1:3, 3:7, 3:7] = True

    moved = [metrics.hausdorff(truth, np.roll(truth, 1, axis), (3.0, 2.0, 0.5)) for axis in range(3)]

    assert moved == pytest.approx([3.0, 2.0, 0.5])


def test_the_area_of_a_cube_is_its_marching_cubes_area() -> None:
    cube = np.zeros((6, 6, 6), bool)
    cube[1:5, 1:5, 1:5] = True

    area = surfaces(cube, cube).truth_areas.sum()

    # 6 faces of 3x3 between voxel centres, 12 edges of length 3 cut at 45 degrees, 8 corners
    assert area == pytest.approx(6 * 9 + 12 * 3 * np.sqrt(0.5) + 8 * np.sqrt(3) / 8)


def theirs(truth: Any, mask: Any, spacing: Any, tolerance: float) -> list[float]:
    """Return HD, HD95, ASSD and NSD by DeepMind's surface-distance."""
    library = pytest.importorskip("surface_distance", reason="surface-distance is the independent implementation")
    if truth.shape[0] == 1:
        truth, mask, spacing = truth[0], mask[0], spacing[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it asks SciPy by an old name
        found = library.compute_surface_distances(truth, mask, spacing)
    pieces = [(found[f"distances_{a}_to_{b}"], found[f"surfel_areas_{a}"]) for a, b in (("gt", "pred"), ("pred", "gt"))]
    mean = sum(d @ a for d, a in pieces) / sum(a.sum() for _, a in pieces)
    return [
        library.compute_robust_hausdorff(found, 100),
        library.compute_robust_hausdorff(found, 95),
        float(mean),
        library.compute_surface_dice_at_tolerance(found, tolerance),
    ]


def ours(truth: Any, mask: Any, spacing: Any, tolerance: float) -> list[float]:
    apart = surfaces(truth, mask, spacing)
    return [apart.hausdorff(), apart.hausdorff(95), apart.assd(), apart.nsd(tolerance)]


@given(pairs(), SPACINGS, st.sampled_from([0.0, 0.7, 2.0]))
@settings(max_examples=300, deadline=None)
def test_random_masks_measure_as_surface_distance_measures_them(
    pair: tuple[Any, Any], spacing: Any, tolerance: float
) -> None:
    truth, mask = pair
    assume(truth.any() and mask.any())

    hd, hd95, mean, share = ours(truth, mask, spacing, tolerance)
    their_hd, their_hd95, their_mean, their_share = theirs(truth, mask, spacing, tolerance)

    assert mean == pytest.approx(their_mean)
    assert share == pytest.approx(their_share)
    assert hd >= their_hd - 1e-9  # theirs may stop one piece early where areas sum to just 1
    assert hd == surfaces(truth, mask, spacing).hausdorff(100)
    if hd95 != pytest.approx(their_hd95):  # a percentile exactly on a step: sums in another order
        apart = surfaces(truth, mask, spacing)
        close = {round(apart.hausdorff(p), 9) for p in (95 - 1e-9, 95 + 1e-9)}
        assert round(float(their_hd95), 9) in close


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.25, 0.5), (0.7, 0.7, 5.0)])
@pytest.mark.parametrize("shape", [(1, 60, 70), (17, 25, 31), (40, 12, 33)])
def test_blobs_measure_as_surface_distance_measures_them(shape: Any, spacing: Any) -> None:
    generator = np.random.default_rng(5)
    for _ in range(4):
        truth, mask = blob(generator, shape, 2.5), blob(generator, shape, 2.5)
        assert ours(truth, mask, spacing, 2.0) == pytest.approx(theirs(truth, mask, spacing, 2.0))


def test_every_corner_has_the_area_that_surface_distance_gives_it() -> None:
    tables = pytest.importorskip("surface_distance.lookup_tables", reason="the independent implementation")
    spacing = (3.0, 2.0, 0.5)
    expected = tables.create_table_neighbour_code_to_surface_area(spacing)

    for code in range(1, 256):
        corners = (code & tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL) > 0
        inside = np.pad(corners, 1)
        outer = surfaces(inside, inside, spacing).truth_areas.sum()
        assert outer == pytest.approx(sum(_corner_areas(inside, expected, tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL)))


def _corner_areas(inside: Any, table: Any, kernel: Any) -> list[float]:
    corners = product(*(range(n - 1) for n in inside.shape))
    return [float(table[(inside[z : z + 2, y : y + 2, x : x + 2] * kernel).sum()]) for z, y, x in corners]


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's call of its own function
def test_monai_counts_voxels_and_so_agrees_within_one() -> None:
    monai = pytest.importorskip("monai.metrics", reason="MONAI is a second independent implementation")
    torch = pytest.importorskip("torch", reason="MONAI measures torch tensors")
    generator = np.random.default_rng(3)
    truth, mask = blob(generator, (24, 28, 30), 3), blob(generator, (24, 28, 30), 3)
    tensors = [torch.from_numpy(m)[None, None].float() for m in (mask, truth)]

    hd = float(monai.compute_hausdorff_distance(*tensors, include_background=True))
    mean = float(monai.compute_average_surface_distance(*tensors, include_background=True, symmetric=True))

    assert metrics.hausdorff(truth, mask) == pytest.approx(hd, abs=np.sqrt(3))
    assert metrics.assd(truth, mask) == pytest.approx(mean, abs=1)
    assert dice(truth, mask) == pytest.approx(float(monai.compute_dice(*tensors)))


@given(pairs(), SPACINGS, st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_the_nearest_surface_is_the_same_by_search_by_transform_and_by_trying_all(
    pair: tuple[Any, Any], spacing: Any, budget: int
) -> None:
    surface, asking = pair
    assume(surface.any())
    steps = np.asarray(spacing)
    places = np.flatnonzero(asking)

    near = nearest.rows(surface)
    squares = np.full(len(places), -1.0)
    done = nearest.search(places, near, steps, budget, squares)
    everywhere = nearest.transform(near, steps)

    apart = (np.argwhere(asking)[:, None] - np.argwhere(surface)[None]) * steps
    expected = (apart**2).sum(axis=2).min(axis=1)
    assert everywhere.ravel()[places] == pytest.approx(expected)
    assert squares[:done] == pytest.approx(expected[:done])
    assert nearest.search(places, near, steps, 10_000, squares) == len(places)
    assert squares == pytest.approx(expected)


def test_far_surfaces_are_found_by_the_transform() -> None:
    truth = np.zeros((40, 40, 40), bool)
    mask = truth.copy()
    truth[1:8, 1:8, 1:8] = True
    mask[30:38, 30:38, 30:38] = True

    assert ours(truth, mask, (1.0, 2.0, 1.0), 2.0) == pytest.approx(theirs(truth, mask, (1.0, 2.0, 1.0), 2.0))


# Interactions


def test_the_area_of_a_challenge_run_leaves_the_box_out() -> None:
    values = [0.9, 0.1, 0.35, 0.4, 0.7, 0.8]  # a box and five clicks

    assert metrics.auc(values) == pytest.approx(integrate.cumulative_trapezoid(values[-5:], np.arange(5))[-1])
    assert metrics.auc([1.0] * 6) == 4.0
    assert metrics.auc([0.0, 1.0], clicks=2) == 0.5


def test_the_challenges_nsd_is_nothing_below_a_fifth_of_dice() -> None:
    truth = drawn("##########")
    near = drawn(".........#")

    assert metrics.nsd(truth, near) > 0
    assert metrics.challenge_nsd(truth, near) == 0
    assert metrics.challenge_nsd(truth, truth) == 1


def test_clicks_are_counted_from_one_and_failures_at_the_limit() -> None:
    curves = [[0.9], [0.2, 0.85, 0.9], [0.1, 0.2, 0.3, 0.9]]

    assert [metrics.clicks_to(curve, 0.85) for curve in curves] == [1, 2, 4]
    assert metrics.effort(curves, 0.85, limit=3) == metrics.Effort(noc=2.0, failures=1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_a_harder_target_never_takes_fewer_clicks(values: list[float], one: float, other: float) -> None:
    easy, hard = (metrics.effort([values], target, limit=8) for target in sorted((one, other)))

    assert easy.noc <= hard.noc
    assert easy.failures <= hard.failures


# What is refused


def test_shapes_must_agree() -> None:
    one, other = np.zeros((1, 2, 3), bool), np.zeros((1, 3, 2), bool)
    with pytest.raises(ShapeError, match=r"one shape; got \(1, 2, 3\) and \(1, 3, 2\)"):
        dice(one, other)
    with pytest.raises(ShapeError, match=r"\[z y x\] of one shape; got \(1, 2, 3\) and \(1, 3, 2\)"):
        surfaces(one, other)
    with pytest.raises(ShapeError, match=r"\[z y x\] of one shape; got \(2, 3\)"):
        surfaces(one[0], one[0])


@pytest.mark.parametrize("spacing", [(1, 1), (1, 0, 1), (1, -1, 1), (1, 1, NAN), (1, INF, 1)])
def test_spacing_is_three_lengths(spacing: Any) -> None:
    with pytest.raises(GeometryError, match="three lengths above 0 mm"):
        surfaces(drawn("#"), drawn("#"), spacing)


def test_percentiles_and_tolerances_have_limits() -> None:
    apart = surfaces(drawn("#"), drawn("#"))
    for percent in (0, 101, NAN):
        with pytest.raises(GeometryError, match="above 0 and up to 100"):
            apart.hausdorff(percent)
    for tolerance in (-1, NAN):
        with pytest.raises(GeometryError, match="0 mm or more"):
            apart.nsd(tolerance)


def test_curves_need_values() -> None:
    with pytest.raises(SettingsError, match="needs 1 to 2 values; got 3"):
        metrics.pad_to([1, 2, 3], 2)
    with pytest.raises(SettingsError, match="needs 1 to 2 values; got 0"):
        metrics.pad_to([], 2)
    with pytest.raises(SettingsError, match="got 3 for 5"):
        metrics.auc([1, 1, 1])
    with pytest.raises(SettingsError, match="at least one object"):
        metrics.effort([], 0.85, limit=20)


def test_the_share_of_interactions_that_lowered_a_value_counts_none_before_the_first() -> None:
    assert metrics.share_lowered([[0.9, 0.895, 0.88, 0.95], [0.2]]) == pytest.approx(
        1 / 3
    )  # .005 is no loss, .015 is one
    assert metrics.share_lowered([[0.9], []]) is None


def test_a_judgement_is_the_mean_error_and_the_correlation() -> None:
    found = metrics.quality_agreement([0.9, 0.5, 0.7], [0.6, 0.4, 0.5])

    assert found is not None
    assert found.error == pytest.approx(0.2)  # of .3, .1 and .2
    assert found.r == pytest.approx(1.0)
    assert found.answers == 3
    falling = metrics.quality_agreement([0.2, 0.4], [0.9, 0.1])
    assert falling is not None
    assert falling.r == pytest.approx(-1.0)


def test_what_does_not_vary_goes_together_with_nothing() -> None:
    assert metrics.quality_agreement([0.5, 0.5], [0.1, 0.9]) == metrics.QualityAgreement(pytest.approx(0.4), None, 2)
    assert metrics.quality_agreement([0.5], [0.5]) == metrics.QualityAgreement(0.0, None, 1)
    assert metrics.quality_agreement([], []) is None
    with pytest.raises(SettingsError, match="as many expected as true values; got 1 and 2"):
        metrics.quality_agreement([0.5], [0.5, 0.6])
