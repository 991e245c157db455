"""Patch frames travel there and back, whatever the array they were cut from."""

import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.core.image import Box
from segmend.errors import ShapeError
from segmend.server.sessions.wire import EMPTY_BOX, pack, pack_uncertainty, to_levels, unpack

MAP = np.arange(4 * 30 * 50, dtype=np.uint16).reshape(4, 30, 50)


def boxes():
    ends = [st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True).map(sorted) for n in MAP.shape]
    return st.tuples(*ends).map(lambda e: Box(tuple(low for low, _ in e), tuple(high for _, high in e)))


@given(box=boxes(), position=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_a_slice_of_a_map_arrives_as_it_was(box, position):
    frame = unpack(pack(position, box, MAP[box.slices]))

    assert (frame.position, frame.box) == (position, box)
    np.testing.assert_array_equal(frame.values, MAP[box.slices])


@pytest.mark.parametrize(
    "values",
    [
        MAP[::2, ::3, ::-1],
        MAP.transpose(2, 0, 1)[:5],
        MAP.astype(">u2")[1:3],
        np.asfortranarray(MAP)[:, 3:7, 5:9],
        np.broadcast_to(np.uint16(7), (2, 3, 4)),
    ],
    ids=["steps", "turned", "big endian", "column order", "broadcast"],
)
def test_strides_and_byte_order_do_not_matter(values):
    frame = unpack(pack(1, Box((0, 0, 0), values.shape), values))

    np.testing.assert_array_equal(frame.values, values)


def test_the_bytes_are_as_documented():
    frame = pack(258, Box((1, 2, 3), (2, 4, 6)), np.arange(6, dtype=np.uint16).reshape(1, 2, 3))

    assert struct.unpack("<4s9I", frame[:40]) == (b"SGM1", 258, 0, 1, 2, 3, 2, 4, 6, 0)
    assert frame[40:] == struct.pack("<6H", 0, 1, 2, 3, 4, 5)


def test_large_payloads_are_packed():
    values = np.zeros((1, 512, 512), np.uint16)

    frame = pack(0, Box((0, 0, 0), values.shape), values)

    assert len(frame) < 5000 and struct.unpack_from("<I", frame, 8) == (2,)
    assert zlib.decompress(frame[40:]) == values.tobytes()


def test_a_frame_is_laid_over_any_older_state():
    old, new = np.full((2, 3, 4), 9, np.uint16), np.full((1, 1, 2), 5, np.uint16)

    unpack(pack(0, Box((1, 1, 1), (2, 2, 3)), new)).onto(old)

    assert old.tolist()[1][1] == [9, 5, 5, 9] and (old == 5).sum() == 2


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"SGM1", "a header of 40 bytes"),
        (b"SGM2" + bytes(36), "begins with SGM1"),
        (pack(0, Box((0, 0, 0), (1, 1, 3)), MAP[:1, :1, :3])[:-1], "3 voxels needs 6 bytes; got 5"),
    ],
)
def test_what_is_no_frame_is_refused(frame, words):
    with pytest.raises(ShapeError, match=re.escape(words)):
        unpack(frame)


def test_a_payload_that_unpacks_to_more_is_refused_early():
    bomb = zlib.compress(bytes(10**7))
    frame = struct.pack("<4s9I", b"SGM1", 0, 2, 0, 0, 0, 1, 1, 1, 0) + bomb

    with pytest.raises(ShapeError, match="needs 2 bytes; got 3"):
        unpack(frame)


def test_values_must_fit_the_box():
    with pytest.raises(ShapeError, match=r"needs values of shape \(1, 1, 1\); got \(4, 30, 50\)"):
        pack(0, Box((0, 0, 0), (1, 1, 1)), MAP)


def test_an_empty_box_has_no_payload():
    assert len(pack(0, EMPTY_BOX, np.zeros((0, 0, 0), np.uint16))) == 40


def test_a_uncertainty_frame_has_a_byte_a_voxel():
    frame = pack_uncertainty(4, Box((1, 2, 3), (2, 3, 6)), to_levels(np.array([[[-1, 0.5, 1.1]]], np.float32)))

    assert struct.unpack("<4s9I", frame[:40]) == (b"SGD1", 4, 0, 1, 2, 3, 2, 3, 6, 0)
    assert frame[40:] == bytes([0, 128, 255])
    with pytest.raises(ShapeError, match="needs values of shape"):
        pack_uncertainty(4, Box((0, 0, 0), (1, 1, 1)), np.zeros((1, 1, 2), np.uint8))
