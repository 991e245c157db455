"""NIfTI files read as the standard says, whoever wrote them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segmend import io
from segmend.core.geometry import turned
from segmend.core.image import Image, scale_affine
from segmend.errors import FileError, SettingsError
from segmend.io.nifti import read_nifti, write_nifti

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # z y x
AFFINE = np.array([[0, 0, -1.5, 9], [0, 2.5, 0, 8], [3.5, 0, 0, 7], [0, 0, 0, 1.0]])  # of (z, y, x)


def saved(path: Path, voxels: np.ndarray, **fields: object) -> Path:
    """Save [z y x ...] numbers with nibabel; `fields` are set on its header."""
    image = nibabel.Nifti1Image(np.moveaxis(voxels, (0, 1, 2), (2, 1, 0)), turned(AFFINE), dtype=voxels.dtype)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def patched(path: Path, offset: int, form: str, *values: float) -> Path:
    """Change values in the header of a saved file."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + form, data, offset, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.weird"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_numbers_keep_their_type(name: str, kind: str, tmp_path: Path) -> None:
    saved(tmp_path / "scan.nii", VOXELS.astype(kind))
    data = (tmp_path / "scan.nii").read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    image = io.read(tmp_path / name)

    assert image.voxels.dtype == np.dtype(kind)
    assert np.array_equal(image.voxels[0], VOXELS)
    assert np.allclose(image.affine, AFFINE)


def test_big_endian_and_nifti_2_read_the_same(tmp_path: Path) -> None:
    data = np.moveaxis(VOXELS, (0, 1, 2), (2, 1, 0))
    nibabel.save(nibabel.Nifti1Image(data, turned(AFFINE)).__class__(data, turned(AFFINE)), tmp_path / "one.nii")
    big = nibabel.Nifti1Image(data, turned(AFFINE), nibabel.Nifti1Header(endianness=">"))
    nibabel.save(big, tmp_path / "big.nii")
    nibabel.save(nibabel.Nifti2Image(data, turned(AFFINE)), tmp_path / "two.nii")

    for name in ("one.nii", "big.nii", "two.nii"):
        image = io.read(tmp_path / name)
        assert np.array_equal(image.voxels[0], VOXELS)
        assert np.allclose(image.affine, AFFINE)
        assert image.voxels.dtype.isnative


def test_a_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = patched(saved(tmp_path / "scan.nii", VOXELS), 112, "2f", 0.5, -3)

    image = io.read(path)

    assert image.voxels.dtype == np.float32
    assert np.allclose(image.voxels[0], VOXELS * 0.5 - 3)
    assert np.allclose(image.voxels[0], np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0))


def test_whole_slopes_keep_whole_numbers(tmp_path: Path) -> None:
    image = io.read(patched(saved(tmp_path / "scan.nii", VOXELS.astype(np.uint8)), 112, "2f", 1, -1024))

    assert image.voxels.dtype == np.int16
    assert np.array_equal(image.voxels[0], VOXELS - 1024)


