"""Photographs: every depth and colour, with and without a physical size."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.errors import FileError, LimitError, ShapeError
from segmend.io.pixels import ADAM7

GREY = np.arange(3 * 5, dtype=np.uint8).reshape(3, 5) * 17
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
DEEP = GREY.astype(np.uint16) * 257 + 1
DEEP_RGB = RGB.astype(np.uint16) * 250 + 3
STACK = np.arange(4 * 3 * 5, dtype=np.uint16).reshape(4, 3, 5) * 900


def channels(values: np.ndarray) -> np.ndarray:
    """Return [c 1 y x] of [y x] or [y x c]."""
    return (values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0))[:, None]


@pytest.mark.parametrize("values", [GREY, RGB, DEEP, DEEP_RGB], ids=["grey8", "rgb8", "grey16", "rgb16"])
@pytest.mark.parametrize("name", ["photo.png", "photo.tif", "wrong.jpg"])
def test_every_depth_keeps_its_numbers_whatever_the_name(values: np.ndarray, name: str, tmp_path: Path) -> None:
    if name.endswith(".tif"):
        tifffile.imwrite(tmp_path / name, values)
    else:
        (tmp_path / name).write_bytes(imagecodecs.png_encode(values))

    image = io.read(tmp_path / name)

    assert image.voxels.dtype == values.dtype
    assert np.array_equal(image.voxels, channels(values))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([2, 3, 4]), st.integers(0, 2**32 - 1))
def test_deep_colours_survive_every_filter(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, samples: int, seed: int
) -> None:
    values = np.random.default_rng(seed).integers(0, 65536, (rows, columns, samples)).astype(np.uint16)
    path = tmp_path_factory.mktemp("png") / "deep.png"
    path.write_bytes(imagecodecs.png_encode(np.cumsum(values, axis=1).astype(np.uint16), level=9, filter=248))

    image = io.read(path)

    expected = np.cumsum(values, axis=1).astype(np.uint16)
    assert np.array_equal(image.voxels, channels(expected[..., 0] if samples == 2 else expected[..., :3]))


def test_palettes_transparency_and_single_bits(tmp_path: Path) -> None:
    coloured = Pillow.fromarray(RGB).quantize(4)
    coloured.save(tmp_path / "palette.png")
    Pillow.fromarray(GREY > 100).save(tmp_path / "bits.png")
    Pillow.fromarray(np.dstack([RGB, GREY])).save(tmp_path / "alpha.png")

    assert np.array_equal(io.read(tmp_path / "palette.png").voxels, channels(np.array(coloured.convert("RGB"))))
    assert np.array_equal(io.read(tmp_path / "bits.png").voxels[0, 0], GREY > 100)
    assert np.array_equal(io.read(tmp_path / "alpha.png").voxels, channels(RGB))


def test_a_photo_lies_where_simpleitk_puts_it(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "photo.png", dpi=(254, 508))

    image, other = io.read(tmp_path / "photo.png"), SimpleITK.ReadImage(str(tmp_path / "photo.png"))

    assert np.allclose(image.spacing, (1, 0.05, 0.1), rtol=1e-3)
    assert np.allclose(np.sign(other.TransformIndexToPhysicalPoint((1, 1))), (1, 1))
    assert np.allclose(np.sign(image.to_mm((0, 1, 1))), (-1, -1, 0))


def test_a_jpeg_is_read_with_its_size_unless_it_is_a_screens(tmp_path: Path) -> None:
    for name, dots in (("print.jpg", (254, 127)), ("screen.jpg", (72, 72))):
        Pillow.fromarray(RGB).save(tmp_path / name, quality=95, dpi=dots)
    Pillow.fromarray(GREY).save(tmp_path / "grey.jpg")

    assert np.allclose(io.read(tmp_path / "print.jpg").spacing, (1, 0.2, 0.1))
    assert np.allclose(io.read(tmp_path / "screen.jpg").spacing, (1, 1, 1))
    assert io.read(tmp_path / "screen.jpg").channels == 3
    assert io.read(tmp_path / "grey.jpg").channels == 1


def test_a_turned_photo_keeps_its_pixels_and_says_so(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(RGB).save(tmp_path / "phone.jpg", exif=exif)

    image = io.read(tmp_path / "phone.jpg")

    assert image.shape == (1, 3, 5)
    assert image.notes == ("The photo asks to be shown turned; its pixels are kept as they are stored.",)


def test_pages_are_slices_with_imagejs_spacing(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "stack.tif", STACK, imagej=True, resolution=(1 / 0.25, 1 / 0.5),
        metadata={"axes": "ZYX", "spacing": 3.5, "unit": "mm"},
    )  # fmt: skip
    tifffile.imwrite(tmp_path / "pages.tif", STACK, photometric="minisblack", resolution=(200, 100), resolutionunit=3)

    assert np.array_equal(io.read(tmp_path / "stack.tif").voxels[0], STACK)
    assert np.allclose(io.read(tmp_path / "stack.tif").spacing, (3.5, 0.5, 0.25))
    assert np.array_equal(io.read(tmp_path / "pages.tif").voxels[0], STACK)
    assert np.allclose(io.read(tmp_path / "pages.tif").spacing, (1, 0.1, 0.05))


def test_ome_axes_and_sizes(tmp_path: Path) -> None:
    five = np.arange(2 * 3 * 2 * 4 * 5, dtype=np.uint8).reshape(2, 3, 2, 4, 5)  # t c z y x
    tifffile.imwrite(
        tmp_path / "cells.ome.tif", five, ome=True, photometric="minisblack",
        metadata={"axes": "TCZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 2,
                  "PhysicalSizeYUnit": "mm", "PhysicalSizeZ": 7, "PhysicalSizeZUnit": "µm"},
    )  # fmt: skip

    image = io.read(tmp_path / "cells.ome.tif", fourth="time", frame=1)

    assert np.array_equal(image.voxels, five[1])
    assert np.allclose(image.spacing, (0.007, 2, 0.0005))
    with pytest.raises(FileError, match="has 2 frames of 3 channels"):
        io.read(tmp_path / "cells.ome.tif")


@pytest.mark.parametrize("packing", ["zlib", "packbits", "lzw"])
def test_packed_tiffs(packing: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "packed.tif", DEEP, compression=packing)

    assert np.array_equal(io.read(tmp_path / "packed.tif").voxels, channels(DEEP))


def test_a_tiff_palette_becomes_its_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "palette.tif", GREY, photometric="palette", colormap=colours)

    assert np.array_equal(
        io.read(tmp_path / "palette.tif").voxels, channels((colours >> 8).astype(np.uint8)[:, GREY].transpose(1, 2, 0))
    )


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_masks_come_back(top: int, suffix: str, tmp_path: Path) -> None:
    mask = (GREY[None].astype(np.uint16) * (top // 255)).copy()
    image = Image(RGB.transpose(2, 0, 1)[:, None].copy(), scale_affine((1, 0.5, 0.25)))

    io.write_mask(tmp_path / f"mask{suffix}", mask, image, [Label(17, "nucleus", (1, 2, 3))])

    assert np.array_equal(io.read_mask(tmp_path / f"mask{suffix}", image), mask)
    assert np.array_equal(np.array(Pillow.open(tmp_path / f"mask{suffix}")), mask[0])
    assert np.allclose(io.read(tmp_path / f"mask{suffix}").spacing, (1, 0.5, 0.25), rtol=1e-3)


def test_a_png_mask_shows_its_labels_in_their_colours(tmp_path: Path) -> None:
    mask = np.array([[[0, 1, 2], [200, 1, 0]]], np.uint16)
    image = Image(np.zeros((1, 1, 2, 3), np.uint8))

    io.write_mask(tmp_path / "mask.png", mask, image, [Label(1, "a", (230, 75, 60)), Label(200, "b", (1, 2, 3))])

    picture = Pillow.open(tmp_path / "mask.png")
    assert np.array_equal(np.array(picture), mask[0])  # the values stay the labels' numbers
    shown = np.array(picture.convert("RGB"))
    assert shown[0, :2].tolist() == [[0, 0, 0], [230, 75, 60]] and shown[1, 0].tolist() == [1, 2, 3]
    assert shown[0, 2].any()  # a label that nobody named is seen, too
    assert np.array_equal(io.read_mask(tmp_path / "mask.png", image), mask)


def test_a_tiff_holds_every_slice_and_a_png_only_one(tmp_path: Path) -> None:
    image = Image(STACK[None], scale_affine((3, 2, 1)))

    io.write_mask(tmp_path / "mask.tif", STACK, image, [])

    assert np.array_equal(io.read_mask(tmp_path / "mask.tif", image), STACK)
    assert np.allclose(io.read(tmp_path / "mask.tif").spacing, (3, 2, 1), rtol=1e-6)
    with pytest.raises(FileError, match=r"A PNG holds one slice and this has 4; choose \.nii\.gz"):
        io.write_mask(tmp_path / "mask.png", STACK, image, [])
    assert not (tmp_path / "mask.png").exists()


@pytest.mark.parametrize("values", [GREY, RGB, DEEP], ids=["grey8", "rgb8", "grey16"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_images_come_back(values: np.ndarray, suffix: str, tmp_path: Path) -> None:
    io.write_image(tmp_path / f"photo{suffix}", Image(channels(values).copy()))

    assert np.array_equal(io.read(tmp_path / f"photo{suffix}").voxels, channels(values))


def test_numbers_that_photos_cannot_hold_are_refused(tmp_path: Path) -> None:
    signed = Image(channels(GREY).astype(np.int16))
    two = Image(np.concatenate([channels(GREY)] * 2))

    with pytest.raises(FileError, match="A PNG holds 8 or 16 bits of grey or 8 of RGB; this has 1 x int16"):
        io.write_image(tmp_path / "photo.png", signed)
    with pytest.raises(FileError, match="A TIFF holds 8 or 16 whole bits or floats here; this has int16"):
        io.write_image(tmp_path / "photo.tif", signed)
    with pytest.raises(FileError, match="A TIFF holds one channel or 8 bits of RGB here; this has 2 x uint8"):
        io.write_image(tmp_path / "photo.tif", two)


def test_masks_of_another_shape_or_with_colours_are_refused(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "mask.png")
    Pillow.fromarray(RGB).save(tmp_path / "colour.png")

    with pytest.raises(ShapeError, match=r"mask\.png needs the image's shape \(1, 9, 9\); it has \(1, 3, 5\)"):
        io.read_mask(tmp_path / "mask.png", Image(np.zeros((1, 1, 9, 9))))
    with pytest.raises(FileError, match=r"colour\.png has 3 channels; a mask has one"):
        io.read_mask(tmp_path / "colour.png", Image(np.zeros((1, 1, 3, 5))))


def png(columns: int, rows: int, colour: int, body: bytes, interlaced: int = 0, bits: int = 16) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("colour", [0, 2, 4, 6], ids=["grey", "rgb", "grey-alpha", "rgb-alpha"])
@pytest.mark.parametrize("bits", [8, 16])
def test_interlaced_pictures_are_read_and_refused_when_a_pass_is_missing(
    colour: int, bits: int, tmp_path: Path
) -> None:
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    kind = ">u2" if bits == 16 else "u1"
    values = np.random.default_rng(0).integers(0, 2**bits, (9, 11, samples)).astype(kind)
    passes = [values[y::dy, x::dx] for y, x, dy, dx in ADAM7]
    lines = [b"\0" + line.tobytes() for each in passes for line in each]
    path = tmp_path / "photo.png"

    path.write_bytes(png(11, 9, colour, zlib.compress(b"".join(lines)), 1, bits))
    expected = values[..., 0] if samples <= 2 else values[..., :3]
    assert np.array_equal(io.read(path).voxels, channels(expected))
    path.write_bytes(png(11, 9, colour, zlib.compress(b"".join(lines[:-1])), 1, bits))
    with pytest.raises(FileError, match="is cut short: .* bytes of pixels are needed"):
        io.read(path)


def test_a_large_deep_picture_takes_no_minute(tmp_path: Path) -> None:
    values = np.cumsum(np.random.default_rng(0).integers(0, 999, (900, 1000, 3)), axis=1).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(values, level=1, filter=248))

    started = time.process_time()
    Pillow.open(tmp_path / "deep.png").load()
    once = time.process_time() - started
    image = io.read(tmp_path / "deep.png")
    taken = time.process_time() - started - once

    assert np.array_equal(image.voxels, channels(values))
    assert taken < 25 * once  # it was 75 when each byte was a step of Python, and is 3


def test_a_picture_is_refused_by_its_header_before_its_pixels_are_unpacked(tmp_path: Path) -> None:
    head = png(40_000, 40_000, 0, b"", bits=8)
    filling = struct.pack(">I", 1_600_000) + b"fill" + bytes(1_600_004)
    (tmp_path / "photo.png").write_bytes(head[:33] + filling + head[33:])

    tracemalloc.start()
    with pytest.raises(LimitError, match="has 40000 x 40000 pixels; at most 178956970 are read of one picture"):
        io.read(tmp_path / "photo.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(2, 2, 2, b"")[:20], "is cut short in its header"),
        (png(60000, 60000, 0, b"", bits=8), "claims 60000 x 60000 x 1 voxels"),
        (png(2, 2, 2, b"x", 1), "27 bytes of pixels are needed, 0 came"),
        (png(2, 2, 2, b"not packed"), "is damaged: Error -3"),
        (png(2, 2, 2, zlib.compress(bytes(20))), "26 bytes of pixels are needed, 20 came"),
        (png(2, 2, 2, zlib.compress(b"\x09" + bytes(25))), "could not be read"),
        (png(2, 2, 0, zlib.compress(bytes(3)), bits=8), "6 bytes of pixels are needed, 3 came"),
        (png(2, 2, 7, zlib.compress(bytes(50)), bits=8), "could not be read"),
        (b"\xff\xd8\xff\xe0 not really", "could not be read"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_damaged_photos_say_what_is_wrong(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(data)

    with pytest.raises(FileError, match=words):
        io.read(tmp_path / "photo.png")


def test_tiffs_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "axes.tif", np.zeros((2, 2, 3, 5), np.uint8), photometric="minisblack", metadata={"axes": "QRYX"}
    )
    tifffile.imwrite(tmp_path / "packed.tif", DEEP_RGB, compression="lzw")
    whole = (tmp_path / "packed.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(FileError, match="has the axes QRYX"):
        io.read(tmp_path / "axes.tif")
    with pytest.raises(FileError, match=r"cut\.tif"):
        io.read(tmp_path / "cut.tif")


WITHOUT = """
import sys
sys.modules["imagecodecs"] = None  # the tests have it, people who install Segmend do not
from segmend import io
for path in sys.argv[1:]:
    try:
        image = io.read(path)
        print(image.voxels.dtype, image.voxels.sum())
    except io.files.FileError as refused:
        print(refused)
