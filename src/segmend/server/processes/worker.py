"""The process that answers: it loads methods, opens images, and works out answers part by part, as it is asked.

It does one thing at a time. What it keeps is held to the same kind of budget as the server's own, of which the server
says with each request how much is left. It ends when the server does, and when a request takes much longer than it may:
the timer for that needs no lock of Python's.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import traceback
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from segmend import methods
from segmend.core.image import Image
from segmend.core.segmenter import Prediction, Workspace
from segmend.errors import SegmendError
from segmend.runtime.budget import MEMORY, limit_arenas
from segmend.server.processes.held import array_bytes
from segmend.server.processes.messages import (
    Asked,
    Begin,
    ImageFile,
    Key,
    Load,
    Next,
    Open,
    Prepare,
    Tidy,
    part_reply,
    receive_asked,
    send_reply,
)

# Seconds beside those that a request may take, after which the process ends by itself: the server ends it before.
GRACE_SECONDS = 30.0
# How much rather than others this process is ended by Linux when memory runs out, 0 to 1000.
FIRST_TO_GO = 500

Values = tuple[dict[str, Any], Sequence[NDArray[Any]]]


def main() -> None:
    """Be a process of its own: requests come on standard input, replies go to standard output."""
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what libraries print is no reply
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which ends this process
    faulthandler.enable()
    limit_arenas()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
    with threadpool_limits(1, user_api="blas"), suppress(EOFError, BrokenPipeError):
        Worker().serve(requests, replies)


class Worker:
    """The workspaces of this process, and the answers in the making."""

    def __init__(self) -> None:
        self._owner = object()  # of workspaces in `MEMORY`
        self._open: weakref.WeakValueDictionary[Key, _Opened] = weakref.WeakValueDictionary()
        self._images: weakref.WeakValueDictionary[ImageFile, Image] = weakref.WeakValueDictionary()
        self._answers: dict[int, _Answer] = {}

    def serve(self, requests: IO[bytes], replies: IO[bytes]) -> None:
        """Answer requests until there are no more."""
        while True:
            asked = receive_asked(requests)
            faulthandler.dump_traceback_later(asked.seconds + GRACE_SECONDS, exit=True)
            values, arrays = self._reply(asked)
            faulthandler.cancel_dump_traceback_later()
            send_reply(replies, {**values, **self._standing()}, arrays)

    def _reply(self, asked: Asked) -> Values:
        try:
            for number in asked.stopped:
                self._end(number)
            used = getattr(asked.request, "key", None)
            MEMORY.forget_where(self._owner, (set(asked.closed) - {used}).__contains__)
            MEMORY.get(self._owner, used)  # so that it goes last
            MEMORY.limit_bytes = asked.limit_bytes
            return self._do(asked)
        except SegmendError as error:
            return {"error": [type(error).__name__, str(error)]}, []
        except Exception as error:  # of the method; its message may hold a name or file contents
            places = [
                f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)
            ]
            return {"failed": f"{type(error).__name__} at {' > '.join(places[-8:])}"}, []

    def _do(self, asked: Asked) -> Values:
        match asked.request:
            case Load(method=method, weights=weights, device=device, dimensions=dimensions):
                methods.load_where_possible(method, weights, device, warm=[dimensions])
            case Open() as request:
                return {
                    "labels": [[int(value), name] for value, name in self._opened(request).workspace.labels.items()]
                }, []
            case Prepare(key=key):
                self._prepare(key)
            case Begin() as request:
                self._answers[request.number] = _Answer(self._open[request.key], self._begun(request))
                return self._next(request.number)
            case Next(number=number):
                return self._next(number)
            case Tidy():
                pass
        return {}, []

    def _opened(self, request: Open) -> _Opened:
        method = request.key[1]
        image = self._images.get(request.image)
        if image is None:
            image = self._images[request.image] = request.image.image()
        dimensions = [2 if image.flat else 3]
        segmenter = methods.load_where_possible(method, request.weights, request.device, warm=dimensions)
        opened = self._open[request.key] = _Opened(request.key, image, segmenter.open(image))
        self._weigh(opened)
        return opened

    def _prepare(self, key: Key) -> None:
        opened = self._open.get(key)
        if opened is not None and not any(answer.opened is opened for answer in self._answers.values()):
            opened.workspace.prepare()
            self._weigh(opened)

    def _begun(self, request: Begin) -> Iterator[Prediction]:
        workspace = self._open[request.key].workspace.with_finetuning(request.finetune)
        if request.label is not None:
            return workspace.guess(request.label)
        return workspace.calibrated_stream(request.prompts, request.previous)

    def _next(self, number: int) -> Values:
        answer = self._answers[number]
        try:
            part = next(answer.parts, None)
        except BaseException:
            self._end(number)
            raise
        if part is None:
            self._end(number)
        values, arrays = part_reply(part)
        return values, arrays

    def _end(self, number: int) -> None:
        """Let go of an answer, and look how much memory its workspace holds now."""
        answer = self._answers.pop(number, None)
        if answer is None:
            return
        if hasattr(answer.parts, "close"):
            answer.parts.close()
        if MEMORY.get(self._owner, answer.opened.key) is answer.opened:
            self._weigh(answer.opened)

    def _weigh(self, opened: _Opened) -> None:
        MEMORY.put(self._owner, opened.key, opened, array_bytes(opened.workspace, opened.image))

    def _standing(self) -> dict[str, Any]:
        """Return what is kept here: each workspace, and all features together."""
        sizes = MEMORY.sizes_of(self._owner)
        kept = [[*key, size] for key, size in sizes.items()]
        return {"kept": kept, "features": MEMORY.size_bytes - sum(sizes.values())}


class _Opened:
    """An image that is open for a method."""

    def __init__(self, key: Key, image: Image, workspace: Workspace) -> None:
        self.key, self.image, self.workspace = key, image, workspace


class _Answer:
    """An answer in the making; its workspace stays, whatever else goes."""

    def __init__(self, opened: _Opened, parts: Iterator[Prediction]) -> None:
        self.opened, self.parts = opened, parts