def test_without_an_sform_the_qform_counts_and_without_both_the_spacing(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.nii", VOXELS)
    patched(path, 252, "2h", 1, 0)
    by_qform = io.read(path)
    patched(path, 252, "2h", 0, 0)
    by_spacing = io.read(path)

    assert np.allclose(by_qform.affine, AFFINE, atol=1e-5)
    assert np.allclose(by_spacing.affine, scale_affine((3.5, 2.5, 1.5)))
    assert by_spacing.notes == ("The file says no orientation: its axes are taken as right, anterior and superior.",)


def test_the_sform_wins_and_a_flat_one_is_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.nii", VOXELS)
    patched(path, 268, "3f", 1, 2, 3)  # another origin in the qform
    patched(path, 252, "2h", 1, 1)
    won = io.read(path)
    patched(path, 280, "12f", *[0.0] * 12)
    passed_over = io.read(path)

    assert np.allclose(won.affine, AFFINE)
    assert np.allclose(passed_over.affine[:3, 3], (1, 2, 3))


@pytest.mark.parametrize(("code", "unit"), [(1, 1e-3), (3, 1e3)], ids=["metres", "microns"])
@pytest.mark.parametrize("form", ["sform", "qform"])
@pytest.mark.parametrize("finer", [1, 1e-3], ids=["scan", "microscope"])
def test_a_place_in_another_unit_is_kept(code: int, unit: float, form: str, finer: float, tmp_path: Path) -> None:
    placed = AFFINE * [[finer], [finer], [finer], [1]]
    image = nibabel.Nifti1Image(
        np.moveaxis(VOXELS, (0, 1, 2), (2, 1, 0)), np.diag([unit, unit, unit, 1]) @ turned(placed)
    )
    image.header.set_sform(image.affine, code=int(form == "sform"))
    image.header.set_qform(image.affine, code=int(form == "qform"))
    nibabel.save(image, tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", 123, "B", code)

    image = io.read(tmp_path / "scan.nii")

    assert np.allclose(image.affine, placed, rtol=1e-5, atol=1e-5 * finer)
    assert image.notes == ()


@pytest.mark.parametrize(("code", "factor"), [(1, 1000), (2, 1), (3, 0.001), (0, 1)])
def test_units_are_turned_to_millimetres(code: int, factor: float, tmp_path: Path) -> None:
    image = io.read(patched(saved(tmp_path / "scan.nii", VOXELS), 123, "B", code))

    assert np.allclose(image.spacing, np.array((3.5, 2.5, 1.5)) * factor)


def test_a_fourth_axis_is_channels_or_time(tmp_path: Path) -> None:
    four = np.stack([VOXELS, VOXELS + 100, VOXELS + 200], axis=-1)
    path = saved(tmp_path / "scan.nii", four)

    channels, second = io.read(path), io.read(path, fourth="time", frame=1)

    assert channels.channels == 3
    assert np.array_equal(channels.voxels[2], VOXELS + 200)
    assert np.array_equal(second.voxels, VOXELS[None] + 100)
    with pytest.raises(FileError, match="has frames 0 to 2; got frame 3"):
        io.read(path, fourth="time", frame=3)
    with pytest.raises(SettingsError, match="A fourth axis is read as 'channels' or 'time'; got 'colour'"):
        io.read(path, fourth="colour")


def test_many_volumes_at_steps_of_a_time_are_times_and_a_few_are_kinds(tmp_path: Path) -> None:
    def notes(count: int, units: int = 10, step: float = 2.5) -> tuple[str, ...]:
        four = np.stack([VOXELS] * count, axis=-1)
        path = saved(tmp_path / "scan.nii", four, xyzt_units=units)
        return io.read(patched(path, 92, "f", step)).notes

    assert notes(5) == ("The fourth axis is time: 5 volumes, 2.5 s apart.",)
    assert notes(6, units=18, step=40) == ("The fourth axis is time: 6 volumes, 40 ms apart.",)
    assert notes(4) == notes(5, units=2) == notes(5, step=0) == ()


def test_a_fifth_axis_is_channels(tmp_path: Path) -> None:
    five = np.arange(2 * 3 * 4 * 2 * 3, dtype=np.float32).reshape(2, 3, 4, 2, 3)
    path = saved(tmp_path / "scan.nii", five)

    image = io.read(path, fourth="time", frame=1)

    assert image.channels == 3
    assert np.array_equal(image.voxels[2], five[..., 1, 2])
    with pytest.raises(FileError, match="has 2 frames of 3 channels"):
        io.read(path)


def test_rgb_is_three_channels_both_ways(tmp_path: Path) -> None:
    rgb = np.arange(3 * 2 * 3 * 4, dtype=np.uint8).reshape(3, 2, 3, 4)

    io.write_image(tmp_path / "rgb.nii", Image(rgb, AFFINE))

    stored = np.asarray(nibabel.load(tmp_path / "rgb.nii").dataobj)
    assert np.array_equal(stored["G"].transpose(2, 1, 0), rgb[1])
    assert np.array_equal(io.read(tmp_path / "rgb.nii").voxels, rgb)


def test_several_channels_are_a_fourth_axis_both_ways(tmp_path: Path) -> None:
    voxels = np.stack([VOXELS, -VOXELS]).astype(np.float32)

    io.write_image(tmp_path / "two.nii.gz", Image(voxels, AFFINE))

    assert nibabel.load(tmp_path / "two.nii.gz").shape == (4, 3, 2, 2)
    assert np.array_equal(io.read(tmp_path / "two.nii.gz").voxels, voxels)


def test_a_plane_is_one_slice(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOXELS[0].T, np.eye(4)), tmp_path / "plane.nii")

    assert np.array_equal(io.read(tmp_path / "plane.nii").voxels[0], VOXELS[:1])


def test_a_constant_image_is_legal(tmp_path: Path) -> None:
    assert io.read(saved(tmp_path / "scan.nii", np.full_like(VOXELS, 7))).voxels.max() == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_counted(bad: float, tmp_path: Path) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, :2] = bad

    with pytest.raises(FileError, match=r"scan\.nii has 2 voxels that are not finite numbers"):
        io.read(saved(tmp_path / "scan.nii", voxels))


