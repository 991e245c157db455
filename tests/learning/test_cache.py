"""Cases are mapped from files that are made once, and made anew when what they were made of changes."""

import os

import numpy as np
import pytest

from segmend.errors import FileError
from segmend.learning import cache
from segmend.learning.subjects import subjects
from segmend.papers.editing import recipe as editing
from segmend.sampling.frame import whole_frame
from tests.datasets.test_folder import solid_labels, write_case, write_split


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "bodies"
    write_case(folder, "a", solid_labels(), suffix=".nii.gz")
    write_case(folder, "b", solid_labels(), suffix=".nii.gz")
    write_split(folder, train=["a", "b"])
    return folder


def test_kept_cases_are_what_was_read_and_are_read_once(data, tmp_path, monkeypatch):
    plain = subjects(data, "train")
    with cache.kept_in(tmp_path / "kept"):
        subjects(data, "train")
        monkeypatch.setattr("segmend.learning.subjects._read_subject", None)  # nothing is read again
        kept = subjects(data, "train")

    assert [one.name for one in kept] == ["a", "b"]
    for one, other in zip(kept, plain, strict=True):
        np.testing.assert_array_equal(one.image.voxels, other.image.voxels)
        np.testing.assert_array_equal(one.image.affine, other.image.affine)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert not cache.keeping()


def test_a_case_that_changed_is_read_again(data, tmp_path):
    with cache.kept_in(tmp_path / "kept"):
        before = subjects(data, "train")[0].kept
        path = next((data / "labels").glob("a*"))
        os.utime(path, ns=(1, 1))
        after = subjects(data, "train")

    assert after[0].kept != before
    assert len(list((tmp_path / "kept").glob("*-voxels.npy"))) == 3


def test_a_volume_on_the_grid_is_kept_for_every_process(data, tmp_path):
    settings = editing.Settings(grid=(8, 8, 8), width=2, levels=2)
    plain = editing.subjects(data, "train", settings)[0]
    frame = whole_frame(plain.image.shape, plain.image.spacing, settings.grid)
    with cache.kept_in(tmp_path / "kept"):
        kept = editing.subjects(data, "train", settings)[0]
        image, truth = editing.on_grid(kept, frame, settings)
        again, _ = editing.on_grid(kept, frame, settings)

    expected = editing.on_grid(plain, frame, settings)
    np.testing.assert_array_equal(image, expected[0])
    np.testing.assert_array_equal(truth, expected[1])
    assert isinstance(again, np.memmap) and not isinstance(expected[0], np.memmap)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="could not be made"), cache.kept_in(tmp_path / "file" / "kept"):
        pass
