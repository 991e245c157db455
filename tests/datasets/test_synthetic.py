"""Drawn scenes: usable objects, the same for the same seed."""

import numpy as np
import pytest
from scipy import ndimage

from segmend.datasets.synthetic import membrane, pasted, region_of, scene, shape, smooth_field, vessels


@pytest.mark.parametrize("seed", range(25))
def test_a_scene_has_a_finite_image_and_an_object(seed):
    image, truth = scene(np.random.default_rng(seed), 64)

    assert image.shape == (3, 64, 64)
    assert np.isfinite(image).all()
    assert 0 < truth.sum() < truth.size


def test_the_same_seed_draws_the_same_scene():
    one, two = (scene(np.random.default_rng(7), 48) for _ in range(2))

    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_a_smooth_field_is_smooth_and_of_unit_deviation():
    field = smooth_field(np.random.default_rng(0), 4, 96)

    assert field.std() == pytest.approx(1, abs=0.01)
    assert np.abs(np.diff(field, axis=0)).max() < 0.2


def test_shapes_are_never_specks():
    sizes = [shape(np.random.default_rng(i), 64).sum() for i in range(60)]

    assert min(sizes) >= 24


def test_a_region_of_a_bright_disc_is_the_disc():
    rows, columns = np.ogrid[:64, :64]
    disc = (rows - 32) ** 2 + (columns - 30) ** 2 < 15**2
    image = np.where(disc, 10.0, 0.0)[None].astype(np.float32)

    found = [region_of(np.random.default_rng(i), image) for i in range(40)]
    overlaps = [(r & disc).sum() / (r | disc).sum() for r in found if r is not None]

    assert max(overlaps) > 0.8


def test_a_pasted_object_changes_the_image_only_around_itself():
    image = np.random.default_rng(3).random((3, 64, 64)).astype(np.float32)

    after, truth = pasted(np.random.default_rng(4), image, 64)

    changed = np.abs(after - image).max(axis=0) > 1e-3
    assert (changed & truth).sum() > 0.7 * truth.sum()
    assert (changed & ~truth).sum() < truth.sum() + 400


def test_thin_things_are_thin_and_long():
    for draw in (vessels, membrane):
        masks = [draw(np.random.default_rng(seed), 128) for seed in range(10)]

        for mask in masks:
            assert 24 < mask.sum() < 0.6 * mask.size
        widths = [ndimage.distance_transform_edt(mask).max() for mask in masks]
        assert np.median(widths) < 5, draw


def test_a_given_object_is_the_one_in_the_scene():
    given = vessels(np.random.default_rng(0), 64)

    image, truth = scene(np.random.default_rng(1), 64, given)

    np.testing.assert_array_equal(truth, given)
    assert image.shape == (3, 64, 64)
