"""The one door: what a file is, what it is called, and that nothing is left half-written."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from segmend import io
from segmend.core.atomic import write_atomically
from segmend.core.geometry import evened, onto
from segmend.core.image import Image
from segmend.core.session import Label
from segmend.errors import DiskFullError, FileError, GeometryError, LimitError, ShapeError
from segmend.io import files
from segmend.io.intensities import rescale
from segmend.io.series import SeriesInfo
from segmend.io.sizes import FLOOR, MAX_BYTES, Limits, check_claim, check_room, limited
from segmend.runtime.memory import free_memory
from tests.io.dicoms import save_all, slices

MASK = np.zeros((2, 3, 4), np.uint16)
MASK[1, 1, 1:3] = (3, 300)
IMAGE = Image(np.zeros((1, 2, 3, 4), np.int16))


@pytest.mark.parametrize("suffix", [s for s in io.MASK_FORMATS if s != ".png"])
def test_every_mask_format_comes_back_and_names_what_nobody_named(suffix: str, tmp_path: Path) -> None:
    io.write_mask(tmp_path / f"Mask{suffix.upper()}", MASK, IMAGE, [Label(3, "spleen", (9, 9, 9))])

    assert np.array_equal(io.read_mask(tmp_path / f"Mask{suffix.upper()}", IMAGE), MASK)
    assert [p.name for p in tmp_path.iterdir()] == [f"Mask{suffix.upper()}"]
    says = suffix in (".seg.nrrd", ".dcm", ".rtstruct.dcm")
    named = io.mask_names(tmp_path / f"Mask{suffix.upper()}")
    assert named == ({3: "spleen", 300: "label 300"} if says else {})


def test_unnamed_labels_are_called_by_their_number(tmp_path: Path) -> None:
    io.write_mask(tmp_path / "mask.seg.nrrd", MASK, IMAGE, [Label(3, "spleen", (9, 9, 9))])

    text = (tmp_path / "mask.seg.nrrd").read_bytes()
    assert b"Segment0_Name:=spleen" in text
    assert b"Segment1_Name:=label 300" in text


def test_endings_and_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"mask\.stl needs a name that ends in \.nii\.gz"):
        io.write_mask(tmp_path / "mask.stl", MASK, IMAGE, [])
    with pytest.raises(FileError, match=r"scan\.jpg needs a name that ends in"):
        io.write_image(tmp_path / "scan.jpg", IMAGE)
    with pytest.raises(ShapeError, match=r"A mask needs its image's shape \(2, 3, 4\); got \(1, 3, 4\)"):
        io.write_mask(tmp_path / "mask.nii", MASK[:1], IMAGE, [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "scan.nii is empty"),
        (b"hello, this is a letter", "scan.nii is no image that is known"),
        (b"\x1f\x8b\x08\x00 broken gzip", "scan.nii is no image that is known"),
        (bytes(5000), "scan.nii is no image that is known"),
        (b"PK\x03\x04", "scan.nii is not a sound zip file"),
    ],
)
def test_files_that_are_no_images_say_so(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "scan.nii").write_bytes(data)

    for ask in (io.read, io.series, lambda path: io.read_mask(path, IMAGE)):
        if ask is not io.read and data.startswith(b"PK"):
            continue
        with pytest.raises(FileError, match=words):
            ask(tmp_path / "scan.nii")


def test_a_missing_mask_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"There is no file gone\.nii"):
        io.read_mask(tmp_path / "gone.nii", IMAGE)


def test_a_mixed_zip_lists_every_image(tmp_path: Path) -> None:
    folder = save_all(slices(np.zeros((2, 3, 4), np.int16), series="1.2.3"), tmp_path / "ct")
    Pillow.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "photo.png")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in [*folder.iterdir(), tmp_path / "photo.png"]:
            archive.write(path, path.name)
        archive.writestr("notes.txt", "nothing")

    assert [(s.uid, s.description) for s in io.series(tmp_path / "all.zip")] == [
        ("1.2.3", "3 x 4, 2 slices"),
        ("photo.png", "PNG"),
    ]
    assert io.read(tmp_path / "all.zip", series="photo.png").shape == (1, 3, 4)


def test_a_long_listing_is_cut(tmp_path: Path) -> None:
    for k in range(23):
        Pillow.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / f"{k:02d}.png")

    with pytest.raises(FileError, match=r"holds 23 images; .*19\.png \(19\.png, PNG\); and 3 more"):
        io.read(tmp_path)


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    Pillow.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "secret.png")
    (tmp_path / "folder" / "link.png").symlink_to(tmp_path / "secret.png")

    with pytest.raises(FileError, match="folder holds no image among its 0 files"):
        io.read(tmp_path / "folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_in_a_folder_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii")  # whoever opens it waits until somebody writes
    Pillow.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "b.png")

    assert [info.name for info in io.series(tmp_path)] == ["b.png"]


def test_all_images_of_a_path_come_with_what_reads_them(tmp_path: Path) -> None:
    Pillow.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])

    (first, read), (second, fail) = io.images(tmp_path)

    assert (first.name, second.name) == ("a.png", "b.png")
    assert read().shape == (1, 3, 4)
    with pytest.raises(FileError, match="b.png is cut short"):
        fail()


@pytest.mark.parametrize("suffix", [s for s in io.MASK_FORMATS if s != ".png"])
def test_a_place_that_cannot_be_written_says_so(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"could not be written: No such file or directory"):
        io.write_mask(tmp_path / "gone" / f"mask{suffix}", MASK, IMAGE, [])


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mask.nii").write_text("old")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFullError, match=r"mask\.nii could not be written: No space left on device"):
        write_atomically(tmp_path / "mask.nii", fail)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("mask.nii", "old")]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.nii").mkdir()

    with pytest.raises(FileError, match=r"mask\.nii could not be written: Is a directory"):
        io.write_mask(tmp_path / "mask.nii", MASK, IMAGE, [])
    assert [p.name for p in tmp_path.iterdir()] == ["mask.nii"]


def test_more_than_fits_in_memory_is_refused() -> None:
    with pytest.raises(LimitError, match=f"at most {MAX_BYTES} are taken for one image"):
        check_claim("scan.nii", (2**20, 2**20, 2**20), 1, 2**62)


def test_more_than_is_free_is_refused() -> None:
    needed = free_memory() + 2**32

    with (
        limited(Limits(max_bytes=2 * needed)),
        pytest.raises(LimitError, match=rf"The scan needs {needed} bytes of memory; [0-9]+ are free\."),
    ):
        check_room("The scan needs", needed)


def zeros(folder: Path, count: int) -> Path:
    """Write a packed NIfTI of so many bytes of zeros, a thousandth of that in size."""
    io.write_image(folder / "zeros.nii.gz", Image(np.zeros((1, count // 2**20, 1024, 1024), np.uint8)))
    return folder / "zeros.nii.gz"


def test_limits_hold_for_what_is_read_inside_and_are_asked_before_memory_is_taken(tmp_path: Path) -> None:
    path = zeros(tmp_path, 2 * FLOOR)

    tracemalloc.start()
    with (
        limited(Limits(max_ratio=100)),
        pytest.raises(LimitError, match="is packed into .*; at most 100 times as many"),
    ):
        io.read(path)
    with limited(Limits(max_bytes=FLOOR)), pytest.raises(LimitError, match=f"at most {FLOOR} are taken for one image"):
        io.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10_000_000
    assert io.read(path).shape == (2 * FLOOR // 2**20, 1024, 1024)


def test_rescaling_takes_the_narrowest_type_that_holds_the_result() -> None:
    values = np.array([0, 60000], np.uint16)

    assert rescale(values, 1, 0) is values
    assert rescale(values, 1, -1024).dtype == np.int32
    assert rescale(values, 10, 0).dtype == np.uint32
    assert rescale(values, 1e9, 0).dtype == np.float32
    assert rescale(np.array([0, 2**31 - 1], np.int32), 0.5, 0).dtype == np.float64


def test_stacks_and_grids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="A stack needs one position a slice"):
        evened(np.zeros((3, 2, 2)), (0, 1), 3)
    with pytest.raises(GeometryError, match="their voxels do not coincide"):
        onto(MASK, np.diag([2.0, 1, 1, 1]), MASK.shape, np.eye(4))


def test_importing_the_room_loads_no_reader() -> None:
    heavy = ("pydicom", "highdicom", "tifffile", "PIL", "scipy", "nibabel")
    code = f"import sys, segmend.io; print([m for m in {heavy} if m in sys.modules])"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert out.strip() == "[]"


def test_what_a_damaged_file_says_of_itself_breaks_no_sentence():
    """Both were found by `make fuzz` with the seed 282."""
    assert str(SeriesInfo("1.2.82\n.0", "Abdo\x08men", "CT", "1 slice")) == "1.2.82 .0 (Abdo men, CT, 1 slice)"
    told = files._describe_imageless("SEG\x08\n" + "p" * 99, listing=False)
    assert told == "DICOM of modality SEG pppppppppppp without an image"


@given(
    kind=st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"]),
    slope=st.sampled_from([1, -1, 3, -7, 1000, 65536]),
    intercept=st.sampled_from([0, -1024, 1024, -32768, 65535, -3_000_000_000]),
    seed=st.integers(0, 99),
)
def test_whole_numbers_stay_exact_when_they_are_scaled(kind: str, slope: int, intercept: int, seed: int) -> None:
    ends = np.iinfo(kind)
    drawn = np.random.default_rng(seed).integers(ends.min, ends.max, (3, 4), endpoint=True)
    values = (drawn // (1 + 99 * (seed % 2))).astype(kind)  # sometimes few of the bits
    exact = [[int(value) * slope + intercept for value in row] for row in values]

    scaled = rescale(values, slope, intercept)

    assert np.array_equal(rescale(values.copy(), slope, intercept, spare=True), scaled)
    if scaled.dtype.kind != "f":
        assert scaled.tolist() == exact
    else:
        np.testing.assert_allclose(scaled, np.array(exact, float), rtol=1e-6)
