"""What a server and a process that answers say to each other, through two pipes.

A message is a header and some arrays behind it, so that these are copied once on each side and never packed into text:

    u64  bytes of the header
    u64  number of arrays, then the bytes of each
    the header, then the arrays

The server asks, and gets one reply to each request. A request's header is pickled (the server wrote it); a reply's is
JSON, for what runs in the process may be another package's:

    {"kept": [[session, method, bytes], ...], "features": bytes,
     "labels": [[value, name], ...]                       to `Open`
     "part": {"box": [low, high], "quality": q, ...}      to `Begin` and `Next`; null where there are no more
     "error": [class, sentence]                           what the method refuses
     "failed": "where"}                                   an error of the method's own, without its message
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Prediction
from segmend.core.session import Finetune
from segmend.runtime.engine import Device

Key = tuple[str, str]  # session id, method id
COUNT = struct.Struct("<Q")


@dataclass(frozen=True)
class ImageFile:
    """An image whose voxels lie in a file, from which any process maps them."""

    path: Path
    offset: int  # where they begin, bytes
    kind: str  # of the numbers, as NumPy names it
    shape: tuple[int, ...]  # [c z y x]
    affine: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...]

    def image(self) -> Image:
        """Return the image; nothing of it is read before somebody looks."""
        voxels = np.memmap(self.path, np.dtype(self.kind), "r", self.offset, self.shape)
        return Image(voxels, np.array(self.affine), self.notes, axes="zyx")


@dataclass(frozen=True)
class Open:
    """Open an image for a method, which is loaded if need be."""

    key: Key
    image: ImageFile
    weights: Path | None
    device: Device


@dataclass(frozen=True)
class Load:
    """Load a method and warm it for images of 2 or 3 dimensions."""

    method: str
    weights: Path | None
    device: Device
    dimensions: int


@dataclass(frozen=True)
class Prepare:
    """Do ahead what a workspace can, unless an answer is in the making."""

    key: Key


@dataclass(frozen=True, eq=False)
class Begin:
    """Begin an answer and return its first part: of prompts and the mask so far, or a label's without any."""

    number: int  # of the answer, in this process
    key: Key
    finetune: Finetune
    prompts: tuple[Prompt, ...] = ()
    shape: Index = (0, 0, 0)
    low: Index = (0, 0, 0)  # where what there is of the mask so far begins
    inside: MaskArray | None = None  # [z y x] from there; None where the mask is empty
    label: int | None = None

    @property
    def previous(self) -> MaskArray:
        """The mask so far."""
        mask = np.zeros(self.shape, bool)
        if self.inside is not None:
            mask[tuple(slice(a, a + n) for a, n in zip(self.low, self.inside.shape, strict=True))] = self.inside
        return mask


@dataclass(frozen=True)
class Next:
    """Return the next part of an answer."""

    number: int


@dataclass(frozen=True)
class Tidy:
    """Do nothing but what comes with every request."""


Request = Open | Load | Prepare | Begin | Next | Tidy


@dataclass(frozen=True, eq=False)
class Asked:
    """A request, and what comes with each."""

    request: Request
    seconds: float  # that it may take
    limit_bytes: int  # for all that is kept there
    closed: Sequence[Key] = ()  # workspaces that are not wanted any longer
    stopped: Sequence[int] = ()  # answers that nobody waits for


@dataclass(frozen=True, eq=False)
class Reply:
    """What a process says."""

    values: Mapping[str, Any]
    arrays: Sequence[bytearray] = field(default=())

    @property
    def part(self) -> Prediction | None:
        """The part of an answer; None where there are no more."""
        part = self.values["part"]
        if part is None:
            return None
        low, high = part["box"]
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        arrays = [_array(kind, box.shape, data) for kind, data in zip(part["kinds"], self.arrays, strict=True)]
        uncertainty = arrays[1] if len(arrays) > 1 else None
        return Prediction(arrays[0], box, part["quality"], uncertainty, part["finetuned"])


def cropped(mask: MaskArray) -> tuple[Index, MaskArray | None]:
    """Return where a mask begins and what lies in its box; None where it is empty.

    >>> cropped(np.array([[[False, True, True, False]]]))
    ((0, 0, 1), array([[[ True,  True]]]))
    """
    box = bounds(mask)
    return ((0, 0, 0), None) if box is None else (box.low, np.ascontiguousarray(mask[box.slices]))


def part_reply(part: Prediction | None) -> tuple[dict[str, Any], list[Real]]:
    """Return a part of an answer as values, and its arrays."""
    if part is None:
        return {"part": None}, []
    arrays = [part.probability] if part.uncertainty is None else [part.probability, part.uncertainty]
    contiguous = [np.ascontiguousarray(array) for array in arrays]
    values = {
        "box": [[int(at) for at in part.box.low], [int(at) for at in part.box.high]],
        "kinds": [array.dtype.str for array in contiguous],
        "quality": None if part.quality is None else float(part.quality),
        "finetuned": bool(part.finetuned),
    }
    return {"part": values}, contiguous


def send_asked(file: IO[bytes], asked: Asked) -> None:
    """Send a request."""
    buffers: list[pickle.PickleBuffer] = []
    header = pickle.dumps(asked, protocol=5, buffer_callback=buffers.append)
    _send(file, header, [buffer.raw() for buffer in buffers])


def receive_asked(file: IO[bytes]) -> Asked:
    """Wait for a request; EOFError when there will be none any longer."""
    header, arrays = _receive(file)
    asked: Asked = pickle.loads(header, buffers=arrays)  # noqa: S301 - by the server that started this process
    return asked


def send_reply(file: IO[bytes], values: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> None:
    """Send a reply."""
    _send(file, json.dumps(values).encode(), [array.reshape(-1).view(np.uint8).data for array in arrays])


def receive_reply(file: IO[bytes]) -> Reply:
    """Wait for a reply; EOFError when there will be none."""
    header, arrays = _receive(file)
    return Reply(json.loads(header), arrays)


def _array(kind: str, shape: Index, data: bytearray) -> Real:
    array: Real = np.frombuffer(data, np.dtype(kind)).reshape(shape) if data else np.zeros(shape, np.dtype(kind))
    return array


def _send(file: IO[bytes], header: bytes, arrays: Sequence[memoryview]) -> None:
    sizes = [len(header), len(arrays), *(array.nbytes for array in arrays)]
    _write(file, memoryview(b"".join(COUNT.pack(size) for size in sizes) + header))
    for array in arrays:
        _write(file, array)


def _write(file: IO[bytes], data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _receive(file: IO[bytes]) -> tuple[bytes, list[bytearray]]:
    size, count = (COUNT.unpack(_read(file, COUNT.size))[0] for _ in range(2))
    sizes = [COUNT.unpack(_read(file, COUNT.size))[0] for _ in range(count)]
    return bytes(_read(file, size)), [_read(file, one) for one in sizes]


def _read(file: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return data
