"""Slides without what names somebody: nothing of it is left, and the tiles are the same bit for bit."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from segmend.errors import FileError
from segmend.io.plainslides import PLAIN, bare_jpeg, bare_jpeg_2000, copy_levels, whole_plain
from segmend.io.slides import MADE, SlideFile
from tests.slides import halved, picture, write_slide

JANE = b"Jane Doe"
SVS = "Aperio Image Library\r\n1040x1100 |AppMag = 20|MPP = 0.4990|Patient = Jane Doe|Date = 01/02/24"
XMP = (700, 7, len(JANE), JANE, False)
ARTIST = (315, 2, 9, "Jane Doe", False)


def tiles_in(path):
    """Return the packed tiles of each tiled page."""
    with tifffile.TiffFile(path) as file, path.open("rb") as plain:
        found = []
        for page in file.pages:
            pieces = []
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                plain.seek(at)
                pieces.append(plain.read(size))
            found.append((page.is_tiled, pieces))
    return [pieces for tiled, pieces in found if tiled]


def packed(tile, kind):
    """Return a tile as JPEG or JPEG 2000 with a comment that names somebody."""
    file = io.BytesIO()
    options = {"quality": 90, "subsampling": 0, "comment": JANE} if kind == "JPEG" else {"comment": JANE}
    Pillow.fromarray(tile).save(file, kind, **options)
    data = file.getvalue()
    if kind == "JPEG":  # and as EXIF may
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(JANE)) + JANE + data[2:]
    return data


def write_scan(path, pixels, kind):
    """Write what a scanner writes: levels packed as JPEG, descriptions, and pictures of the label and of the glass."""
    compression = {"JPEG": "jpeg", "JPEG2000": "jpeg2000"}[kind]
    about = {"software": "Jane Doe 1.0", "datetime": "2024:01:02 03:04:05", "extratags": [XMP, ARTIST]}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number in range(2):
            height, width = pixels.shape[:2]
            whole = np.pad(pixels, ((0, -height % 256), (0, -width % 256), (0, 0)))
            places = [(y, x) for y in range(0, height, 256) for x in range(0, width, 256)]
            writer.write(
                (packed(np.ascontiguousarray(whole[y : y + 256, x : x + 256]), kind) for y, x in places),
                shape=pixels.shape, dtype=np.uint8, tile=(256, 256), photometric="rgb", compression=compression,
                description=SVS, metadata=None, subfiletype=1 if number else 0, **about,
            )  # fmt: skip
            pixels = halved(pixels)
        for name in ("label", "macro"):
            writer.write(
                np.full((60, 50, 3), 9, np.uint8), photometric="rgb", description=f"Aperio Jane Doe\r\n{name} 50x60",
                metadata=None, subfiletype=1,
            )  # fmt: skip
    return path


@pytest.mark.parametrize(("kind", "bare"), [("JPEG", bare_jpeg), ("JPEG2000", bare_jpeg_2000)])
def test_a_scan_keeps_its_pixels_and_nothing_that_names_somebody(tmp_path, kind, bare):
    scan = write_scan(tmp_path / "doe.svs", picture(1040, 1100), kind)
    image, kept = whole_plain(scan, tmp_path / "plain.tif")

    written = kept.read_bytes()
    assert JANE in scan.read_bytes()
    assert not [word for word in (b"Jane", b"Aperio", b"2024", b"label") if word in written]
    assert tiles_in(kept) == [[bare(tile) for tile in tiles] for tiles in tiles_in(scan)]
    before, after = SlideFile(scan), SlideFile(kept)
    for level in range(before.levels):
        size = before.shape(level)
        assert np.array_equal(before.read(level, 0, 0, *size), after.read(level, 0, 0, *size))
    assert after.um == pytest.approx((0.499, 0.499), rel=1e-4)
    assert image.notes == (PLAIN,)
    with tifffile.TiffFile(kept) as file:
        assert len(file.pages) == 2
    before.close()
    after.close()


@pytest.mark.parametrize("packing", [{"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {}])
def test_other_packing_is_copied_in_either_byte_order(tmp_path, packing):
    pixels = picture(520, 600).astype(np.uint16) * 200
    options = {"tile": (256, 256), "photometric": "rgb", "metadata": None, "description": "Jane Doe", **packing}
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True, byteorder=">") as writer:
        writer.write(pixels, subifds=1, **options)
        writer.write(pixels[::2, ::2], subfiletype=1, **options)
    copy_levels(tmp_path / "a.tif", tmp_path / "b.tif")

    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert np.array_equal(file.pages[0].asarray(), pixels)
        assert np.array_equal(file.pages[1].asarray(), pixels[::2, ::2])
        assert file.byteorder == ">"
        assert {tag.code for tag in file.pages[0].tags} <= {
            254, 256, 257, 258, 259, 262, 277, 282, 283, 284, 296, 317, 322, 323, 324, 325, 339,
        }  # fmt: skip
    assert b"Jane" not in (tmp_path / "b.tif").read_bytes()


def test_a_slide_that_gets_a_pyramid_is_of_its_pixels_alone(tmp_path):
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, picture(1040, 1100), photometric="rgb", description="Jane Doe", extratags=[ARTIST])
    image, kept = whole_plain(path, tmp_path / "plain.tif")

    assert b"Jane" not in kept.read_bytes()
    assert image.notes[-2:] == (MADE, PLAIN)


def test_what_cannot_be_gone_through_is_refused_in_a_sentence(tmp_path):
    slide = write_slide(tmp_path / "a.tif", picture(1040, 1100), inner=False, compression="zlib")
    with tifffile.TiffFile(slide, mode="r+") as file:
        for page in file.pages:
            page.tags[259].overwrite(50001)
    with pytest.raises(FileError, match=r"packs its tiles in a way \(50001\) in which nobody looks for texts"):
        copy_levels(slide, tmp_path / "b.tif")

    scan = write_scan(tmp_path / "b.svs", picture(1040, 1100), "JPEG")
    damaged = bytearray(scan.read_bytes())
    with tifffile.TiffFile(scan) as file:
        damaged[file.pages[0].dataoffsets[3]] = 0
    scan.write_bytes(damaged)
    with pytest.raises(FileError, match=r"has a tile that cannot be gone through \(no JPEG\)"):
        copy_levels(scan, tmp_path / "c.tif")

    options = {"tile": (256, 256), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "d.tif") as writer:
        writer.write(picture(1040, 1100), **options)
        writer.write(halved(picture(1040, 1100)), description="Macro of Jane Doe", subfiletype=1, **options)
    with pytest.raises(FileError, match="has a picture of its label among its levels"):
        copy_levels(tmp_path / "d.tif", tmp_path / "e.tif")


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\xff\xd8\xff\xd9 behind", None), (b"\xff\xd8", "without an end"), (b"\xff\xd8\xff\xfe\x00\x50", "cut short")],
)
def test_damaged_jpeg_is_told(data, why):
    if why is None:
        assert bare_jpeg(data) == b"\xff\xd8\xff\xd9"
    else:
        with pytest.raises(ValueError, match=why):
            bare_jpeg(data)
