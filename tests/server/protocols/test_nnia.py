"""The container of nnInteractive: there and back, and what lies about its size takes no memory."""

import struct
import sys
import tracemalloc
from importlib import import_module

import blosc2
import numpy as np
import pytest

from segmend.errors import LimitError, SettingsError
from segmend.server.protocols import nnia
from segmend.server.replies import UnreadableError
from tests.fuzz import viewers


def anything(shape, size):
    """What takes an array of any size."""


def container(array, *, codec=None, filters=None, chunk=1 << 30, **changes):
    """Return an array as a viewer packs it; `changes` put other numbers into the header."""
    values = {"magic": b"NNIA", "version": 1, "number": 1, "name": array.dtype.name.encode(), "shape": array.shape}
    values |= changes
    raw = np.ascontiguousarray(array).tobytes()
    options = {"typesize": array.dtype.itemsize, "codec": codec or blosc2.Codec.ZSTD, "clevel": 3}
    options["filters"] = [filters or blosc2.Filter.NOFILTER]
    pieces = [raw[i : i + chunk] for i in range(0, len(raw), chunk)]
    chunks = [(len(piece), blosc2.compress2(piece, **options)) for piece in pieces]
    head = struct.pack(
        "<4s4B", values["magic"], values["version"], values["number"], len(values["shape"]), len(values["name"])
    )
    body = head + values["name"] + struct.pack(f"<{len(values['shape'])}q", *values["shape"])
    body += struct.pack("<I", changes.get("count", len(chunks)))
    return body + b"".join(struct.pack("<QQ", length, len(packed)) + packed for length, packed in chunks)


@pytest.mark.parametrize("kind", sorted(nnia.TYPES))
@pytest.mark.parametrize("filters", ["NOFILTER", "SHUFFLE", "BITSHUFFLE"])
@pytest.mark.parametrize("codec", ["ZSTD", "LZ4"])
def test_what_viewers_pack_is_read(kind, filters, codec):
    array = (100 * np.random.default_rng(0).random((1, 3, 4, 50)) > 40).astype(kind)
    packed = container(array, codec=blosc2.Codec[codec], filters=blosc2.Filter[filters])

    found = nnia.unpack(packed, fits=anything)

    assert found.dtype == kind
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "array", [np.zeros((5, 6, 7), np.uint8), np.ones((5, 6, 7), bool), np.full((200, 300, 9), 7, "i2")]
)
def test_what_is_packed_here_is_read_here(array):
    found = nnia.unpack(nnia.pack(array), fits=anything)

    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_several_chunks_are_one_array(monkeypatch):
    array = np.arange(3 * 50 * 70, dtype=np.int16).reshape(3, 50, 70)
    np.testing.assert_array_equal(nnia.unpack(container(array, chunk=4000), fits=anything), array)

    monkeypatch.setattr(nnia, "CHUNK_BYTES", 4096)
    np.testing.assert_array_equal(nnia.unpack(nnia.pack(array), fits=anything), array)


SMALL = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"magic": b"NOPE"}, "NNIA, version 1"),
        ({"version": 2}, "NNIA, version 1"),
        ({"number": 7}, "NNIA, version 1"),
        ({"name": b"object"}, "got 'object'"),
        ({"name": b"i4,(9,9)f8"}, "numbers of a type among"),
        ({"name": b"complex128"}, "numbers of a type among"),
        ({"shape": (2, 3, -4)}, "none of them empty"),
        ({"shape": (2, 0, 4)}, "none of them empty"),
        ({"shape": ()}, "1 to 4 axes"),
        ({"shape": (1, 1, 2, 3, 4)}, "1 to 4 axes"),
        ({"shape": (2, 3, 5)}, "needs 60 bytes; it has others"),
        ({"shape": (2**62, 4, 4)}, "bytes; it has others"),
        ({"count": 0}, "goes on behind its last chunk|it has others"),
        ({"count": 2}, "no room for the 2 chunks|ends among its chunks"),
        ({"count": 2**32 - 1}, "no room for the 4294967295 chunks"),
    ],
)
def test_a_header_that_lies_is_refused(changes, words):
    with pytest.raises(UnreadableError, match=words):
        nnia.unpack(container(SMALL, **changes), fits=anything)


