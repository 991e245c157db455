"""Decode lossless JPEG (ITU T.81, process 14), which old and busy DICOM archives are full of.

The permissively licensed decoders leave this one out, so it is decoded here with NumPy.
A Huffman code must be found before the next one can be, but how far each position of the
stream would jump can be looked up for all positions at once. Only the walk along those
jumps is a Python loop; values and predictions are array arithmetic again. Measured: about
25 ms for a slice of 512 x 512 (bench: tests/io/test_jpeglossless.py --durations=0).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segmend.errors import FileError

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

DECODER_DEPENDENCIES = {"1.2.840.10008.1.2.4.57": ("numpy",), "1.2.840.10008.1.2.4.70": ("numpy",)}
BLOCK = 2**18  # bytes of the stream looked at in one go
NO_CODE = 255  # jumps out of the stream, so that damage is noticed

Bytes = NDArray[np.uint8]
Samples = NDArray[np.uint16]


def is_available(uid: str) -> bool:
    """Say that this decodes both syntaxes of lossless JPEG; pydicom asks."""
    return uid in DECODER_DEPENDENCIES


def register() -> None:
    """Make pydicom decode lossless JPEG with this file, once."""
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]

    for uid in DECODER_DEPENDENCIES:
        decoder = get_decoder(uid)
        if "segmend" not in decoder.available_plugins:
            decoder.add_plugin("segmend", ("segmend.io.jpeglossless", "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """Return one frame's bytes the way pydicom wants them: pixel by pixel, little endian."""
    values = decode(source)
    if values.shape != (runner.rows, runner.columns, runner.samples_per_pixel):
        raise FileError(f"A frame's lossless JPEG has shape {values.shape}, which its header does not say.")
    if runner.pixel_representation == 1 and runner.bits_stored < 16:
        spare = 16 - runner.bits_stored
        values = ((values << spare).view(np.int16) >> spare).view(np.uint16)
    runner.set_option("planar_configuration", 0)
    narrow = runner.bits_allocated == 8
    return bytearray(values.astype(np.uint8 if narrow else "<u2").tobytes())


@dataclass
class _Scan:
    rows: int = 0
    columns: int = 0
    bits: int = 0
    components: list[int] = field(default_factory=list)
    tables: dict[int, NDArray[np.uint16]] = field(default_factory=dict)  # code -> (length << 8) | size
    used: list[int] = field(default_factory=list)
    predictor: int = 1
    shift: int = 0
    restart: int = 0
    start: int = 0


def decode(source: bytes) -> Samples:
    """Return the samples [y x c] of one lossless JPEG; FileError when it is damaged or another JPEG."""
    try:
        scan = _headers(source)
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError("The lossless JPEG is cut short in its headers.") from None
    count = len(scan.components)
    per_row = scan.columns
    lines = scan.restart // per_row if scan.restart else scan.rows
    if scan.rows * per_row * count > 8 * len(source):  # a sample takes a bit at least
        raise FileError(f"The lossless JPEG claims {scan.rows} x {per_row} samples but has only {len(source)} bytes.")
    if scan.restart % per_row or lines == 0:
        raise FileError("The lossless JPEG restarts within a line, which is not read.")
    pieces, at = [], 0
    for part in _parts(source[scan.start :]):
        rows = min(lines, scan.rows - at)
        if rows > 0:
            differences = _differences(part, scan, rows * per_row * count).reshape(rows, per_row, count)
            pieces.append(_predicted(differences, scan))
            at += rows
    if at < scan.rows:
        raise FileError(f"The lossless JPEG is cut short: {scan.rows} lines are needed, {at} came.")
    return np.left_shift(np.concatenate(pieces), np.uint16(scan.shift))


