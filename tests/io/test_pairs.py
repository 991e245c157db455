"""Headers with their voxels beside them, NIfTI-1, NIfTI-2 and Analyze 7.5, as nibabel reads and writes them."""

from __future__ import annotations

import gzip
import shutil
import struct
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.spm2analyze import Spm2AnalyzeImage

from segmend import io
from segmend.core.geometry import turned
from segmend.core.image import Image
from segmend.errors import FileError
from segmend.io import analyze

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # z y x
AFFINE = np.array([[0, 0, -1.5, 9], [0, 2.5, 0, 8], [3.5, 0, 0, 7], [0, 0, 0, 1.0]])  # of (z, y, x)
KINDS = {"nifti-1": nibabel.Nifti1Pair, "nifti-2": nibabel.Nifti2Pair, "analyze": nibabel.AnalyzeImage}


def pair(folder: Path, kind: str, voxels: np.ndarray = VOXELS, *, big: bool = False) -> Path:
    """Save [z y x] numbers as scan.hdr and scan.img with nibabel, and return the header."""
    made = KINDS[kind]
    header = made.header_class(endianness=">" if big else "<")
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape[::-1])
    header.set_zooms((1.5, 2.5, 3.5))
    image = made(voxels.T, None if kind == "analyze" else turned(AFFINE), header)
    nibabel.save(image, folder / "scan.img")
    return folder / "scan.hdr"


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
def test_a_pair_is_read_by_either_of_its_names_as_nibabel_reads_it(kind: str, big: bool, tmp_path: Path) -> None:
    header = pair(tmp_path, kind, big=big)

    for path in (header, header.with_suffix(".img")):
        image = io.read(path)
        assert image.voxels.dtype == np.int16
        assert np.array_equal(image.voxels[0], VOXELS)
        assert np.allclose(image.affine, turned(nibabel.load(path).affine))
    assert np.allclose(np.abs(io.read(header).affine[:3, :3]), np.abs(AFFINE[:3, :3]))


def test_an_analyze_file_says_that_nobody_knows_its_left_side(tmp_path: Path) -> None:
    image = io.read(pair(tmp_path, "analyze"))

    assert len(image.notes) == 1
    assert "does not say which side is left" in image.notes[0]
    assert image.affine[:3, 2].tolist() == [-1.5, 0, 0]  # columns run to the left
    assert io.series(tmp_path)[0].description == "Analyze 7.5"


def test_scale_and_origin_that_spm_wrote_count(tmp_path: Path) -> None:
    header = Spm2AnalyzeImage.header_class()
    header.set_data_shape((4, 3, 2))
    header.set_zooms((1.5, 2.5, 3.5))
    header.set_data_dtype(np.int16)
    image = Spm2AnalyzeImage(VOXELS.T, None, header)
    image.header["origin"][:3] = (2, 3, 1)
    nibabel.save(image, tmp_path / "scan.img")
    data = bytearray((tmp_path / "scan.hdr").read_bytes())
    struct.pack_into("<f", data, 112, 0.5)
    struct.pack_into("<3h", data, 253, 2, 3, 1)
    (tmp_path / "scan.hdr").write_bytes(data)
    (tmp_path / "scan.mat").unlink(missing_ok=True)

    found = io.read(tmp_path / "scan.hdr")

    assert np.allclose(found.voxels[0], VOXELS * 0.5)
    assert np.allclose(found.affine, turned(nibabel.load(tmp_path / "scan.img").affine))
    assert np.allclose(found.affine @ (0, 2, 1, 1), (0, 0, 0, 1))  # (z, y, x) of the voxel that SPM calls (2, 3, 1)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_pair_may_be_packed_or_lie_in_a_folder_or_a_zip_file(kind: str, tmp_path: Path) -> None:
    header = pair(tmp_path, kind)
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in (header, header.with_suffix(".img")):
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    with zipfile.ZipFile(tmp_path / "pair.zip", "w") as archive:
        archive.write(header, "a/scan.HDR")
        archive.write(header.with_suffix(".img"), "a/scan.IMG")

    for path in (packed, packed / "scan.hdr.gz", packed / "scan.img.gz", tmp_path / "pair.zip"):
        assert np.array_equal(io.read(path).voxels[0], VOXELS)


def test_a_pair_is_read_as_a_mask(tmp_path: Path) -> None:
    mask = (VOXELS % 3).astype(np.uint8)
    header = pair(tmp_path, "nifti-1", mask)

    assert np.array_equal(io.read_mask(header, Image(VOXELS[None], AFFINE)), mask)
    assert np.array_equal(io.read_mask(header.with_suffix(".img"), Image(VOXELS[None], AFFINE)), mask)


def test_colours_of_analyze_are_channels(tmp_path: Path) -> None:
    header = pair(tmp_path, "analyze", VOXELS.astype(np.uint8))
    data = bytearray(header.read_bytes())
    struct.pack_into("<2h", data, 70, 128, 24)
    header.write_bytes(data)
    colours = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    header.with_suffix(".img").write_bytes(colours.tobytes())

    assert np.array_equal(io.read(header).voxels, np.moveaxis(colours, -1, 0))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_header_alone_and_voxels_alone_and_too_few_are_refused(kind: str, tmp_path: Path) -> None:
    header = pair(tmp_path, kind)
    (tmp_path / "alone").mkdir()
    shutil.copy(header, tmp_path / "alone" / "scan.hdr")
    shutil.copy(header, tmp_path / "alone" / "scan")
    shutil.copy(header.with_suffix(".img"), tmp_path / "alone" / "other.img")

    words = "is a header without its voxels; it needs the .img file of its name beside it"
    for name in ("scan.hdr", "scan"):
        with pytest.raises(FileError, match=f"{name} {words}"):
            io.read(tmp_path / "alone" / name)
    with pytest.raises(FileError, match=r"other\.img is no image that is known"):
        io.read(tmp_path / "alone" / "other.img")
    header.with_suffix(".img").write_bytes(bytes(40))
    with pytest.raises(FileError, match=r"scan\.img claims 1 x 1 x 2 x 3 x 4 voxels \(48 bytes\) but holds only 40"):
        io.read(header)


def test_a_link_is_no_other_half(tmp_path: Path) -> None:
    header = pair(tmp_path, "nifti-1")
    (tmp_path / "secret").write_bytes(header.with_suffix(".img").read_bytes())
    header.with_suffix(".img").unlink()
    header.with_suffix(".img").symlink_to(tmp_path / "secret")

    with pytest.raises(FileError, match="is a header without its voxels"):
        io.read(header)


@pytest.mark.parametrize(("at", "form", "value"), [(40, "h", 0), (40, "h", 8), (70, "h", 3), (72, "h", 17)])
def test_what_only_has_the_size_of_a_header_is_no_analyze(at: int, form: str, value: int, tmp_path: Path) -> None:
    data = bytearray(pair(tmp_path, "analyze").read_bytes())
    assert analyze.is_analyze(bytes(data))

    struct.pack_into(f"<{form}", data, at, value)

    assert not analyze.is_analyze(bytes(data))


def test_the_header_of_analyze_that_nibabel_ships_is_known() -> None:
    path = Path(nibabel.__file__).parent / "tests" / "data" / "analyze.hdr"

    with pytest.raises(FileError, match=r"analyze\.hdr is a header without its voxels"):
        io.read(path)
