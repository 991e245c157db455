"""JPEG in DICOM that Pillow does not decode: lossless (ITU T.81, process 14), and lossy with 12 bits a sample.

Lossless JPEG is decoded by pydicom-jpeg-decoder, which is written in Rust, so that a damaged stream ends in a refusal
and never in the end of the process. Lossy JPEG of 12 bits needs imagecodecs, of which only libjpeg-turbo's decoder
is used: it is an extra, `pip install "segmend[jpeg]"`, for its size. A frame's own header is compared with the
DICOM header before it is decoded, because decoders take memory for the size that it claims.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segmend.errors import FileError

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import DecodeRunner

EXTENDED = "1.2.840.10008.1.2.4.51"  # transfer syntax of lossy JPEG with up to 12 bits
DECODER_DEPENDENCIES = {  # pydicom asks for it, to name what is missing
    EXTENDED: ("imagecodecs",),
    "1.2.840.10008.1.2.4.57": ("pydicom-jpeg-decoder",),
    "1.2.840.10008.1.2.4.70": ("pydicom-jpeg-decoder",),
}
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
# Markers of JPEG 2000: start of codestream, and the sizes behind it.
SIZES = b"\xff\x4f\xff\x51"
# Markers of JPEG: start of image, lossless frame, start of scan, end of image.
START, LOSSLESS, SCAN, END = b"\xff\xd8", 0xFFC3, 0xFFDA, b"\xff\xd9"
LS_FRAME = 0xFFF7  # the frame header of JPEG-LS

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class FrameHeader:
    """What a JPEG's frame header claims."""

    lossless: bool
    bits: int  # of a sample
    rows: int
    columns: int
    components: int


def is_available(uid: str) -> bool:
    """Say whether frames of this transfer syntax are decoded here; pydicom asks."""
    return uid in DECODER_DEPENDENCIES