def _headers(source: bytes) -> _Scan:
    if source[:2] != b"\xff\xd8":
        raise FileError("The frame is not a JPEG.")
    scan, at = _Scan(), 2
    while True:
        marker, size = struct.unpack_from(">HH", source, at)
        if marker == 0xFFFF:  # padding
            at += 1
            continue
        body = source[at + 4 : at + 2 + size]
        at += 2 + size
        match marker:
            case 0xFFC3:
                scan.bits, scan.rows, scan.columns, count = struct.unpack_from(">BHHB", body)
                scan.components = [body[6 + 3 * k] for k in range(count)]
                if any(body[7 + 3 * k] != 0x11 for k in range(count)) or not 2 <= scan.bits <= 16:
                    raise FileError("The lossless JPEG has subsampled colours or unusual bits, which is not read.")
            case 0xFFC4:
                _add_tables(body, scan)
            case 0xFFDD:
                scan.restart = struct.unpack_from(">H", body)[0]
            case 0xFFDA:
                _add_scan(body, scan)
                scan.start = at
                return scan
            case _ if marker in range(0xFFC0, 0xFFD0) and marker != 0xFFCC:
                raise FileError("The frame is a JPEG, but not a lossless one.")


def _add_tables(body: bytes, scan: _Scan) -> None:
    at = 0
    while at < len(body):
        which, counts = body[at] & 15, list(body[at + 1 : at + 17])
        sizes = body[at + 17 : at + 17 + sum(counts)]
        if len(counts) < 16 or len(sizes) < sum(counts):
            raise ValueError
        at += 17 + sum(counts)
        table = np.zeros(65536, np.uint16)
        code = taken = 0
        for length, count in enumerate(counts, start=1):
            for size in sizes[taken : taken + count]:
                table[code << (16 - length) : (code + 1) << (16 - length)] = length << 8 | min(size, 31)
                code += 1
            taken += count
            code <<= 1
        scan.tables[which] = table


def _add_scan(body: bytes, scan: _Scan) -> None:
    count = body[0]
    if count != len(scan.components) or not 1 <= count <= 4 or not scan.rows or not scan.columns:
        raise FileError("The lossless JPEG holds its colours in several scans, which is not read.")
    scan.used = [body[2 + 2 * k] >> 4 for k in range(count)]
    scan.predictor, _, last = body[1 + 2 * count : 4 + 2 * count]
    scan.shift = last & 15
    if not set(scan.used) <= set(scan.tables) or not 1 <= scan.predictor <= 7 or scan.shift >= scan.bits:
        raise FileError("The lossless JPEG is damaged: it uses a table or a predictor that is not there.")


def _parts(stream: bytes) -> list[Bytes]:
    """Return the stream between restarts, its stuffed zeros taken out."""
    values = np.frombuffer(stream, np.uint8)
    marks = np.flatnonzero((values[:-1] == 0xFF) & (values[1:] != 0) & (values[1:] != 0xFF))
    parts, begin = [], 0
    for mark in marks.tolist():
        parts.append(stream[begin:mark])
        begin = mark + 2
        if not 0xD0 <= stream[mark + 1] <= 0xD7:  # anything but a restart ends the picture
            break
    else:
        parts.append(stream[begin:])
    return [np.frombuffer(part.replace(b"\xff\0", b"\xff") + bytes(8), np.uint8) for part in parts]


def _differences(stream: Bytes, scan: _Scan, count: int) -> Samples:
    """Return the next `count` coded differences, modulo 65536."""
    positions = np.empty(count, np.int64)
    end = (len(stream) - 8) * 8
    done = position = 0
    cycle = len(scan.used)
    while done < count and position < end:
        first = position // 8
        jumps = [_jumps(stream[first : first + BLOCK + 2], scan.tables[which]) for which in scan.used]
        done, position = _walk(positions, done, position - first * 8, jumps, cycle, first * 8)
    if done < count or position > end + 7:
        raise FileError(f"The lossless JPEG is damaged: {count} samples are needed, {done} came.")
    values = np.empty(count, np.uint16)
    for k, which in enumerate(scan.used):
        values[k::cycle] = _values(stream, positions[k::cycle], scan.tables[which])
    return values


def _jumps(stream: Bytes, table: NDArray[np.uint16]) -> bytes:
    """Return for every bit of the stream (but the last two bytes) how many bits a code that starts there takes."""
    wide = stream.astype(np.uint32)
    three = wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]
    entries = table[(three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)) & 0xFFFF]
    length, size = entries >> 8, entries & 0xFF
    jumps = length + np.where(size == 16, 0, size)
    return np.where((length == 0) | (size > 16), NO_CODE, jumps).astype(np.uint8).tobytes()


