"""Prompts of viewers that are answered with the whole mask of their object, and the forms such viewers send."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from segmend.core.image import Box, Index, MaskArray
from segmend.core.prompts import Prompt
from segmend.core.session import Session
from segmend.errors import LimitError
from segmend.server.protocols.visits import session_of
from segmend.server.replies import UnreadableError
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.sessions import open_session
from segmend.server.sessions.wire import EMPTY_BOX
from segmend.server.state import Shared
from segmend.store.visitors import Lease

# Seconds that an answer is waited for.
WAIT_SECONDS = 120.0
# Bytes of a field of a form.
FIELD_BYTES = 4000
# Bytes that are unpacked at a time.
PIECE_BYTES = 1 << 20


async def mask_after(
    here: Shared, lease: Lease, who: str, made: Callable[[Index], Prompt | None]
) -> tuple[Lease, MaskArray]:
    """Put down the prompt that is made for the image's shape; return the object's mask, and the lease as it is then.

    None changes nothing.
    """
    prompt = made(await run_in_threadpool(shape_of, here, lease))
    if prompt is not None:
        lease = await run_in_threadpool(here.visits.place, lease, prompt, who)
    async with open_session(here, session_of(lease)) as opened:
        if prompt is not None:
            method = here.settings.method
            _, future = await run_in_threadpool(here.visits.put, opened, lease, prompt, method, who)
            waiting = asyncio.wrap_future(future)
            if (await asyncio.wait([waiting], timeout=WAIT_SECONDS))[0]:
                waiting.result()
        return lease, await run_in_threadpool(mask_of, opened, lease.label)


def mask_of(opened: OpenSession, label: int) -> MaskArray:
    """Return the mask of a label as it is now."""
    session, box, values = opened.look(everywhere, label)
    mask = np.zeros(session.shape, bool)
    mask[box.slices] = values == label
    return mask


def everywhere(session: Session) -> Box:
    """Return a box round all that was ever answered."""
    found = EMPTY_BOX
    for patch in session.answers.values():
        found = found.union(patch.box)
    return found


def shape_of(here: Shared, lease: Lease) -> Index:
    """Return the shape of a lease's image."""
    with here.sessions.open(session_of(lease)) as opened:
        return opened.session.shape


async def form_of(request: Request, here: Shared) -> tuple[bytes, dict[str, str]]:
    """Return the file of a form and its other fields, whatever the request says of their packing."""
    most, length = here.settings.max_upload_bytes, request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > most:
        raise LimitError(f"A form needs to say how long it is, and may have {most} bytes here.")
    async with request.form(max_files=1, max_fields=8, max_part_size=FIELD_BYTES) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise UnreadableError("The form needs a file in the field 'file'.")
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        return await file.read(), fields


def inflated(packed: bytes, size: int) -> Iterator[bytes]:
    """Yield what gzip has packed, a piece at a time; UnreadableError unless it is exactly `size` bytes.

    >>> import gzip
    >>> b"".join(inflated(gzip.compress(b"abc"), 3))
    b'abc'
    """
    unpacking = zlib.decompressobj(wbits=31)
    waiting, left = packed, size
    try:
        while left:
            piece = unpacking.decompress(waiting, min(PIECE_BYTES, left))
            if not piece:
                raise UnreadableError(f"The packed file needs {size} bytes; it has {size - left}.")
            waiting, left = unpacking.unconsumed_tail, left - len(piece)
            yield piece
        if unpacking.decompress(waiting, 1) or not unpacking.eof:
            raise UnreadableError(f"The packed file needs {size} bytes; it has more, or is damaged.")
    except zlib.error:
        raise UnreadableError("The file is not packed by gzip, or damaged.") from None
