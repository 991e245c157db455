"""What networks in the plane learn from: drawn by number, from every set, in the plane of the slices."""

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.errors import SettingsError
from segmend.learning.slices import CasePool, augment_crop, label_areas, label_values, random_crop
from segmend.learning.subjects import Subject


def subject(*, spacing=(5.0, 1.0, 1.0), group="squares", low=2, channels=1):
    labels = np.zeros((4, 20, 30), np.uint16)
    labels[low, 5:15, 8:20] = 1
    labels[low, 2:4, 2:8] = 2
    voxels = np.repeat((labels * 50.0)[None], channels, axis=0).astype(np.float32)
    return Subject(Image(voxels, scale_affine(spacing)), labels, False, group, "case")


def test_a_whole_look_sees_the_plane_and_says_what_is_beyond_it():
    found = random_crop(np.random.default_rng(0), subject(), 30, whole=1.0, values=(1,))

    assert found.truth.sum() == 120 and found.valid.sum() == 20 * 30
    assert found.picture.shape == (1, 30, 30) and found.picture[0][found.truth].min() == 50


def test_slices_lie_across_the_thickest_axis():
    turned = subject()
    labels = np.ascontiguousarray(turned.labels.transpose(1, 2, 0))
    image = Image(np.ascontiguousarray(turned.image.voxels.transpose(0, 2, 3, 1)), scale_affine((1, 1, 5)))

    found = random_crop(np.random.default_rng(0), Subject(image, labels, False, "turned"), 30, whole=1.0, values=(1,))

    assert found.truth.sum() == 120


def test_a_near_look_holds_the_whole_object():
    for seed in range(20):
        found = random_crop(np.random.default_rng(seed), subject(), 64, whole=0.0, values=(1,))

        ys, xs = np.nonzero(found.truth)
        assert ys.size and 0 < ys.min() and ys.max() < 63 and 0 < xs.min() and xs.max() < 63


def test_all_objects_can_be_one():
    found = random_crop(np.random.default_rng(0), subject(), 30, whole=1.0, merged=1.0)

    assert found.truth.sum() == 120 + 12


def test_colours_are_kept_and_other_channels_left_out():
    assert random_crop(np.random.default_rng(0), subject(channels=4), 30).picture.shape[0] == 3
    assert random_crop(np.random.default_rng(0), subject(channels=2), 30).picture.shape[0] == 1


def test_augmented_slices_keep_their_object_and_their_size():
    rng = np.random.default_rng(1)
    for _ in range(20):
        found = augment_crop(rng, random_crop(rng, subject(), 40))
        assert found.truth.any() and found.truth.shape == found.valid.shape == (40, 40)
        assert np.isfinite(found.picture).all()


def test_every_set_has_its_turn():
    pool = CasePool([subject(group="small"), *[subject(group="large")] * 9])

    drawn = [pool.draw(np.random.default_rng(i)).group for i in range(400)]

    assert 0.15 < drawn.count("small") / 400 < 0.35  # 1 of 1 + 3


def test_cases_without_an_object_are_never_drawn():
    empty = Subject(Image(np.zeros((1, 1, 3, 3))), np.zeros((1, 3, 3), np.uint16), False, "empty")

    assert {CasePool([empty, subject()]).draw(np.random.default_rng(i)).group for i in range(20)} == {"squares"}
    with pytest.raises(SettingsError, match="needs at least one case with an object"):
        CasePool([empty]).draw(np.random.default_rng(0))


def test_areas_are_counted_in_every_slice_across_the_thickest_axis():
    found = subject(low=1)

    assert label_values(found) == [1, 2]
    assert label_areas(found)[:, 1].tolist() == [0, 120, 0, 0] and label_areas(found)[:, 2].tolist() == [0, 12, 0, 0]
