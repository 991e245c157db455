"""TIFF files whose pages are not all there, or make no one image: never a part of the slices without a word."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from segmend import io
from segmend.errors import FileError
from segmend.io.tiffpages import MAX_PAGES

STACK = (np.arange(4 * 3 * 5, dtype=np.uint16).reshape(4, 3, 5) + 1) * 900


def by_pillow(**options: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pages = [Pillow.fromarray(page) for page in STACK]
        pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:], **options)

    return write


def page_by_page(path: Path, pages: list[np.ndarray], **options: object) -> None:
    """Write pages that are a series of their own each."""
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, contiguous=False, photometric="minisblack", **options)


WRITERS: dict[str, Callable[[Path], object]] = {
    "pages": by_pillow(),
    "deflated-pages": by_pillow(compression="tiff_deflate"),
    "lzw-pages": by_pillow(compression="tiff_lzw"),
    "shaped": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack"),
    "big": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack", bigtiff=True),
    "strips": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack", rowsperstrip=2, compression="zlib"),
    "tiles": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack", tile=(16, 16)),
    "imagej": lambda path: tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "ZYX"}),
    "imagej-deflated": lambda path: tifffile.imwrite(
        path, STACK, imagej=True, metadata={"axes": "ZYX"}, compression="zlib"
    ),
    "ome": lambda path: tifffile.imwrite(path, STACK, ome=True, photometric="minisblack", metadata={"axes": "ZYX"}),
    "series": lambda path: page_by_page(path, list(STACK)),
    "series-deflated": lambda path: page_by_page(path, list(STACK), compression="zlib"),
    "bare-series": lambda path: page_by_page(path, list(STACK), metadata=None),
}


@pytest.mark.parametrize("kind", list(WRITERS))
def test_every_page_is_read_and_a_file_that_is_cut_is_refused(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / "whole.tif")
    data = (tmp_path / "whole.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "whole.tif") as file:
        starts = [page.offset for page in file.pages]
    cuts = {*starts, *(start + 2 for start in starts), *range(17, len(data), len(data) // 25), len(data) - 1}

    assert np.array_equal(io.read(tmp_path / "whole.tif").voxels[0], STACK)
    for cut in sorted(cuts):
        (tmp_path / "cut.tif").write_bytes(data[:cut])
        image = None
        with suppress(FileError):
            image = io.read(tmp_path / "cut.tif")
        assert image is None or np.array_equal(image.voxels[0], STACK), f"cut at byte {cut} of {len(data)}"


def test_a_cut_file_says_which_page_is_missing(tmp_path: Path) -> None:
    WRITERS["pages"](tmp_path / "scan.tif")
    data = (tmp_path / "scan.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "scan.tif") as file:
        third = file.pages[2].offset
    (tmp_path / "scan.tif").write_bytes(data[:third])

    with pytest.raises(FileError, match=rf"is cut short: its page 3 would be at byte {third}, and there are {third}"):
        io.read(tmp_path / "scan.tif")


def test_pages_that_make_no_one_image_are_refused(tmp_path: Path) -> None:
    page_by_page(tmp_path / "sizes.tif", [STACK[0], STACK[0, :2]])
    page_by_page(tmp_path / "kinds.tif", [STACK[0], STACK[0].astype(np.uint8)])

    for name in ("sizes.tif", "kinds.tif"):
        with pytest.raises(
            FileError, match=r"holds 2 pictures that make no one image \(3 x 5; . x 5\); save one alone"
        ):
            io.read(tmp_path / name)


def test_fewer_slices_than_imagej_says_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", STACK, photometric="minisblack", metadata=None,
                     description="ImageJ=1.54\nimages=9\nslices=9\n")  # fmt: skip

    with pytest.raises(FileError, match="says that it has 9 x 3 x 5 pixels; it holds 4 x 3 x 5 of them"):
        io.read(tmp_path / "scan.tif")


def test_fewer_pages_than_ome_says_are_refused(tmp_path: Path) -> None:
    WRITERS["ome"](tmp_path / "scan.tif")
    data = (tmp_path / "scan.tif").read_bytes()
    (tmp_path / "scan.tif").write_bytes(
        data.replace(b'SizeZ="4"', b'SizeZ="7"').replace(b'PlaneCount="4"', b'PlaneCount="7"')
    )

    with pytest.raises(FileError, match="says that it has 7 pages; it holds 4 of them|is cut short|holds only"):
        io.read(tmp_path / "scan.tif")


def test_a_small_picture_of_the_slice_is_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "slide.tif") as file:
        file.write(STACK[0], photometric="minisblack", metadata=None)
        file.write(STACK[0, ::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)

    assert np.array_equal(io.read(tmp_path / "slide.tif").voxels[0, 0], STACK[0])


def test_of_a_scanned_slide_the_slide_is_read_and_a_note_says_what_is_not(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "slide.svs") as file:
        slide = np.arange(32 * 48 * 3, dtype=np.uint8).reshape(32, 48, 3)
        file.write(slide, tile=(16, 16), metadata=None, description="Aperio Image Library v1.0|AppMag = 20")
        file.write(slide[::4, ::4], metadata=None, description="Aperio Image Library v1.0")
        file.write(slide[::8, ::8], metadata=None, description="Aperio Image Library v1.0\nlabel 4x6")

    image = io.read(tmp_path / "slide.svs")

    assert image.shape == (1, 32, 48) and image.channels == 3
    assert image.notes == ("The file holds 2 more pictures, such as a label, which are left out.",)


def test_a_height_that_the_strips_cannot_fill_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "scan.tif", np.zeros((512, 512), np.uint8), rowsperstrip=8, compression="zlib", metadata=None
    )
    with tifffile.TiffFile(tmp_path / "scan.tif") as file:
        place = file.pages[0].tags["ImageLength"].valueoffset
    data = bytearray((tmp_path / "scan.tif").read_bytes())
    data[place - 6 : place + 4] = struct.pack("<HII", 4, 1, 100_000)  # it kept the reader busy, strip by strip
    (tmp_path / "scan.tif").write_bytes(data)

    with pytest.raises(FileError, match=r"needs 12500 strips or tiles of pixels a page; it has 64"):
        io.read(tmp_path / "scan.tif")


def chain(count: int) -> bytes:
    """Return a TIFF of so many pages without a pixel."""
    pages = b"".join(struct.pack("<HI", 0, 8 + 6 * (number + 1)) for number in range(count - 1))
    return b"II*\0" + struct.pack("<I", 8) + pages + struct.pack("<HI", 0, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"II*\0\x08", "is cut short in its header"),
        (b"II*\0" + struct.pack("<IHI", 8, 0, 8), "is damaged: behind its page 1 comes one that came before"),
        (b"II*\0" + struct.pack("<IH", 8, 999), "its page 1 needs 11992 bytes for its tags; 0 came"),
        (chain(MAX_PAGES + 1), f"has more than {MAX_PAGES} pages; at most so many are read"),
        (
            b"II*\0" + struct.pack("<IHHHIII", 8, 1, 270, 2, 1000, 99, 0),
            "its page 1 needs 1000 bytes at byte 99 for its tag 270, and there are 26",
        ),
        (
            b"II*\0" + struct.pack("<IHHHIIHHIII", 8, 2, 273, 4, 1, 20, 279, 4, 1, 500, 0),
            "its page 1 has pixels up to byte 520, and there are 38",
        ),
    ],
    ids=["header", "circle", "tags", "pages", "value", "pixels"],
)
def test_damaged_chains_of_pages_are_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "scan.tif").write_bytes(data)

    with pytest.raises(FileError, match=words):
        io.read(tmp_path / "scan.tif")
