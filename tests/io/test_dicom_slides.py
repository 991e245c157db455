"""DICOM whole-slide images become one TIFF with levels, their tiles as they are."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from segmend.errors import FileError, LimitError
from segmend.io.dicomslides import may_be_whole_slide, slide_series, write_slide
from segmend.io.slides import SlideFile, has_pyramid, is_slide
from tests.slides import PLAIN, halved, picture, write_dicom_slide

PICTURE = picture(height=900, width=2300)


def taken(tmp_path, **options):
    """Return the slide that a series of files becomes, and the files."""
    paths = write_dicom_slide(tmp_path, PICTURE, **options)
    [series] = slide_series(sorted(paths))
    assert series.name == "Biopsy 9" and sorted(series.paths) == sorted(paths)
    target = tmp_path / "slide.tif"
    write_slide(series.paths, target)
    return SlideFile(target), paths


@pytest.mark.parametrize("options", [{}, {"syntax": JPEG2000Lossless}, {"sparse": True}, {"parts": 3}])
def test_every_level_has_its_own_pixels_bit_for_bit(tmp_path, options):
    slide, _ = taken(tmp_path, **options)
    try:
        assert (slide.height, slide.width) == PICTURE.shape[:2]
        assert slide.um == pytest.approx((0.5, 0.5))
        np.testing.assert_array_equal(slide.read(0, 0, 0, 900, 2300), PICTURE)
        np.testing.assert_array_equal(slide.read(1, 30, 700, 100, 200), halved(PICTURE)[30:130, 700:900])
        assert has_pyramid(tmp_path / "slide.tif") and is_slide(tmp_path / "slide.tif")
    finally:
        slide.close()


def test_the_coarsest_level_may_be_called_a_thumbnail(tmp_path):
    """So wsidicomizer writes it."""
    fine, coarse, _ = write_dicom_slide(tmp_path, PICTURE)
    data = pydicom.dcmread(coarse)
    data.ImageType = ["ORIGINAL", "PRIMARY", "THUMBNAIL", "NONE"]
    data.save_as(coarse)
    write_slide([fine, coarse], tmp_path / "slide.tif")
    assert has_pyramid(tmp_path / "slide.tif")

    data.Rows = 100  # of a picture in one piece, which is no level
    data.save_as(coarse)
    write_slide([fine, coarse], tmp_path / "other.tif")
    assert not has_pyramid(tmp_path / "other.tif")


def test_tiles_of_jpeg_are_copied(tmp_path):
    slide, paths = taken(tmp_path, syntax=JPEGBaseline8Bit)
    try:
        found = slide.read(0, 256, 512, 256, 256)
    finally:
        slide.close()

    data = pydicom.dcmread(paths[0])
    frames = list(generate_frames(data.PixelData, number_of_frames=int(data.NumberOfFrames)))
    packed = frames[9 + 2]  # nine tiles a row
    assert packed in (tmp_path / "slide.tif").read_bytes()
    np.testing.assert_array_equal(found, np.asarray(Pillow.open(io.BytesIO(packed)).convert("RGB")))


@pytest.mark.parametrize("syntax", [PLAIN, JPEGBaseline8Bit])
def test_what_was_not_scanned_is_white(tmp_path, syntax):
    slide, _ = taken(tmp_path, sparse=True, missing=(1,), syntax=syntax)
    try:
        assert (slide.read(0, 0, 256, 256, 256) == 255).all() and not (slide.read(0, 0, 0, 256, 256) == 255).all()
    finally:
        slide.close()


def test_a_series_without_coarse_levels_is_a_slide_too(tmp_path):
    paths = write_dicom_slide(tmp_path, PICTURE, levels=1)
    write_slide(paths, tmp_path / "slide.tif")
    assert not has_pyramid(tmp_path / "slide.tif")  # which is given one where slides are taken in


def test_other_files_are_none(tmp_path):
    (tmp_path / "note.txt").write_text("slide")
    assert not may_be_whole_slide(tmp_path / "note.txt") and slide_series([tmp_path / "note.txt"]) == []
    *_, label = write_dicom_slide(tmp_path, PICTURE, levels=1)
    assert slide_series([label]) == []
    with pytest.raises(FileError, match="no level of a slide in these files"):
        write_slide([label], tmp_path / "slide.tif")


@pytest.mark.parametrize(
    ("tag", "value", "error", "words"),
    [
        ("TotalPixelMatrixRows", 1 << 21, FileError, "at most 1048576 pixels a side"),
        ("Rows", 100, LimitError, "tiles of 100 x 256 pixels"),
        ("BitsAllocated", 16, FileError, "8 bits to be a slide"),
        ("NumberOfFrames", 3, FileError, "needs 36 tiles; it has 3"),
        ("NumberOfFrames", 0x7FFFFFFF, LimitError, "at most 4000000"),
    ],
)
def test_what_cannot_be_a_slide_is_refused_in_a_sentence(tmp_path, tag, value, error, words):
    first, *_ = write_dicom_slide(tmp_path, PICTURE, levels=1)
    data = pydicom.dcmread(first)
    setattr(data, tag, value)
    data.save_as(first)
    with pytest.raises(error, match=words):
        write_slide([first], tmp_path / "slide.tif")


@pytest.mark.parametrize("at", [0.1, 0.5, 0.95])
def test_a_series_that_is_cut_short_is_refused(tmp_path, at):
    first, *_ = write_dicom_slide(tmp_path, PICTURE, levels=1, syntax=JPEGBaseline8Bit)
    whole = first.read_bytes()
    first.write_bytes(whole[: int(at * len(whole))])
    with pytest.raises(FileError):
        write_slide([first], tmp_path / "slide.tif")
