"""NRRD files and Slicer's segmentations in them."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.errors import FileError, GeometryError
from segmend.io.nrrd import read_header, read_nrrd

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # z y x
HEAD = "type: short\ndimension: 3\nsizes: 4 3 2\nencoding: raw\nendian: little\n"
PLACE = "space: left-posterior-superior\nspace directions: (1.5,0,0) (0,2.5,0) (0,0,3.5)\nspace origin: (1,2,3)\n"


def file(tmp_path: Path, head: str = HEAD + PLACE, body: bytes = VOXELS.tobytes(), name: str = "scan.nrrd") -> Path:
    path = tmp_path / name
    path.write_bytes(f"NRRD0004\n# drawn by hand\n{head}\n".encode() + body)
    return path


def test_left_posterior_becomes_right_anterior(tmp_path: Path) -> None:
    image = io.read(file(tmp_path))

    assert np.array_equal(image.voxels[0], VOXELS)
    assert np.allclose(image.to_mm((0, 0, 0)), (-1, -2, 3))
    assert np.allclose(image.to_mm((1, 1, 1)), (-2.5, -4.5, 6.5))
    assert image.notes == ()


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (1, 1, 1)), ("RAS", (1, 1, 1)), ("LAS", (-1, 1, 1)), ("LPS", (-1, -1, 1))],
)
def test_every_named_space(space: str, signs: tuple[int, ...], tmp_path: Path) -> None:
    image = io.read(file(tmp_path, HEAD + PLACE.replace("left-posterior-superior", space)))

    assert np.allclose(image.affine[:3, 3], np.array(signs) * (1, 2, 3))


def test_without_a_space_the_one_of_other_readers_is_taken_and_said(tmp_path: Path) -> None:
    path = file(tmp_path, HEAD + "spacings: 1.5 2.5 3.5\n")

    image = io.read(path)

    assert np.allclose(image.spacing, (3.5, 2.5, 1.5))
    assert np.allclose(SimpleITK.ReadImage(str(path)).GetSpacing(), (1.5, 2.5, 3.5))
    assert np.allclose(image.to_mm((1, 1, 1)), (-1.5, -2.5, 3.5))
    assert image.notes == ("The file says no anatomical space: left, posterior and superior are taken.",)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(VOXELS.tobytes(), mtime=0)),
        ("bzip2", bz2.compress(VOXELS.tobytes())),
        ("hex", VOXELS.tobytes().hex().encode()),
        ("ascii", " ".join(str(v) for v in VOXELS.ravel()).encode()),
    ],
)
def test_every_encoding(encoding: str, body: bytes, tmp_path: Path) -> None:
    image = io.read(file(tmp_path, HEAD.replace("raw", encoding) + PLACE, body))

    assert np.array_equal(image.voxels[0], VOXELS)


def test_big_endian_and_skipped_bytes(tmp_path: Path) -> None:
    head = HEAD.replace("little", "big") + PLACE + "byte skip: 3\n"

    assert np.array_equal(io.read(file(tmp_path, head, b"abc" + VOXELS.astype(">i2").tobytes())).voxels[0], VOXELS)


def test_voxels_in_a_file_beside_the_header_but_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "scan.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "inner").mkdir()

    beside = file(tmp_path, HEAD + PLACE + "data file: scan.raw\n", b"", "scan.nhdr")
    outside = file(tmp_path / "inner", HEAD + PLACE + "data file: ../scan.raw\n", b"", "out.nhdr")

    assert np.array_equal(io.read(beside).voxels[0], VOXELS)
    with pytest.raises(FileError, match=r"out\.nhdr needs its voxels in a file beside it; it names '\.\./scan\.raw'"):
        io.read(outside)


def test_a_list_axis_is_channels_first_or_last(tmp_path: Path) -> None:
    two = np.stack([VOXELS, VOXELS + 50])
    sizes, place = "sizes: {}\ntype: short\ndimension: 4\nencoding: raw\nendian: little\n", PLACE.split("\n")
    first = sizes.format("2 4 3 2") + "\n".join([place[0], place[1].replace(": ", ": none "), place[2], ""])
    last = sizes.format("4 3 2 2") + "\n".join([place[0], place[1] + " none", place[2], ""])
    kinds = sizes.format("2 4 3 2") + "kinds: vector domain domain domain\n"

    for head, stored in ((first, np.moveaxis(two, 0, -1)), (last, two), (kinds, np.moveaxis(two, 0, -1))):
        path = file(tmp_path, head, stored.tobytes())
        assert np.array_equal(io.read(path).voxels, two)
        assert np.array_equal(io.read(path, fourth="channels").voxels[1], VOXELS + 50)


def test_a_plane_is_one_slice(tmp_path: Path) -> None:
    head = "type: uchar\ndimension: 2\nsizes: 4 3\nencoding: raw\nspace dimension: 2\n"
    head += "space directions: (0.5,0) (0,2)\nspace origin: (1,2)\n"

    image = io.read(file(tmp_path, head, bytes(range(12))))

    assert image.shape == (1, 3, 4)
    assert np.allclose(image.spacing, (1, 2, 0.5))


def test_channels_go_out_and_come_back(tmp_path: Path) -> None:
    voxels = np.stack([VOXELS, VOXELS + 7]).astype(np.float32)

    io.write_image(tmp_path / "two.nrrd", Image(voxels, scale_affine((3, 2, 1))))

    again = io.read(tmp_path / "two.nrrd")
    assert np.array_equal(again.voxels, voxels)
    assert np.allclose(again.affine, scale_affine((3, 2, 1)))
    assert SimpleITK.ReadImage(str(tmp_path / "two.nrrd")).GetNumberOfComponentsPerPixel() == 2


def test_a_slicer_segmentation_has_names_colours_values_and_extents(tmp_path: Path) -> None:
    mask = np.zeros((2, 3, 4), np.uint16)
    mask[1, 0:2, 1] = 3
    labels = [Label(3, "left\nkidney", (255, 0, 51)), Label(9, "none", (1, 2, 3))]

    io.write_mask(tmp_path / "mask.seg.nrrd", mask, Image(VOXELS[None]), labels)

    keys = read_header(tmp_path / "mask.seg.nrrd").keys
    assert keys["Segment0_Name"] == "left kidney"
    assert keys["Segment0_Color"] == "1 0 0.2"
    assert (keys["Segment0_LabelValue"], keys["Segment0_Layer"]) == ("3", "0")
    assert keys["Segment0_Extent"] == "1 1 0 1 1 1"
    assert keys["Segment1_Extent"] == "0 -1 0 -1 0 -1"
    assert keys["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_layers_are_merged_and_the_later_segment_lies_on_top(tmp_path: Path) -> None:
    layers = np.zeros((2, 3, 4, 2), np.uint8)  # z y x layer
    layers[0, 0, 0, 0] = layers[0, 0, 1, 0] = 1
    layers[0, 0, 1, 1] = 1
    head = "type: uchar\ndimension: 4\nsizes: 2 4 3 2\nencoding: raw\n"
    head += "space: RAS\nspace directions: none (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
    keys = "".join(f"Segment{i}_LabelValue:=1\nSegment{i}_Layer:={i}\n" for i in range(2))
    image = Image(VOXELS[None])

    merged = io.read_mask(file(tmp_path, head + keys, layers.tobytes()), image)

    assert merged[0, 0].tolist() == [1, 2, 0, 0]
    named = keys + "Segment0_Name:=liver\nSegment1_Name:=lesion\n"
    assert io.mask_names(file(tmp_path, head + named, layers.tobytes())) == {1: "liver", 2: "lesion"}
    with pytest.raises(FileError, match="has 2 layers; segment 1 is in layer 5"):
        io.read_mask(file(tmp_path, head + keys.replace("Layer:=1", "Layer:=5"), layers.tobytes()), image)
    with pytest.raises(FileError, match="has 2 channels; a mask has one"):
        io.read_mask(file(tmp_path, head, layers.tobytes()), image)


def test_a_mask_cropped_by_whole_voxels_is_put_in_its_place(tmp_path: Path) -> None:
    head = "type: uchar\ndimension: 3\nsizes: 2 1 1\nencoding: raw\nspace: RAS\n"
    head += "space directions: (-1,0,0) (0,1,0) (0,0,1)\nspace origin: (2,1,1)\n"
    image = Image(VOXELS[None])

    placed = io.read_mask(file(tmp_path, head, bytes([5, 6])), image)

    assert placed[1, 1].tolist() == [0, 6, 5, 0]
    assert np.count_nonzero(placed) == 2
    with pytest.raises(GeometryError, match="part of it is outside the image"):
        io.read_mask(file(tmp_path, head.replace("(2,1,1)", "(9,1,1)"), bytes([5, 6])), image)


@pytest.mark.parametrize(
    ("change", "to", "words"),
    [
        ("type: short", "type: block", "its type is 'block'"),
        ("type: short\n", "", "without its field 'type'"),
        ("sizes: 4 3 2", "sizes: 4 three 2", "needs a whole number in its header; got 'three'"),
        ("sizes: 4 3 2", "sizes: 1 1 1 4 3 2", "needs 1 to 5 axes"),
        ("sizes: 4 3 2", "sizes: 999999 999999 2", "claims .* but holds only 48 bytes"),
        ("sizes: 4 3 2", "sizes: 4 3 3", "claims .* but holds only 48 bytes"),
        ("sizes: 4 3 2", "sizes: 4 0 2", "every axis needs at least one"),
        ("encoding: raw", "encoding: zstd", "has the encoding 'zstd', which is not read"),
        ("encoding: raw", "encoding: gzip", "is damaged: Error -3"),
        ("encoding: raw", "encoding: hex", "is damaged"),
        ("encoding: raw", "line skip: 2\nencoding: raw", "skips lines before its voxels"),
        ("(0,2.5,0) (0,0,3.5)", "(0,2.5,0)", "has 3 axes but 2 space directions"),
        ("(0,2.5,0) (0,0,3.5)", "(0,2.5,0) (a,b)", r"needs a vector like \(1,0,0\)"),
        ("(0,2.5,0) (0,0,3.5)", "(0,2.5,0) (1,2,3,4)", "needs positions of 2 or 3 numbers; got 4"),
        ("(0,2.5,0) (0,0,3.5)", "none none", "has 2 axes that are not in space"),
        ("(1.5,0,0) (0,2.5,0) (0,0,3.5)", "none none none", "needs 1 to 3 axes in space; it has 0"),
        (PLACE, "spacings: 1 2\n", "has 3 axes but 2 spacings"),
        ("(0,0,3.5)", "(0,0,0)", "flat or not finite"),
    ],
)
def test_damaged_headers_say_what_is_wrong(change: str, to: str, words: str, tmp_path: Path) -> None:
    with pytest.raises((FileError, GeometryError), match=words):
        io.read(file(tmp_path, (HEAD + PLACE).replace(change, to)))


def test_cut_voxels_and_other_files_are_refused(tmp_path: Path) -> None:
    packed = gzip.compress(VOXELS.tobytes()[:-4])
    (tmp_path / "text.nrrd").write_text("hello")

    with pytest.raises(FileError, match="is cut short: 48 bytes of voxels are needed, 44 came"):
        io.read(file(tmp_path, HEAD.replace("raw", "gzip") + PLACE, packed))
    with pytest.raises(FileError, match=r"text\.nrrd is not an NRRD file"):
        read_nrrd(tmp_path / "text.nrrd")


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("short", np.array([-1] + [0] * 23, np.int16).tobytes(), "needs labels of 0 to 65535; it has -1 to 0"),
        ("float", np.array([0.5] + [0] * 23, np.float32).tobytes(), "needs whole numbers as labels; it has fractions"),
    ],
)
def test_numbers_that_are_no_labels_are_refused(kind: str, body: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=words):
        io.read_mask(file(tmp_path, HEAD.replace("short", kind) + PLACE, body), Image(VOXELS[None]))


@pytest.mark.parametrize("kind", ["uchar", "double"])
def test_a_long_text_of_numbers_is_read_piece_by_piece(kind: str, tmp_path: Path) -> None:
    values = np.arange(400_000) % 251
    text = b" ".join(b"%d" % value for value in values.tolist())
    head = f"NRRD0004\ntype: {kind}\ndimension: 3\nsizes: 1000 400 1\nencoding: text\n\n"
    (tmp_path / "text.nrrd").write_bytes(head.encode() + text)

    io.read(tmp_path / "text.nrrd")  # what is imported for it does not count
    tracemalloc.start()
    image = io.read(tmp_path / "text.nrrd")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert np.array_equal(image.voxels.ravel(), values)
    assert peak < 10 * max(len(text), image.voxels.nbytes)  # it was twenty times the text
