"""Packed DICOM pixels come out as they went in."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from segmend import io
from segmend.errors import FileError
from segmend.io import dicom
from segmend.io.dicomjpeg import decode
from tests.io.dicoms import save, slices

RAMP = (np.arange(70 * 80).reshape(70, 80) * 37 % 4096).astype(np.uint16)
SIGNED = RAMP.astype(np.int16) - 2048
RGB = np.stack([RAMP % 251, RAMP % 83, RAMP % 17], axis=-1).astype(np.uint8)


def packed(values: np.ndarray, syntax: UID, frame: bytes | None = None, path: Path | None = None) -> Path:
    assert path is not None
    ds = slices(values[None])[0]
    if frame is None:
        ds.compress(syntax, generate_instance_uid=False)
    else:
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
    return save(ds, path)


@pytest.mark.parametrize("values", [RAMP, SIGNED, RGB], ids=["unsigned", "signed", "colour"])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["rle", "jpeg-ls", "jpeg-2000"])
def test_lossless_syntaxes_give_the_same_numbers(values: np.ndarray, syntax: UID, tmp_path: Path) -> None:
    image = io.read(packed(values, syntax, path=tmp_path / "one.dcm"))

    expected = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    assert image.voxels.dtype == values.dtype
    assert np.array_equal(image.voxels[:, 0], expected)


@pytest.mark.parametrize("values", [RAMP, SIGNED, RGB], ids=["unsigned", "signed", "colour"])
@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1], ids=["process-14", "first-order"])
def test_lossless_jpeg_gives_the_same_numbers(values: np.ndarray, syntax: UID, tmp_path: Path) -> None:
    stored = values.view(np.uint16) if values.dtype == np.int16 else values
    frame = imagecodecs.jpeg_encode(stored, lossless=True, predictor=1, bitspersample=stored.dtype.itemsize * 8)

    image = io.read(packed(values, syntax, frame, tmp_path / "one.dcm"))

    expected = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    assert np.array_equal(image.voxels[:, 0], expected)


def test_twelve_signed_bits_keep_their_sign(tmp_path: Path) -> None:
    ds = slices(SIGNED[None], BitsStored=12, HighBit=11)[0]
    frame = imagecodecs.jpeg_encode(SIGNED.view(np.uint16) & 0xFFF, lossless=True, predictor=1, bitspersample=12)
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1

    assert np.array_equal(io.read(save(ds, tmp_path / "one.dcm")).voxels[0, 0], SIGNED)


def test_lossy_jpeg_gives_nearly_the_same_numbers(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    frame = imagecodecs.jpeg_encode(smooth, level=95)

    image = io.read(packed(smooth, JPEGBaseline8Bit, frame, tmp_path / "one.dcm"))

    assert np.abs(image.voxels[0, 0].astype(int) - smooth).max() <= 2


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=["big", "deflated"])
def test_other_byte_orders_and_deflated_files_give_the_same_numbers(syntax: UID, tmp_path: Path) -> None:
    ds = slices(SIGNED[None])[0]
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = SIGNED.astype(">i2").tobytes()

    image = io.read(save(ds, tmp_path / "one.dcm"))

    assert np.array_equal(image.voxels[0, 0], SIGNED)
    assert image.voxels.dtype.isnative


@settings(deadline=None)
@given(
    st.integers(1, 7),
    st.sampled_from([8, 10, 12, 16]),
    st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3])),
    st.integers(0, 2**32 - 1),
)
def test_every_predictor_of_lossless_jpeg(predictor: int, bits: int, shape: tuple[int, int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)
    source = imagecodecs.jpeg_encode(values.squeeze(-1) if shape[2] == 1 else values, lossless=True,
                                     predictor=predictor, bitspersample=bits)  # fmt: skip

    assert np.array_equal(decode(source, shape), values)


def test_lossy_jpeg_of_twelve_bits_gives_nearly_the_same_numbers(tmp_path: Path) -> None:
    smooth = (np.add.outer(np.arange(64), np.arange(80)) * 25).astype(np.uint16)
    ds = slices(smooth[None], BitsStored=12, HighBit=11)[0]
    ds.PixelData = encapsulate([imagecodecs.jpeg_encode(smooth, level=98, bitspersample=12)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGExtended12Bit

    image = io.read(save(ds, tmp_path / "one.dcm"))

    assert np.abs(image.voxels[0, 0].astype(int) - smooth).max() <= 20


@pytest.mark.parametrize(
    ("source", "missing", "words"),
    [
        (imagecodecs.jpeg_encode(RAMP, level=95, bitspersample=12), ("imagecodecs",),
         r'Lossy JPEG of 12 bits needs imagecodecs .* pip install "segmend\[jpeg\]"; it is not installed'),
        (imagecodecs.jpeg_encode(RAMP, lossless=True, predictor=1, bitspersample=12),
         ("imagecodecs", "pydicom_jpeg_decoder"), "Lossless JPEG needs pydicom-jpeg-decoder or imagecodecs"),
    ],
    ids=["lossy", "lossless"],
)  # fmt: skip
def test_a_decoder_that_is_not_installed_is_named(
    source: bytes, missing: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(FileError, match=words):
        decode(source, (70, 80, 1))


def test_lossless_jpeg_is_decoded_by_imagecodecs_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom_jpeg_decoder", None)
    source = imagecodecs.jpeg_encode(RGB, lossless=True, predictor=1)

    assert np.array_equal(decode(bytes(lossless()), (70, 80, 1))[..., 0], RAMP)
    assert np.array_equal(decode(source, (70, 80, 3)), RGB)


def lossless() -> bytearray:
    return bytearray(imagecodecs.jpeg_encode(RAMP, lossless=True, predictor=1, bitspersample=12))


def changed(where: bytes, offset: int, value: int) -> bytes:
    data = lossless()
    data[data.index(where) + offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (changed(b"\xff\xc3", 5, 0xFF), r"shape \(65350, 80, 1\), which its header does not say: \(70, 80, 1\)"),
        (b"not a jpeg", "The frame is not a JPEG"),
        (b"\xff\xd8\xff\xc3\x00", "cut short in its headers"),
        (b"\xff\xd8\xff\xda\x00\x08" + bytes(20), "samples begin before their size is said"),
        (bytes(lossless()[: len(lossless()) // 2]), "cut short: its [0-9]+ bytes have no end"),
        (changed(b"\xff\xda", 6, 0x50), "damaged, or of a kind that is not read"),
        (imagecodecs.jpeg_encode(RAMP, level=95, bitspersample=12).replace(b"\xff\xdb", b"\xff\xfe", 1),
         "damaged, or of a kind that is not read: Quantization table 0x00 was not defined"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_a_damaged_jpeg_says_what_is_wrong(source: bytes, words: str) -> None:
    with pytest.raises(FileError, match=words):
        decode(source, (70, 80, 1))


def test_a_damaged_frame_is_one_sentence_on_the_command_line(tmp_path: Path) -> None:
    source = lossless()
    source[-len(source) // 2 : -2] = b"\xff\x00" * (len(source) // 4)  # no code is made of ones alone
    path = packed(RAMP, JPEGLosslessSV1, bytes(source), tmp_path / "one.dcm")

    done = subprocess.run(
        [sys.executable, "-m", "segmend", "convert", path, tmp_path / "out.nii"], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "one.dcm holds pixels that could not be decoded: "
        "A frame's lossless JPEG is damaged, or of a kind that is not read.\n"
    )


def test_a_frame_of_another_size_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = packed(RAMP[:, :70], JPEGLosslessSV1, bytes(lossless()), tmp_path / "one.dcm")

    with pytest.raises(FileError, match=r"shape \(70, 80, 1\), which its header does not say"):
        io.read(path)


def test_a_deflated_bomb_is_stopped_before_it_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom, "MAX_DEFLATED", 2**24)
    ds = slices(SIGNED[None])[0]
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = save(ds, tmp_path / "one.dcm").read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(2**24)) for _ in range(2)) + packer.flush()
    (tmp_path / "bomb.dcm").write_bytes(whole[:start] + bomb)

    with pytest.raises(FileError, match=r"bomb\.dcm inflates to more than 16777216 bytes"):
        io.read(tmp_path / "bomb.dcm")


@pytest.mark.parametrize(
    ("syntax", "change", "words"),
    [
        (JPEGLSLossless, lambda f: f.rstrip(b"\0")[:-2] + b"\x12" * 64, "a frame's JPEG-LS of [0-9]+ bytes has no end"),
        (
            JPEGLSLossless,
            lambda f: f[:7] + b"\xff\xff" + f[9:],
            r"a frame has shape \(65535, 80, 1\), where its header",
        ),
        (
            JPEG2000Lossless,
            lambda f: f[:8] + b"\0\1\0\0" + f[12:],
            r"a frame has shape \(70, 65536, 1\), where its header",
        ),
    ],
    ids=["no-end", "rows-of-jpeg-ls", "columns-of-jpeg-2000"],
)
def test_frames_are_compared_with_their_header_before_they_are_decoded(
    syntax: UID, change: Callable[[bytes], bytes], words: str, tmp_path: Path
) -> None:
    data = dcmread(packed(RAMP, syntax, path=tmp_path / "sound.dcm"))
    [frame] = generate_frames(data.PixelData, number_of_frames=1)

    changed = packed(RAMP, syntax, change(frame), tmp_path / "one.dcm")

    with pytest.raises(FileError, match=rf"one\.dcm is damaged: {words}"):
        io.read(changed)
