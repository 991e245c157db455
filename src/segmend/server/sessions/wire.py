"""What travels: patch frames (binary) and the state of a session (JSON).

A patch frame, little endian, carries the label values of one box as they are now:

    bytes  0-3   "SGM1"
    bytes  4-7   u32 position of the event this answers
    bytes  8-11  u32 flags: bit 1 the payload is zlib; all others are zero
    bytes 12-23  u32 low z, y, x    (inside)
    bytes 24-35  u32 high z, y, x   (just outside)
    bytes 36-39  u32 layer: the map that it is of; 0 where no labels may share voxels
    bytes 40-    uint16 values of the box, x fastest

Values, not differences: a frame laid over any older state of its box gives the new one.
A box may be empty; then there is no payload.

An uncertainty frame has the same header with "SGD1" and a payload of uint8: how uncertain the method is of
each voxel of the box, 0 (sure) to 255. It is sent as an answer is made, and to a client that connects while the answer
is the last; it is not stored.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, LabelMap, Real
from segmend.core.session import Session, event_to_json, label_to_json
from segmend.errors import ShapeError

MAGIC = b"SGM1"
UNCERTAINTY = b"SGD1"
HEADER = struct.Struct("<4s9I")
PACKED = 2  # flag bit 1
# Payloads up to this size stay unpacked: zlib saves nothing worth its time.
MIN_PACKED_BYTES = 4096
EMPTY_BOX = Box((0, 0, 0), (0, 0, 0))
Levels = NDArray[np.uint8]  # [z y x] uncertainty, 0 (sure) to 255


@dataclass(frozen=True, eq=False)
class Frame:
    """One patch frame, read."""

    position: int
    box: Box
    values: LabelMap  # [z y x] of the box
    layer: int = 0

    def onto(self, label_map: LabelMap) -> None:
        """Lay the frame over the label map of its layer, in place."""
        label_map[self.box.slices] = self.values


def pack(position: int, box: Box, values: LabelMap, layer: int = 0) -> bytes:
    """Return the frame of a box and its label values; any strides and byte order will do.

    >>> frame = pack(3, Box((0, 1, 2), (1, 2, 4)), np.array([[[7, 8]]], np.uint16))
    >>> len(frame), frame[:4], frame[40:]
    (44, b'SGM1', b'\\x07\\x00\\x08\\x00')
    """
    return _frame(MAGIC, position, box, values, "<u2", layer)


def to_levels(uncertainty: Real) -> Levels:
    """Return uncertainty of 0 to 1 as a byte a voxel.

    >>> to_levels(np.array([[[0, 0.5, 1]]], np.float32)).tolist()
    [[[0, 128, 255]]]
    """
    return np.rint(255 * np.clip(uncertainty, 0, 1)).astype(np.uint8)


def pack_uncertainty(position: int, box: Box, uncertainty: Levels) -> bytes:
    """Return the frame of a box and the uncertainty of its voxels.

    >>> pack_uncertainty(3, Box((0, 1, 2), (1, 2, 4)), np.array([[[0, 255]]], np.uint8))[40:]
    b'\\x00\\xff'
    """
    return _frame(UNCERTAINTY, position, box, uncertainty, "u1")


def _frame(magic: bytes, position: int, box: Box, values: NDArray[np.generic], kind: str, layer: int = 0) -> bytes:
    if values.shape != box.shape:
        raise ShapeError(f"A frame of {box} needs values of shape {box.shape}; got {values.shape}.")
    payload, flags = np.ascontiguousarray(values, kind).tobytes(), 0
    if len(payload) > MIN_PACKED_BYTES:
        payload, flags = zlib.compress(payload, 1), PACKED
    return HEADER.pack(magic, position, flags, *box.low, *box.high, layer) + payload


def unpack(frame: bytes) -> Frame:
    """Return what `pack` packed; ShapeError when it is no such frame.

    >>> unpack(pack(3, EMPTY_BOX, np.zeros((0, 0, 0), np.uint16))).position
    3
    """
    position, box, values, layer = _opened(frame, MAGIC, "<u2")
    return Frame(position, box, values.astype(np.uint16), layer)


def unpack_uncertainty(frame: bytes) -> tuple[int, Box, Levels]:
    """Return what `pack_uncertainty` packed: the event, the box, and the uncertainty in it.

    >>> unpack_uncertainty(pack_uncertainty(3, Box((0, 1, 2), (1, 2, 4)), np.array([[[0, 255]]], np.uint8)))
    (3, Box(low=(0, 1, 2), high=(1, 2, 4)), array([[[  0, 255]]], dtype=uint8))
    """
    position, box, levels, _ = _opened(frame, UNCERTAINTY, "u1")
    return position, box, levels


def _opened(frame: bytes, magic: bytes, kind: str) -> tuple[int, Box, NDArray[Any], int]:
    if len(frame) < HEADER.size or frame[:4] != magic:
        raise ShapeError(f"A patch frame needs a header of {HEADER.size} bytes that begins with {magic.decode()}.")
    _, position, flags, *corners, layer = HEADER.unpack_from(frame)
    box = Box((corners[0], corners[1], corners[2]), (corners[3], corners[4], corners[5]))
    size = box.size * np.dtype(kind).itemsize
    payload = frame[HEADER.size :]
    if flags & PACKED:
        payload = zlib.decompressobj().decompress(payload, size + 1)
    if len(payload) != size:
        raise ShapeError(f"A frame of {box.size} voxels needs {size} bytes; got {len(payload)}.")
    return position, box, np.frombuffer(payload, kind).reshape(box.shape), layer


def light_state(session: Session) -> dict[str, Any]:
    """Return what changes with every event: labels and the places of events."""
    return {
        "labels": [label_to_json(label) for label in session.labels.values()],
        "done": list(session.done),
        "undone": list(session.undone),
        "pending": list(session.pending),
    }


def full_state(session_id: str, case_id: str, session: Session) -> dict[str, Any]:
    """Return everything a client needs to show a session, except its map."""
    events: Sequence[dict[str, Any]] = [event_to_json(event) for event in session.events]
    return {"id": session_id, "case": case_id, "shape": list(session.shape), "events": events, **light_state(session)}
