"""MetaImage files read as SimpleITK writes them, and the other way round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.errors import FileError, GeometryError

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
TURN = (0.0, 1.0, 0.0, 0.6, 0.0, 0.8, 0.8, 0.0, -0.6)
HEAD = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\nElementSpacing = 1.5 2.5 3.5\n"
END = "ElementDataFile = LOCAL\n"


def file(tmp_path: Path, head: str = HEAD + END, body: bytes = VOXELS.tobytes(), name: str = "scan.mha") -> Path:
    (tmp_path / name).write_bytes(head.encode() + body)
    return tmp_path / name


@pytest.mark.parametrize("name", ["scan.mha", "scan.mhd"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_simpleitk_writes_is_read(name: str, packed: bool, tmp_path: Path) -> None:
    written = SimpleITK.GetImageFromArray(VOXELS)
    written.SetSpacing((1.5, 2.5, 3.5))
    written.SetOrigin((1, 2, 3))
    written.SetDirection(TURN)
    SimpleITK.WriteImage(written, str(tmp_path / name), packed)

    image = io.read(tmp_path / name)

    place = np.array(written.TransformIndexToPhysicalPoint((3, 2, 1))) * (-1, -1, 1)
    assert np.array_equal(image.voxels[0], VOXELS)
    assert image.voxels.dtype == np.int16
    assert np.allclose(image.to_mm((1, 2, 3)), place)


def test_channels_go_out_and_come_back(tmp_path: Path) -> None:
    voxels = np.stack([VOXELS, VOXELS + 9, VOXELS * 2]).astype(np.uint8)

    io.write_image(tmp_path / "rgb.mha", Image(voxels, scale_affine((3, 2, 1))))

    read = SimpleITK.ReadImage(str(tmp_path / "rgb.mha"))
    assert np.array_equal(np.moveaxis(SimpleITK.GetArrayFromImage(read), -1, 0), voxels)
    assert np.array_equal(io.read(tmp_path / "rgb.mha").voxels, voxels)


def test_a_fourth_axis_is_channels_or_time(tmp_path: Path) -> None:
    four = np.stack([VOXELS, VOXELS + 30])
    head = HEAD.replace("NDims = 3", "NDims = 4").replace("4 3 2", "4 3 2 2").replace("1.5 2.5 3.5", "1.5 2.5 3.5 1")

    path = file(tmp_path, head + END, four.tobytes())

    assert np.array_equal(io.read(path).voxels, four)
    assert np.array_equal(io.read(path, fourth="time", frame=1).voxels[0], VOXELS + 30)


def test_big_endian_planes_and_header_sizes(tmp_path: Path) -> None:
    head = HEAD.replace("NDims = 3", "NDims = 2").replace("4 3 2", "4 6").replace("1.5 2.5 3.5", "1.5 2.5")
    path = file(
        tmp_path, head + "BinaryDataByteOrderMSB = True\nHeaderSize = -1\n" + END,
        b"skipped" + VOXELS.astype(">i2").tobytes(),
    )  # fmt: skip

    image = io.read(path)

    assert np.array_equal(image.voxels[0, 0], VOXELS.reshape(6, 4))
    assert np.allclose(image.spacing, (1, 2.5, 1.5))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (HEAD + "no sign\n" + END, "its header has the line 'no sign'"),
        (HEAD, "its header has no ElementDataFile"),
        (HEAD.replace("4 3 2", "4 3") + END, "needs 3 numbers as DimSize; got '4 3'"),
        (HEAD.replace("4 3 2", "4 x 2") + END, "needs 3 numbers as DimSize"),
        (HEAD.replace("NDims = 3", "NDims = 7") + END, "needs 1 to 4 axes; it has 7"),
        (HEAD.replace("MET_SHORT", "MET_OTHER") + END, "its type is 'MET_OTHER'"),
        (HEAD.replace("4 3 2", "99999 99999 2") + END, "claims .* but holds only 48 bytes"),
        (HEAD + "CompressedData = True\n" + END, "is damaged: Error -3"),
        (HEAD + "HeaderSize = 9\n" + END, "is cut short: 48 bytes of voxels are needed, 39 came"),
        (HEAD + "ElementDataFile = LIST\n", "needs its voxels in a file beside it; it names 'LIST'"),
        (HEAD + "ElementDataFile = /etc/hostname\n", "needs its voxels in a file beside it"),
        (HEAD + f"TransformMatrix = {' 0' * 9}\n" + END, "flat or not finite"),
    ],
)
def test_damaged_headers_say_what_is_wrong(head: str, words: str, tmp_path: Path) -> None:
    path = file(tmp_path, head, b"" if head == HEAD else VOXELS.tobytes())

    with pytest.raises((FileError, GeometryError), match=words):
        io.read(path)