def register() -> None:
    """Make pydicom decode these transfer syntaxes with this file, once."""
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]

    for uid in DECODER_DEPENDENCIES:
        decoder = get_decoder(uid)
        if "segmend" not in decoder.available_plugins:
            decoder.add_plugin("segmend", ("segmend.io.dicomjpeg", "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """Return one frame's bytes the way pydicom wants them: pixel by pixel, little endian."""
    values = decode(source, (runner.rows, runner.columns, runner.samples_per_pixel))
    if runner.pixel_representation == 1 and runner.bits_stored < 16 and values.dtype == np.uint16:
        spare = 16 - runner.bits_stored
        values = ((values << spare).view(np.int16) >> spare).view(np.uint16)
    runner.set_option("planar_configuration", 0)
    return bytearray(values.astype(np.uint8 if runner.bits_allocated == 8 else "<u2").tobytes())


def decode(source: bytes, shape: tuple[int, int, int]) -> Samples:
    """Return the samples [y x c] of one JPEG; FileError when it is damaged, or has another shape than `shape`."""
    header = frame_header(source)
    found = (header.rows, header.columns, header.components)
    if found != shape:
        raise FileError(f"A frame's JPEG has shape {found}, which its header does not say: {shape}.")
    if END not in source[-64:]:  # behind the end there may be padding
        raise FileError(f"A frame's JPEG is cut short: its {len(source)} bytes have no end.")
    values = _lossless(source) if header.lossless else _lossy(source)
    if values.size != header.rows * header.columns * header.components:
        raise FileError(f"A frame's JPEG is damaged: {header.rows * header.columns} samples are needed.")
    return values.reshape(shape)


def check_frames(name: str, data: Dataset, shape: tuple[int, int, int], count: int) -> None:
    """Raise FileError where a frame of JPEG-LS or JPEG 2000 claims another size than its file, or has no end.

    What decodes them takes memory for that size, and CharLS takes 5 s for a frame of 80 x 96 without an end.
    """
    syntax = str(data.file_meta.TransferSyntaxUID)
    if syntax not in JPEG_LS + JPEG_2000:
        return
    from pydicom.encaps import generate_frames

    for source in generate_frames(data.PixelData, number_of_frames=count):
        if syntax in JPEG_LS and END not in source[-64:]:  # behind the end there may be padding
            raise FileError(f"{name} is damaged: a frame's JPEG-LS of {len(source)} bytes has no end.")
        found = _sizes(source, shape) if syntax in JPEG_2000 else _ls_sizes(source)
        if found != shape:
            raise FileError(f"{name} is damaged: a frame has shape {found}, where its header says {shape}.")


def _ls_sizes(source: bytes) -> tuple[int, int, int]:
    header = frame_header(source)
    return header.rows, header.columns, header.components


def _sizes(source: bytes, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the shape that a codestream of JPEG 2000 claims; one without is left to its decoder, as `shape`."""
    at = source.find(SIZES, 0, 4096)
    if at < 0 or len(source) < at + 42:
        return shape
    right, low, left, top = struct.unpack_from(">4I", source, at + 8)
    return low - top, right - left, struct.unpack_from(">H", source, at + 40)[0]


def frame_header(source: bytes) -> FrameHeader:
    """Return what the frame header of a JPEG claims; FileError when there is none."""
    if source[:2] != START:
        raise FileError("The frame is not a JPEG.")
    at = 2
    try:
        while True:
            marker, size = struct.unpack_from(">HH", source, at)
            if marker == 0xFFFF:  # padding
                at += 1
                continue
            tables = (0xFFC4, 0xFFC8, 0xFFCC)
            if (0xFFC0 <= marker <= 0xFFCF and marker not in tables) or marker == LS_FRAME:
                bits, rows, columns, components = struct.unpack_from(">BHHB", source, at + 4)
                return FrameHeader(marker == LOSSLESS, bits, rows, columns, components)
            if marker == SCAN or marker < 0xFF00:
                raise FileError("A frame's JPEG is damaged: its samples begin before their size is said.")
            at += 2 + size
    except struct.error:
        raise FileError("A frame's JPEG is cut short in its headers.") from None


def _lossless(source: bytes) -> Samples:
    try:
        from pydicom_jpeg_decoder import decode_jpeg
    except ImportError:
        return _with_imagecodecs(source, "Lossless JPEG needs pydicom-jpeg-decoder or imagecodecs to be read")
    header = frame_header(source)
    try:
        with _without_report():
            pixels = decode_jpeg(source).pixel_data
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what Rust raises; it is no Exception
            raise
        raise FileError("A frame's lossless JPEG is damaged, or of a kind that is not read.") from None
    if header.bits == 8:
        return np.frombuffer(pixels, np.uint8)
    return np.frombuffer(pixels, np.uint16)


@contextmanager
def _without_report() -> Iterator[None]:
    """Keep what Rust reports of damage off a command's standard error, where one sentence of ours is to stand.

    Only where no other thread runs: it may want to write there meanwhile. In a server the report goes to its log.
    """
    try:
        if threading.active_count() > 1:
            raise OSError
        kept = os.dup(2)
    except OSError:  # nobody looks, or others write
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _lossy(source: bytes) -> Samples:
    return _with_imagecodecs(source, 'Lossy JPEG of 12 bits needs imagecodecs to be read: pip install "segmend[jpeg]"')


def _with_imagecodecs(source: bytes, needed: str) -> Samples:
    try:
        from imagecodecs import Jpeg8Error, jpeg8_decode  # libjpeg-turbo alone: other decoders crash on damage
    except ImportError:
        raise FileError(f"{needed}; it is not installed.") from None
    as_stored = "RGB" if frame_header(source).components == 3 else None  # pydicom converts colours, as the file says
    try:
        values: Samples = jpeg8_decode(source, colorspace=as_stored, outcolorspace=as_stored)
    except Jpeg8Error as error:
        words = str(error).rstrip(".")
        raise FileError(f"A frame's JPEG is damaged, or of a kind that is not read: {words}.") from None
    return values
