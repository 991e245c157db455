"""Drawn scenes: usable objects, the same for the same seed."""

import numpy as np
import pytest
from scipy import ndimage

from segmend.learning.drawn.synthetic import (
    add_layers,
    choose_target,
    layers,
    membrane,
    paste_object,
    scene,
    shape,
    similar_region,
    smooth_field,
    vessels,
)


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

    found = [similar_region(np.random.default_rng(i), image) for i in range(40)]
    overlaps = [(r & disc).sum() / (r | disc).sum() for r in found if r is not None]

    assert max(overlaps) > 0.8


def test_a_pasted_object_changes_the_image_only_around_itself():
    image = np.random.default_rng(3).random((3, 64, 64)).astype(np.float32)

    after, truth = paste_object(np.random.default_rng(4), image, 64)

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


@pytest.mark.parametrize("seed", range(10))
def test_layers_share_an_object_between_them_from_the_outside_in(seed):
    inside = shape(np.random.default_rng(seed), 64)
    ripple = smooth_field(np.random.default_rng(seed), 3, 64)

    some = layers(np.random.default_rng(seed), inside, ripple)

    assert len(some) in (1, 2, 3) and all(layer.any() for layer in some)
    np.testing.assert_array_equal(np.sum(some, axis=0), inside)


def test_a_wall_lies_outside_of_what_it_holds():
    inside = np.zeros((30, 30), bool)
    inside[4:26, 4:26] = True

    wall, *held = layers(np.random.default_rng(0), inside, np.zeros((30, 30), np.float32))

    assert wall[4].any() and not np.any(held, axis=0)[4].any() and held[-1][15, 15]


def test_a_wall_a_core_or_all_may_be_meant():
    wall, core = np.repeat([True, False], 40), np.repeat([False, True], 40)

    found = {tuple(choose_target(np.random.default_rng(seed), [wall, core])[[0, -1]]) for seed in range(40)}

    assert found == {(True, False), (False, True), (True, True)}
    speck = np.arange(80) == 0
    assert all(choose_target(np.random.default_rng(seed), [speck, ~speck]).sum() >= 79 for seed in range(20))


def test_only_what_a_wall_holds_has_other_intensities():
    image = np.random.default_rng(0).normal(0, 1, (3, 40, 40)).astype(np.float32)
    inside = np.zeros((40, 40), bool)
    inside[8:32, 8:32] = True
    flat = np.zeros((40, 40), np.float32)
    _, *held = layers(np.random.default_rng(3), inside, flat)

    out, truth = add_layers(np.random.default_rng(3), image, inside, flat)

    assert out.shape == image.shape and out.dtype == np.float32
    np.testing.assert_array_equal(out[:, :4], image[:, :4])
    assert truth.any() and not (truth & ~inside).any()
    assert abs(out[:, held[0]].mean() - image[:, held[0]].mean()) > 0.2
