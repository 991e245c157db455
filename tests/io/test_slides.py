"""Whole-slide images: regions of every level, however the tiles are packed, and what is no slide."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from segmend.errors import FileError, LimitError
from segmend.io import slides
from segmend.io.slides import SlideFile, is_slide, make_pyramid
from tests.slides import halved, picture, write_slide

PIXELS = picture()


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A slide with level 0 and level 2 alone."""
    path = write_slide(tmp_path_factory.mktemp("slide") / "a.tif", PIXELS, step=2, compression="zlib")
    slide = SlideFile(path)
    yield slide
    slide.close()


def test_every_level_is_read_where_the_file_has_it_or_not(slide):
    assert (slide.height, slide.width, slide.um, slide.levels) == (2100, 2601, (0.5, 0.5), 3)
    assert [slide.shape(level) for level in range(3)] == [(2100, 2601), (1050, 1301), (525, 651)]
    one = halved(PIXELS)

    np.testing.assert_array_equal(slide.read(0, 700, 100, 600, 900), PIXELS[700:1300, 100:1000])
    np.testing.assert_array_equal(slide.read(2, 0, 0, 525, 651), halved(one))
    middle = slide.read(1, 100, 200, 300, 400)  # averaged from level 0
    assert np.abs(middle.astype(int) - one[100:400, 200:600]).max() <= 2
    assert slide.read(1, 0, 0, 1050, 1301).shape == (1050, 1301, 3)


def test_what_lies_beside_the_slide_is_white(slide):
    found = slide.read(0, -5, 2590, 20, 30)

    assert (found[:5] == 255).all()
    assert (found[:, 11:] == 255).all()
    np.testing.assert_array_equal(found[5:, :11], PIXELS[:15, 2590:2601])


def test_a_region_is_a_picture_at_its_place(slide):
    image = slide.image(1, (100, 200), (150, 280))

    assert image.shape == (1, 50, 80)
    assert image.channels == 3
    np.testing.assert_allclose(image.spacing[1:], 0.001)
    first = slide.image(0, (200, 400), (201, 401))
    np.testing.assert_allclose(image.to_mm((0, -0.25, -0.25)), first.to_mm((0, 0, 0)), atol=1e-9)


@pytest.mark.parametrize(
    ("packing", "off"),
    [({}, 0), ({"compression": "jpeg"}, 2), ({"compression": "jpeg2000"}, 0), ({"compression": "lzw"}, 0)],
)
def test_tiles_of_all_packings_are_read(tmp_path, packing, off):
    pixels = PIXELS[:600, :2100]
    path = write_slide(tmp_path / "a.svs", pixels, inner=False, **packing)

    slide = SlideFile(path)

    assert is_slide(path)
    assert np.abs(slide.read(0, 200, 300, 400, 500).astype(int) - pixels[200:600, 300:800]).mean() <= off
    slide.close()


def as_jpeg(pixels):
    """Yield the tiles of a picture as JPEG files, whose colours are luma and chroma."""
    for y in range(0, len(pixels), 256):
        for x in range(0, pixels.shape[1], 256):
            tile = np.zeros((256, 256, 3), np.uint8)
            part = pixels[y : y + 256, x : x + 256]
            tile[: len(part), : part.shape[1]] = part
            file = io.BytesIO()
            Pillow.fromarray(tile).save(file, "JPEG", quality=95, subsampling=0)
            yield file.getvalue()


def test_jpeg_tiles_of_two_kinds_of_colours_look_the_same(tmp_path):
    pixels = PIXELS[:300, :2100]
    rgb = write_slide(tmp_path / "rgb.tif", pixels, compression="jpeg")
    with tifffile.TiffWriter(tmp_path / "ycbcr.tif") as writer:
        for level in (pixels, halved(pixels)):
            options = {"tile": (256, 256), "photometric": "ycbcr", "subsampling": (1, 1), "compression": "jpeg"}
            writer.write(as_jpeg(level), shape=level.shape, dtype=np.uint8, metadata=None, **options)

    for path in (rgb, tmp_path / "ycbcr.tif"):
        slide = SlideFile(path)
        assert np.abs(slide.read(0, 0, 0, 300, 300).astype(int) - pixels[:300, :300]).mean() < 2
        slide.close()


def test_deep_grey_is_shown_between_its_darkest_and_lightest(tmp_path):
    grey = (PIXELS[:, :, 0].astype(np.uint16) * 16)[:600, :2100]
    path = tmp_path / "deep.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(grey, tile=(256, 256), subifds=1, metadata=None)
        writer.write(grey[::2, ::2], tile=(256, 256), subfiletype=1, metadata=None)

    slide = SlideFile(path)
    shown = slide.read(0, 0, 0, 300, 300)

    assert (shown[..., 0] == shown[..., 2]).all()
    assert np.corrcoef(shown[..., 0].ravel(), grey[:300, :300].ravel())[0, 1] > 0.99
    assert shown.max() > 200
    assert slide.um is None
    assert slide.notes == ("The file does not say how large a pixel is.",)
    slide.close()


