"""What happens to files: bits flip, numbers in headers become others, pieces are lost, doubled and exchanged."""

from __future__ import annotations

import re
from random import Random

# Numbers at which readers go wrong: sizes, counts and places that no file has.
ODD = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**20,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
ODD_TEXT = (b"0", b"-1", b"1e300", b"nan", b"inf", b"99999999999999999999", b"65536", b"", b"1 2", b"0x10")
# Bytes at the start in which most that can go wrong stands.
HEADER = 700


def damaged(data: bytes, random: Random) -> bytes:
    """Return a file's bytes with one to four changes.

    >>> damaged(b"a sound file", Random(1)) != b"a sound file"
    True
    """
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if out:
            random.choice(CHANGES)(out, random)
    return bytes(out)


def _place(out: bytearray, random: Random) -> int:
    """Return a place, in the header as often as elsewhere."""
    return random.randrange(min(len(out), HEADER) if random.random() < 0.6 else len(out))


def _cut(out: bytearray, random: Random) -> None:
    del out[random.randrange(len(out)) :]


def _flip(out: bytearray, random: Random) -> None:
    out[_place(out, random)] ^= 1 << random.randrange(8)


def _set(out: bytearray, random: Random) -> None:
    out[_place(out, random)] = random.randrange(256)


def _number(out: bytearray, random: Random) -> None:
    size = random.choice((1, 2, 4, 4, 8))
    value = random.choice(ODD) if random.random() < 0.7 else random.getrandbits(64)
    at = _place(out, random)
    out[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, random.choice(("little", "big")))


def _text(out: bytearray, random: Random) -> None:
    """Exchange a number that is written out."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(out[:4096])))
    if found:
        chosen = random.choice(found)
        out[chosen.start() : chosen.end()] = random.choice(ODD_TEXT)


def _gap(out: bytearray, random: Random) -> None:
    at = _place(out, random)
    del out[at : at + random.randint(1, 16)]


def _double(out: bytearray, random: Random) -> None:
    at = _place(out, random)
    out[at:at] = out[at : at + random.randint(1, 64)] * random.choice((1, 1, 50))


def _blank(out: bytearray, random: Random) -> None:
    at, size = _place(out, random), random.choice((2, 4, 64, 1024))
    out[at : at + size] = bytes([random.choice((0, 255))]) * min(size, len(out) - at)


def _exchange(out: bytearray, random: Random) -> None:
    """Let two pieces change places."""
    one, other, size = _place(out, random), _place(out, random), random.choice((2, 4, 12, 32))
    first, second = bytes(out[one : one + size]), bytes(out[other : other + size])
    out[one : one + size], out[other : other + size] = second, first


CHANGES = (_cut, _flip, _flip, _set, _set, _number, _number, _number, _text, _gap, _double, _blank, _exchange)