@pytest.mark.parametrize(
    ("offset", "form", "values", "words"),
    [
        (344, "4s", (b"ni1\0",), "is a header without its voxels; it needs the .img file of its name beside it"),
        (70, "h", (32,), "its NIfTI datatype is 32"),
        (108, "f", (12.0,), "its voxels start at byte 12"),
        (108, "f", (float("nan"),), "its voxels start at byte nan"),
        (40, "8h", (9, 4, 3, 2, 1, 1, 1, 1), "needs 1 to 7 axes; its header says 9"),
        (40, "8h", (6, 4, 3, 2, 1, 1, 2, 1), "has more than 5 axes"),
        (40, "8h", (3, 4, 0, 2, 1, 1, 1, 1), "every axis needs at least one"),
        (40, "8h", (3, 32767, 32767, 32767, 1, 1, 1, 1), "claims .* voxels .* but holds only 48 bytes"),
        (40, "8h", (3, 4, 3, 3, 1, 1, 1, 1), "claims .* but holds only 48 bytes"),
    ],
)
def test_damaged_headers_say_what_is_wrong(
    offset: int, form: str, values: tuple[float, ...], words: str, tmp_path: Path
) -> None:
    path = patched(saved(tmp_path / "scan.nii", VOXELS), offset, form, *values)

    with pytest.raises(FileError, match=words):
        io.read(path)


def test_a_packed_file_that_claims_too_much_or_is_cut_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.nii", VOXELS)
    whole = path.read_bytes()
    patched(path, 40, "8h", 3, 32767, 32767, 2, 1, 1, 1, 1)
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(whole[:-10]))
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(whole)[:-20])

    with pytest.raises(FileError, match=r"huge\.nii\.gz claims"):
        io.read(tmp_path / "huge.nii.gz")
    with pytest.raises(FileError, match=r"short\.nii\.gz is cut short: 48 bytes of voxels are needed, 38 came"):
        io.read(tmp_path / "short.nii.gz")
    with pytest.raises(FileError, match=r"cut\.nii\.gz .*(cut short|damaged)"):
        io.read(tmp_path / "cut.nii.gz")


def test_several_rgb_volumes_and_other_files_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "scan.nii", np.zeros((2, 3, 4, 3), np.uint8))
    patched(path, 70, "h", 128)
    patched(path, 40, "8h", 4, 4, 3, 1, 2, 1, 1, 1)
    (tmp_path / "text.nii").write_text("hello")

    with pytest.raises(FileError, match="has 2 RGB volumes; one is needed"):
        io.read(path)
    with pytest.raises(FileError, match=r"text\.nii is not a NIfTI file"):
        read_nifti(tmp_path / "text.nii")
    with pytest.raises(FileError, match="NIfTI holds at most 32767 voxels along an axis; got 40000"):
        write_nifti(tmp_path / "long.nii", np.zeros((1, 1, 1, 40000), np.uint8), np.eye(4))


def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "scan.nii", VOXELS.astype(np.float64) * -1e300)

    with pytest.raises(
        FileError, match=r"scan\.nii needs numbers that float32 holds, up to 3\.4e\+38; it has 2\.3e\+301"
    ):
        io.read(tmp_path / "scan.nii")
