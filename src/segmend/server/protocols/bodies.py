"""Bodies that carry arrays: in memory while they are small, on the disk beyond that, and never more than allowed."""

from __future__ import annotations

import mmap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from segmend.errors import DiskFullError, LimitError

# Bytes up to which a body stays in memory.
SMALL_BYTES = 8 << 20
# Bytes gathered before a thread writes them.
PIECE_BYTES = 1 << 20


@asynccontextmanager
async def received(request: Request, *, most_bytes: int, folder: Path) -> AsyncIterator[bytes | memoryview]:
    """Give a request's body; LimitError as soon as it is too long.

    A large one lies in a file without a name, which is gone with the request, or with the server that is killed.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    pieces: list[bytes] = []
    size = waiting = 0
    file: IO[bytes] | None = None
    try:
        async for piece in request.stream():
            pieces.append(piece)
            size += len(piece)
            waiting += len(piece)
            if size > most_bytes:
                raise _too_large(most_bytes)
            if size > SMALL_BYTES and waiting >= PIECE_BYTES:
                file = await run_in_threadpool(_write, file, pieces, folder)
                pieces, waiting = [], 0
        if file is None:
            yield b"".join(pieces)
            return
        await run_in_threadpool(_write, file, pieces, folder)
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            try:
                yield view
            finally:
                with suppress(BufferError):  # an error that is being raised still looks into it
                    view.release()
    finally:
        if file is not None:
            file.close()


def _write(file: IO[bytes] | None, pieces: list[bytes], folder: Path) -> IO[bytes]:
    """Write pieces to a file, which is made when there is none."""
    try:
        file = file or TemporaryFile(dir=folder)  # noqa: SIM115 - whoever receives the body closes it
        file.writelines(pieces)
        file.flush()
    except OSError as error:
        raise DiskFullError(f"The body could not be written: {error.strerror or 'the disk refused'}.") from None
    return file


def _too_large(most_bytes: int) -> LimitError:
    return LimitError(f"A body may have {most_bytes} bytes here; this one is larger.")