def test_the_size_of_a_pixel_is_what_the_maker_says(tmp_path):
    pixels = PIXELS[:300, :2100]
    aperio = write_slide(
        tmp_path / "a.svs",
        pixels,
        um=9,
        inner=False,
        description="Aperio Image Library v1\r\n2100x300 |AppMag = 20|MPP = 0.4990",
    )
    ome = tmp_path / "a.ome.tif"
    sizes = {
        "axes": "YXS",
        "PhysicalSizeX": 300,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.4,
        "PhysicalSizeYUnit": "µm",
    }
    with tifffile.TiffWriter(ome, ome=True) as writer:
        writer.write(pixels, tile=(256, 256), subifds=1, photometric="rgb", metadata=sizes)
        writer.write(halved(pixels), tile=(256, 256), subfiletype=1, photometric="rgb")

    for path, um in ((aperio, (0.499, 0.499)), (ome, (0.4, 0.3))):
        slide = SlideFile(path)
        assert slide.um == pytest.approx(um)
        slide.close()


def test_pictures_and_stacks_are_no_slides(tmp_path):
    small = write_slide(tmp_path / "small.tif", PIXELS[:600, :900])
    tifffile.imwrite(tmp_path / "photo.tif", PIXELS, photometric="rgb")
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((3, 300, 2100), np.uint8), photometric="minisblack")
    (tmp_path / "text.tif").write_text("II*\0 and nothing behind it")

    assert not any(is_slide(path) for path in (small, *tmp_path.glob("[pst][hte]*.tif")))
    with pytest.raises(FileError, match="3 pages of one size"):
        make_pyramid(tmp_path / "stack.tif", tmp_path / "made.tif")


def test_a_tile_that_is_damaged_or_claims_more_is_refused(tmp_path):
    path = write_slide(tmp_path / "a.tif", PIXELS[:300, :2100], compression="jpeg")
    slide = SlideFile(path)
    page = slide._planes[0].page
    with path.open("r+b") as file:
        file.seek(page.dataoffsets[0])
        file.write(bytes(page.databytecounts[0]))
    with pytest.raises(FileError, match="a tile that cannot be unpacked"):
        slide.read(0, 0, 0, 10, 10)
    slide.close()
    large = tmp_path / "large.jpg"
    Pillow.fromarray(PIXELS[:600, :600]).save(large)
    with pytest.raises(FileError, match="a tile of 600 x 600 pixels where 256 x 256"):
        slides._pillow("a.tif", large.read_bytes(), (256, 256, 3))


@pytest.mark.parametrize(
    "layout", [{"rowsperstrip": 7, "compression": "zlib"}, {}, {"tile": (320, 208), "compression": "zlib"}]
)
def test_a_pyramid_is_made_of_a_file_without_one(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(slides, "PICTURE_PIXELS", 1_000_000)
    path, made = tmp_path / "flat.tif", tmp_path / "made.tif"
    tifffile.imwrite(
        path, PIXELS, photometric="rgb", resolution=(20_000, 20_000), resolutionunit="CENTIMETER", **layout
    )

    assert is_slide(path)
    with pytest.raises(FileError, match="needs levels from coarse to fine"):
        SlideFile(path)
    make_pyramid(path, made)

    slide = SlideFile(made)
    assert (slide.um, slide.levels, len(slide._planes)) == ((0.5, 0.5), 3, 3)
    np.testing.assert_array_equal(slide.read(0, 0, 0, 2100, 2601), PIXELS)
    mean = np.asarray(Pillow.fromarray(PIXELS[:, :2600]).reduce(2))
    assert np.abs(slide.read(1, 0, 0, 1050, 1300).astype(int) - mean).max() <= 1
    slide.close()


def test_what_cannot_be_read_in_parts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "MOST_AT_ONCE", 1 << 20)
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", compression="zlib", rowsperstrip=2100)

    with pytest.raises(LimitError, match="save it in tiles or smaller strips"):
        make_pyramid(path, tmp_path / "made.tif")
    monkeypatch.setattr(slides, "MAX_BYTES", 1 << 20)
    with pytest.raises(LimitError, match="no pyramid; at most"):
        make_pyramid(path, tmp_path / "made.tif")


def test_a_large_slide_takes_little_memory(tmp_path):
    """12,000 x 10,000 pixels are 343 MB; looked at at all levels they may take a tenth of that."""
    pixels = np.repeat(np.repeat(picture(1250, 1500), 8, axis=0), 8, axis=1)[:512, :512]
    path = tmp_path / "large.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level, (rows, columns) in enumerate([(20, 24), (5, 6)]):
            packed = zlib.compress(pixels.tobytes(), 1)
            writer.write(
                (packed for _ in range(rows * columns)),
                shape=(rows * 512, columns * 512, 3),
                dtype=np.uint8,
                tile=(512, 512),
                photometric="rgb",
                compression="zlib",
                subfiletype=int(level > 0),
                metadata=None,
            )
    del pixels
    tracemalloc.start()

    slide = SlideFile(path)
    for level in range(slide.levels):
        height, width = slide.shape(level)
        for place in (1, 3):
            slide.read(level, min(height, place * height // 6), min(width, place * width // 6), 512, 512)
    overview = slide.image(slide.levels - 1, (0, 0), slide.shape(slide.levels - 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slide.close()

    assert overview.shape == (1, 640, 768)
    assert peak < 80 << 20