"""


def test_lzw_is_read_without_imagecodecs_and_never_cut_to_fewer_bits(tmp_path: Path) -> None:
    for name, values in (("grey", DEEP), ("stack", STACK), ("rgb", RGB), ("deep", DEEP_RGB)):
        kind = "rgb" if values.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(tmp_path / f"{name}.tif", values, compression="lzw", photometric=kind)
    paths = [str(tmp_path / f"{name}.tif") for name in ("grey", "stack", "rgb", "deep")]

    out = subprocess.run([sys.executable, "-c", WITHOUT, *paths], capture_output=True, text=True, check=True).stdout

    assert out.splitlines() == [
        f"uint16 {DEEP.sum()}",
        f"uint16 {STACK.sum()}",
        f"uint8 {RGB.sum()}",
        "deep.tif is packed in a way that is not read; save it with deflate or unpacked.",
    ]


def test_a_refusal_does_not_say_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xd9 not really")

    with pytest.raises(FileError, match=r"^photo\.jpg could not be read: it is damaged\.$"):
        io.read(tmp_path / "photo.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_bitmaps_of_windows_are_read(tmp_path: Path, mode: str) -> None:
    picture = Pillow.fromarray(RGB).convert(mode)
    picture.save(tmp_path / "photo", "BMP", dpi=(127, 254))

    image = io.read(tmp_path / "photo")

    expected = np.array(picture.convert("RGB")) if mode == "P" else np.array(picture)
    assert np.array_equal(image.voxels, channels(expected))
    assert image.spacing.tolist() == pytest.approx([1, 0.1, 0.2])


def test_a_bitmap_with_a_screens_resolution_says_no_size(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "photo.bmp", dpi=(96, 96))

    assert io.read(tmp_path / "photo.bmp").spacing.tolist() == [1, 1, 1]


def test_a_bitmap_that_is_cut_short_or_claims_too_much_is_refused(tmp_path: Path) -> None:
    Pillow.fromarray(RGB).save(tmp_path / "photo.bmp")
    data = (tmp_path / "photo.bmp").read_bytes()

    (tmp_path / "short.bmp").write_bytes(data[:-7])
    with pytest.raises(FileError, match=r"short.bmp (could not be read|is damaged)"):
        io.read(tmp_path / "short.bmp")
    (tmp_path / "vast.bmp").write_bytes(data[:18] + struct.pack("<ii", 2**30, 2**30) + data[26:])
    with pytest.raises(FileError, match="vast.bmp"):
        io.read(tmp_path / "vast.bmp")


def test_a_mask_may_be_a_bitmap(tmp_path: Path) -> None:
    Pillow.fromarray((GREY > 100).astype(np.uint8)).save(tmp_path / "mask.bmp")

    mask = io.read_mask(tmp_path / "mask.bmp", Image(np.zeros((1, 1, *GREY.shape), np.uint8)))

    assert np.array_equal(mask[0], GREY > 100)
