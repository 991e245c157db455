"""The phantoms: the same every time, right where they say so, and hard enough to be worth a try."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend import io
from segmend.errors import SettingsError
from segmend.samples import KINDS, make, write_folder

SMALL = {"abdomen": (12, 40, 48), "head": (1, 64, 56), "skin": (1, 48, 64)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_the_same_for_the_same_seed(kind):
    first, again, other = (make(kind, seed=seed, shape=SMALL[kind]) for seed in (3, 3, 4))

    assert np.array_equal(first.image.voxels, again.image.voxels)
    assert np.array_equal(first.truth, again.truth)
    assert not np.array_equal(first.image.voxels, other.image.voxels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_sample_has_every_label_it_names(kind):
    sample = make(kind)

    assert sample.truth.shape == sample.image.shape
    assert set(np.unique(sample.truth)) == {0, *(label.value for label in sample.labels)}


def test_there_are_samples_in_two_and_three_dimensions_grey_and_in_colour():
    shapes = {kind: make(kind, shape=SMALL[kind]).image for kind in KINDS}

    assert not shapes["abdomen"].flat
    assert shapes["head"].flat
    assert (shapes["head"].channels, shapes["skin"].channels) == (1, 3)


def test_the_liver_of_the_phantom_lies_on_the_patients_right_side_and_is_as_bright_as_contrast_makes_it():
    sample = make("abdomen", shape=(24, 96, 96))
    liver = sample.truth == 1

    right, _, _ = sample.image.to_mm(np.argwhere(liver).mean(axis=0))

    assert right > 20  # RAS: the first coordinate grows to the right
    assert 90 < sample.image.voxels[0][liver].mean() < 140  # Hounsfield units


def test_the_tumour_cannot_be_had_by_a_threshold_alone():
    sample = make("head")
    tumour = sample.truth == 1
    values = sample.image.voxels[0]

    best = max(
        2 * (tumour & (values > level)).sum() / (tumour.sum() + (values > level).sum())
        for level in np.unique(values)[::20]
    )

    assert best < 0.6


def test_the_signal_is_noisy_and_its_brightness_drifts():
    sample = make("head", shape=(1, 160, 144))
    voxels = sample.image.voxels[0, 0].astype(float)
    air = voxels[:8, :8]

    assert 5 < air.std() < 40
    assert voxels[:, :72].mean() != pytest.approx(voxels[:, 72:].mean(), rel=0.01)


@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32 - 1))
def test_every_seed_gives_a_finite_image_with_something_to_find(kind, seed):
    sample = make(kind, seed=seed, shape=SMALL[kind])

    assert np.isfinite(sample.image.voxels).all()
    assert (sample.truth > 0).sum() >= 20


def test_an_unknown_kind_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match=r"no sample 'knee'; there are abdomen, head, skin\."):
        make("knee")


def test_a_folder_of_samples_is_laid_out_as_a_data_set(tmp_path):
    paths = write_folder(tmp_path, cases=3, kinds=["head", "abdomen"], shapes=SMALL)

    assert [path.relative_to(tmp_path).as_posix() for path in paths[::3]] == [
        "head/images/head_000.png",
        "abdomen/images/abdomen_000.nii.gz",
    ]
    assert json.loads((tmp_path / "head" / "split.json").read_text()) == {
        "train": ["head_000", "head_001"],
        "val": ["head_002"],
        "test": [],
    }


def test_a_written_sample_reads_back_with_its_mask(tmp_path):
    (path,) = write_folder(tmp_path, cases=1, kinds=["abdomen"], shapes=SMALL)
    sample = make("abdomen", shape=SMALL["abdomen"])

    image = io.read(path)
    truth = io.read_mask(tmp_path / "abdomen" / "labels" / path.name, image)

    assert sorted(image.shape) == sorted(sample.image.shape)
    assert np.array_equal(np.bincount(truth.ravel()), np.bincount(sample.truth.ravel()))
