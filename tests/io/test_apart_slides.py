"""Slides that a process of their own reads."""

import gc
import os
import signal

import numpy as np
import pytest
import tifffile

from segmend.errors import FileError, LimitError
from segmend.io.apart import Apart
from segmend.io.slides import SlideFile, whole
from tests.io.children import children
from tests.slides import picture, write_slide

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="asks Linux for the processes")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "a.tif", picture(), levels=3, compression="zlib")


def test_a_process_reads_the_same_pixels_and_ends_with_the_slide(path, tmp_path):
    here, before = SlideFile(path), children()
    slide = Apart(tmp_path).slide(path)

    assert (slide.name, slide.levels, slide.um, slide.notes) == (here.name, here.levels, here.um, here.notes)
    for region in ((0, 700, 100, 600, 900), (1, 100, 200, 300, 400), (2, -5, 600, 20, 90)):
        np.testing.assert_array_equal(slide.read(*region), here.read(*region))
    assert len(children()) == len(before) + 1

    slide.close()
    assert children() == before
    with pytest.raises(FileError, match=r"a\.tif was closed"):
        slide.read(0, 0, 0, 1, 1)
    here.close()


def test_a_process_that_ends_costs_one_region(path, tmp_path):
    before = children()
    slide = Apart(tmp_path).slide(path)
    [process] = set(children()) - set(before)
    os.kill(process, signal.SIGSEGV)

    with pytest.raises(FileError, match=r"a\.tif is damaged: what reads it ended"):
        slide.read(0, 0, 0, 10, 10)
    assert slide.read(0, 0, 0, 10, 10).shape == (10, 10, 3)

    slide.forget()  # whoever still reads goes on
    assert slide.read(0, 0, 0, 10, 10).shape == (10, 10, 3)
    del slide
    gc.collect()  # what was raised above holds it
    assert children() == before


def test_a_region_has_its_seconds(path, tmp_path):
    slide = Apart(tmp_path, region_seconds=0.01).slide(path)

    with pytest.raises(LimitError, match=r"a\.tif could not be read within 0\.01 seconds"):
        slide.read(0, 0, 0, 2100, 2601)
    slide.close()


def test_files_are_told_apart_and_taken_in(path, tmp_path):
    other = tmp_path / "small.tif"
    tifffile.imwrite(other, np.zeros((20, 30), np.uint8))
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0" + b"\xff" * 100)

    assert Apart(tmp_path).are_slides([other, path, broken]) == [False, True, False]
    image, kept = Apart(tmp_path).whole(path, tmp_path / "made.tif")
    expected, _ = whole(path, tmp_path / "made.tif")
    assert kept == path
    assert image.notes == expected.notes
    np.testing.assert_array_equal(image.voxels, expected.voxels)
    np.testing.assert_allclose(image.affine, expected.affine)
    with pytest.raises(FileError, match=r"broken\.tif"):
        Apart(tmp_path).whole(broken, tmp_path / "made.tif")
