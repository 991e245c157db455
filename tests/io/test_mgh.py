"""FreeSurfer's files land where nibabel and FreeSurfer put them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segmend import io
from segmend.core.geometry import from_columns, turned
from segmend.core.image import Image
from segmend.errors import FileError
from segmend.io.mgh import read_mgh

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # z y x
AFFINE = np.array([[0.5, 0, -1.5, 9], [0, 2.5, 0.25, 8], [3.5, 0, 0, 7], [0, 0, 0, 1.0]])  # of (z, y, x), RAS mm


def saved(path: Path, voxels: np.ndarray = VOXELS) -> Path:
    """Save [z y x] or [z y x t] numbers with nibabel."""
    data = np.moveaxis(voxels, (0, 1, 2), (2, 1, 0))
    nibabel.save(nibabel.MGHImage(data, turned(AFFINE)), path)
    return path


def theirs(path: Path) -> nibabel.MGHImage:
    data = path.read_bytes()
    return nibabel.MGHImage.from_bytes(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)


def patched(path: Path, at: int, form: str, *values: float) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into(f">{form}", data, at, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["scan.mgh", "scan.mgz"])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4"])
def test_numbers_keep_their_type_and_their_place(name: str, kind: str, tmp_path: Path) -> None:
    image = io.read(saved(tmp_path / name, VOXELS.astype(kind)))

    assert image.voxels.dtype == np.dtype(kind)
    assert np.array_equal(image.voxels[0], VOXELS)
    assert np.allclose(image.affine, AFFINE, atol=1e-5)
    assert np.allclose(image.affine, turned(theirs(tmp_path / name).affine), atol=1e-5)
    assert image.notes == ()


def test_frames_are_channels_or_times(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.mgz", np.stack([VOXELS, VOXELS + 100], axis=-1))

    assert io.read(path).voxels.shape == (2, 2, 3, 4)
    assert np.array_equal(io.read(path, fourth="time", frame=1).voxels[0], VOXELS + 100)
    with pytest.raises(FileError, match=r"scan\.mgz has frames 0 to 1; got frame 2"):
        io.read(path, fourth="time", frame=2)


def test_the_file_that_nibabel_ships_lands_where_nibabel_puts_it() -> None:
    path = Path(nibabel.__file__).parent / "tests" / "data" / "test.mgz"

    image, other = io.read(path), theirs(path)

    assert np.allclose(image.affine, turned(other.affine), atol=1e-4)
    assert np.array_equal(image.voxels.squeeze(), np.asarray(other.dataobj).T.squeeze())


def test_without_an_orientation_slices_are_coronal_and_a_note_says_so(tmp_path: Path) -> None:
    path = patched(saved(tmp_path / "scan.mgh"), 28, "h", 0)

    image = io.read(path)

    columns_left, rows_down, slices_forward = (-1, 0, 0), (0, 0, -1), (0, 1, 0)
    expected = from_columns(slices_forward, rows_down, columns_left, (2, -1, 1.5))
    assert np.allclose(image.affine, expected)  # nibabel 5.4 has these directions transposed
    assert image.notes == ("The file says no orientation: coronal slices of 1 mm are taken, as FreeSurfer takes them.",)


def test_a_segmentation_of_freesurfer_is_a_mask(tmp_path: Path) -> None:
    labels = np.zeros(VOXELS.shape, np.int32)
    labels[0, 1, 1:3] = 17  # left hippocampus
    labels[1, 0, 0] = 1035
    path = saved(tmp_path / "aseg.mgz", labels)

    assert np.array_equal(io.read_mask(path, Image(VOXELS[None], AFFINE)), labels)


def test_unsigned_numbers_of_16_bits_are_read(tmp_path: Path) -> None:
    path = patched(saved(tmp_path / "scan.mgh", VOXELS), 20, "i", 10)

    assert io.read(path).voxels.dtype == np.uint16


@pytest.mark.parametrize(
    ("at", "form", "values", "words"),
    [
        (4, "i", (1000,), r"claims 1 x 2 x 3 x 1000 voxels \(12000 bytes\) but holds only"),
        (4, "3i", (60000, 60000, 60000), r"claims 1 x 60000 x 60000 x 60000 voxels"),
        (20, "i", (5,), "needs whole or real numbers; its MGH type is 5"),
        (42, "9f", (0,) * 9, "is damaged: its axes do not span a space"),
        (42, "f", (float("nan"),), "is damaged: its axes do not span a space"),
        (0, "i", (2,), "is no image that is known"),
        (28, "h", (7,), "is no image that is known"),
    ],
)
def test_damaged_headers_say_what_is_wrong(
    at: int, form: str, values: tuple[float, ...], words: str, tmp_path: Path
) -> None:
    path = patched(saved(tmp_path / "scan.mgh"), at, form, *values)

    with pytest.raises(FileError, match=f"scan.mgh {words}"):
        io.read(path)


def test_a_packed_file_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = patched(saved(tmp_path / "scan.mgh"), 4, "3i", 60000, 60000, 60000)
    path.write_bytes(gzip.compress(path.read_bytes()))

    with pytest.raises(FileError, match="claims 1 x 60000 x 60000 x 60000 voxels"):
        io.read(path)


def test_a_cut_file_and_another_file_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.mgz")
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[:300]))

    with pytest.raises(FileError, match=r"scan\.mgz is cut short: 48 bytes of voxels are needed, 16 came"):
        io.read(path)
    (tmp_path / "other").write_bytes(bytes(300))
    with pytest.raises(FileError, match="other is not an MGH file"):
        read_mgh(tmp_path / "other")