def test_what_ends_too_early_or_goes_on_is_refused():
    packed = container(SMALL)

    for length in range(len(packed)):
        with pytest.raises(UnreadableError):
            nnia.unpack(packed[:length], fits=anything)
    with pytest.raises(UnreadableError, match="goes on behind its last chunk"):
        nnia.unpack(packed + b"x", fits=anything)


def chunk_place(packed):
    """Return where the header of the only chunk begins."""
    return packed.index(b"int16") + 5 + 3 * 8 + 4 + 16


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (0, 9, "a format of the future"),
        (2, 0xD5, "a codec that is a plugin"),
        (2, 0x65, "a codec that viewers do not use"),
        (22, 37, "a codec that is a plugin, too"),
        (24, 200, "a filter with a setting"),
        (2, 0x20, "a header of 16 bytes"),
        (3, 0, "numbers of no bytes"),
        (11, 0x7F, "blocks of gigabytes"),
        (16, 35, "a filter that is a plugin"),
        (16, 3, "a filter that looks at another chunk"),
        (30, 1, "blocks of unequal length"),
        (31, 0x01, "a dictionary"),
        (31, 0x08, "a chunk that is not there"),
        (31, 0x40, "memory as it was"),
    ],
)
def test_a_chunk_that_asks_for_what_viewers_do_not_use_is_refused(offset, value, what):
    packed = bytearray(container(np.arange(4096, dtype=np.int16).reshape(8, 16, 32)))
    packed[chunk_place(packed) + offset] = value

    with pytest.raises(UnreadableError, match="of a kind that viewers do not send"):
        nnia.unpack(bytes(packed), fits=anything)


def zeros_of(size):
    """Return a chunk of 32 bytes that unpacks to so many zeros."""
    chunk = bytearray(blosc2.compress2(np.zeros(1 << 20, np.uint8), typesize=1))
    assert len(chunk) == 32
    chunk[4:8] = struct.pack("<i", size)
    return bytes(chunk)


@pytest.mark.parametrize("claimed", [1 << 20, 1 << 30, 2**31 - 1])
def test_a_small_chunk_that_claims_a_gigabyte_takes_no_memory(claimed):
    chunk = zeros_of(claimed)
    name = b"uint8"
    head = struct.pack("<4s4B5sqqqI", b"NNIA", 1, 1, 3, 5, name, 1024, 1024, 1024, 1)
    packed = head + struct.pack("<QQ", 1 << 30, len(chunk)) + chunk
    small = struct.pack("<4s4B5sqqqI", b"NNIA", 1, 1, 3, 5, name, 2, 2, 2, 1)
    tracemalloc.start()

    with pytest.raises((LimitError, UnreadableError)):
        nnia.unpack(packed, fits=nnia.within(64 << 20))
    with pytest.raises(UnreadableError):  # the shape fits, the chunk does not
        nnia.unpack(small + struct.pack("<QQ", 8, len(chunk)) + chunk, fits=nnia.within(64 << 20))

    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_truths_are_truths():
    packed = container(np.array([[[0, 1, 2]]], np.uint8), name=b"bool")

    with pytest.raises(UnreadableError, match="other numbers than 0 and 1"):
        nnia.unpack(packed, fits=anything)


def test_damage_is_read_or_refused():
    found = viewers.fuzz_containers(2000, seed=0)

    assert found.faults == []
    assert found.outcomes["UnreadableError"] > 1000
    assert found.outcomes["read"] > 50


def test_the_sentence_names_the_extra_where_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "blosc2", None)
    nnia.blosc2.cache_clear()

    with pytest.raises(SettingsError, match=r"pip install 'segmend\[viewers\]'"):
        nnia.pack(SMALL)

    monkeypatch.undo()
    nnia.blosc2.cache_clear()
    assert nnia.blosc2() is import_module("blosc2")