def _walk(
    positions: NDArray[np.int64], done: int, position: int, jumps: list[bytes], cycle: int, base: int
) -> tuple[int, int]:
    """Follow the jumps to the end of a block; return how many codes are found and the next code's position."""
    found: list[int] = []
    keep, limit, wanted = found.append, len(jumps[0]), len(positions) - done
    if cycle == 1:
        jump = jumps[0]
        while position < limit and len(found) < wanted:
            keep(position)
            position += jump[position]
    else:
        k = done % cycle
        while position < limit and len(found) < wanted:
            keep(position)
            position += jumps[k][position]
            k = (k + 1) % cycle
    positions[done : done + len(found)] = np.asarray(found, np.int64) + base
    return done + len(found), position + base


def _values(stream: Bytes, positions: NDArray[np.int64], table: NDArray[np.uint16]) -> Samples:
    at = positions >> 3
    window = np.zeros(len(at), np.uint64)
    for k in range(5):  # a code and its bits are at most 31 long
        window = window << np.uint64(8) | stream[np.minimum(at + k, len(stream) - 1)]
    window = window << (positions & 7).astype(np.uint64) & np.uint64(0xFFFFFFFFFF)
    entries = table[(window >> np.uint64(24)).astype(np.intp)]
    length, size = (entries >> 8).astype(np.int64), (entries & 0xFF).astype(np.int64)
    bits = (window >> (40 - length - np.minimum(size, 15)).astype(np.uint64)).astype(np.int64) & ((1 << size) - 1)
    low = bits < (1 << np.maximum(size - 1, 0))
    values = np.where(low, bits - (1 << size) + 1, bits)
    return np.where(size == 0, 0, np.where(size == 16, 32768, values)).astype(np.uint16)


def _predicted(differences: Samples, scan: _Scan) -> Samples:
    """Return the samples of differences from their neighbours' prediction; arithmetic is modulo 65536."""
    start = differences.copy()
    start[0, 0] += np.uint16(1 << (scan.bits - scan.shift - 1))
    start[0] = np.cumsum(start[0], axis=0, dtype=np.uint16)
    start[:, 0] = np.cumsum(start[:, 0], axis=0, dtype=np.uint16)
    match scan.predictor:
        case 1:
            start[1:] = np.cumsum(start[1:], axis=1, dtype=np.uint16)
            return start
        case 2:
            return np.cumsum(start if len(start) == 1 else _above(start, differences), axis=0, dtype=np.uint16)
    for y in range(1, len(start)):
        start[y] = _line(scan.predictor, start[y], start[y - 1])
    return start


def _above(start: Samples, differences: Samples) -> Samples:
    rest = differences.copy()
    rest[0] = start[0]
    return rest


def _line(predictor: int, line: Samples, above: Samples) -> Samples:
    """Return a line's samples; its first is one already, the others are differences."""
    b, c = above[1:].astype(np.int64), above[:-1].astype(np.int64)
    out = line.copy()
    match predictor:
        case 3:
            out[1:] += above[:-1]
        case 4:
            out[1:] += above[1:] - above[:-1]
            out = np.cumsum(out, axis=0, dtype=np.uint16)
        case 5:
            out[1:] += ((b - c) >> 1).astype(np.uint16)
            out = np.cumsum(out, axis=0, dtype=np.uint16)
        case _:
            for k in range(line.shape[1]):
                out[:, k] = _one_by_one(predictor, line[:, k].tolist(), above[:, k].tolist())
    return out


def _one_by_one(predictor: int, line: list[int], above: list[int]) -> Any:
    a, out = line[0], line[:1]
    for d, b, c in zip(line[1:], above[1:], above[:-1], strict=True):
        guess = b + ((a - c) >> 1) if predictor == 6 else (a + b) >> 1
        a = (guess + d) & 0xFFFF
        out.append(a)
    return out
