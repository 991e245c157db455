"""The processes that answer, and which workspace is in which.

A process does one thing at a time: who wants something of it takes its turn (`Processes._turn`), opens the workspace
there if it is not open, asks for one part, and lets others have theirs. Processes are started when they are needed, a
second one only when the first is busy; a workspace that waits long behind others moves to one that is free.

A process that ends or hangs takes its workspaces with it, and nothing else: whatever is in them follows from the image,
the prompts and the mask so far, which the server has. So an answer of somebody else's goes on in a new process behind
the parts that were told already, and an answer during which a process ended is tried once more; only when the process
ends again, or did not come back in its time, is it refused with one sentence. The others' workspaces are opened again
when nobody waits for anything.

Locks, in this order: `Opened.using`, a place's turn, then the budget of memory, whose calls back only note what a
process is to be told with its next request. None is held while a lock of an open session is taken.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from segmend import errors, methods
from segmend.core.image import Image, MaskArray
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Prediction, Workspace
from segmend.core.session import Finetune
from segmend.errors import MethodError, SegmendError
from segmend.runtime.budget import Memory
from segmend.runtime.engine import AUTO, Device
from segmend.server.metrics import ENDED_PROCESSES
from segmend.server.processes.image_files import ImageFiles
from segmend.server.processes.messages import (
    Asked,
    Begin,
    Key,
    Load,
    Next,
    Open,
    Prepare,
    Reply,
    Request,
    Tidy,
    cropped,
)
from segmend.server.processes.process import EndedError, Process
from segmend.server.processes.turn import Turn

log = logging.getLogger("segmend.server")
Done = TypeVar("Done")

# How often an answer is tried again in a new process when one ended during it.
RETRIES = 1
# Seconds that a workspace waits for its process before it moves to one that is free.
MOVE_SECONDS = 0.3
# Seconds between two looks at whether a process is late, or is to be told something.
LOOK_SECONDS = 0.2
# Workspaces that are opened again after their process ended, the ones used last.
REOPENED = 8


@dataclass(frozen=True)
class Apart:
    """How methods are answered in processes of their own."""

    processes: int  # at most; 0: none
    seconds: float  # that a part of an answer, or opening an image, may take
    everything: bool = False  # also Segmend's own methods that are as safe as the server


class FailedApartError(Exception):
    """A method's own error in its process, where the log says which."""


class Opened:
    """An image that is to be open for a method, in whichever process."""

    def __init__(self, key: Key, image: Image) -> None:
        self.key, self.image = key, image
        self.place: Place | None = None
        self.using = threading.Lock()  # held by who asks it
        self.labels: Mapping[int, str] = {}


class Place:
    """Where a process runs, or may run: its turn, and what it is to be told with the next request."""

    def __init__(self) -> None:
        self.turn = Turn()
        self.process: Process | None = None
        self.opened: list[Opened] = []  # in the process, the one used last at the end
        self.counted: set[Key] = set()  # of what is open, in the budget
        self.closed: deque[Key] = deque()
        self.stopped: deque[int] = deque()
        self.tight = False  # memory is wanted that it has


class Processes:
    """Processes that answer, as many as are set, within one budget of memory with the server."""

    def __init__(
        self,
        apart: Apart,
        memory: Memory,
        *,
        folder: Callable[[], Path],
        weights: Mapping[str, Path] | None = None,
        device: Device = AUTO,
        waiting: Callable[[], AbstractContextManager[None]],
        when_idle: Callable[[Iterator[object]], None],
    ) -> None:
        self._apart = apart
        self._memory = memory
        self._weights = weights or {}
        self._device = device
        self._waiting = waiting  # entered while a thread waits here
        self._when_idle = when_idle  # takes work for when nobody waits for anything
        self._images = ImageFiles(folder)
        self._places = [Place() for _ in range(apart.processes)]
        self._owner = object()  # of workspaces in the budget
        self.numbers = count()
        self._lock = threading.Lock()  # which workspace is where
        self._over = threading.Event()
        self._overseer: threading.Thread | None = None

    @property
    def running(self) -> tuple[int, ...]:
        """The ids of the processes that run."""
        there = [place.process for place in self._places]
        return tuple(process.number for process in there if process is not None and process.alive)

    @property
    def size_bytes(self) -> int:
        """What workspaces hold there, all together."""
        return self._memory.size_of(self._owner)

    def load(self, method: str, dimensions: int) -> None:
        """Load a method and warm it, before somebody waits for it."""
        weights = self._weights.get(methods.family_of(method))
        with self._turn(None) as place:
            self.ask(place, Load(method, weights, self._device, dimensions))
            assert place.process is not None
            place.process.methods.add(method)

    def takes(self, method: str) -> bool:
        """Tell whether a method is answered here."""
        return bool(self._places) and (self._apart.everything or not methods.is_built_in(method))

    def open(self, session_id: str, method: str, image: Callable[[], Image]) -> Workspace:
        """Return the workspace of a method in a session."""
        key = (session_id, method)
        opened: Opened | None = self._memory.get(self._owner, key)
        if opened is None:
            opened = Opened(key, image())
            try:
                self._at(opened, partial(self.enter, opened))
            except BaseException:
                self._memory.forget_where(self._owner, lambda kept: bool(kept == key))
                raise
        return WorkspaceApart(self, opened)

    def holds(self, session_id: str, method: str) -> bool:
        """Tell whether a session's workspace is open."""
        return self._memory.get(self._owner, (session_id, method)) is not None

    def forget(self, session_id: str) -> None:
        """Close a session's workspaces."""
        self._memory.forget_where(self._owner, lambda key: bool(key[0] == session_id))

    def prepare(self, opened: Opened) -> None:
        """Do ahead what a workspace can."""

        def do(place: Place) -> None:
            self.enter(opened, place)
            self.ask(place, Prepare(opened.key))

        self._at(opened, do)

    def parts(
        self,
        opened: Opened,
        finetune: Finetune,
        prompts: Sequence[Prompt] = (),
        previous: MaskArray | None = None,
        *,
        label: int | None = None,
    ) -> Iterator[Prediction]:
        """Yield the parts of an answer as they are worked out."""
        answer = _Answer(self, opened, _begin(opened, finetune, prompts, previous, label))
        part: Prediction | None = None
        try:
            while (part := self._at(opened, answer.next)) is not None:
                answer.told += 1
                yield part
        finally:
            if part is not None:
                answer.stop()

    def close(self) -> None:
        """End all processes."""
        self._over.set()
        for place in self._places:
            if place.process is not None:
                place.process.kill()
        for place in self._places:
            if place.turn.comes(place.turn.ask(), LOOK_SECONDS):
                if place.process is not None:
                    place.process.dispose()
                place.process = None
                place.turn.release()
        if self._overseer is not None:
            self._overseer.join()
        self._memory.forget(self._owner)
        self._memory.forget(self)
        self._images.close()

    # Turns

    def _at(self, opened: Opened, do: Callable[[Place], Done]) -> Done:
        """Return what is done in a workspace's process, in its turn; tried again where the process ends meanwhile."""
        endings = 0
        while True:
            try:
                with self._turn(opened) as place:
                    return do(place)
            except EndedError as ended:
                endings += 1
                title = methods.card(opened.key[1]).title
                log.error("The process of %s %s.", title, ended)
                if ended.late or endings > RETRIES or self._over.is_set():
                    raise MethodError(
                        f"{title} {ended}; it is started again. What it was asked for was taken back, and all other "
                        "marks are kept."
                    ) from None

    @contextmanager
    def _turn(self, opened: Opened | None) -> Iterator[Place]:
        """Lend the place of a workspace, or any, to nobody else meanwhile; a process runs there."""
        with self._waiting(), nullcontext() if opened is None else opened.using:
            place = self._taken(opened)
            try:
                if place.process is None or not place.process.alive:
                    self._start(place)
                yield place
            except EndedError as ended:
                self._bury(place, opened)
                raise ended
            finally:
                place.turn.release()

    def _taken(self, opened: Opened | None) -> Place:
        """Return the place of a workspace when it is its turn; one that waits long goes to another that is free."""
        with self._lock:
            place = None if opened is None else opened.place
            place = place or self._choose("" if opened is None else opened.key[1])
        ticket = place.turn.ask()
        while not place.turn.comes(ticket, MOVE_SECONDS):
            other = next((one for one in self._places if one.turn.take()), None)
            if other is not None:
                place.turn.withdraw(ticket)
                if opened is not None:
                    place.closed.append(opened.key)
                place = other
                break
        if opened is not None:
            opened.place = place
        return place

    def _choose(self, method: str) -> Place:
        """Return the place for a workspace: a free one, one that has loaded the method, one that runs."""

        def cost(place: Place) -> tuple[bool, bool, bool, int]:
            process = place.process
            return (
                not place.turn.free(),
                process is None or method not in process.methods,
                process is None,
                len(place.opened),
            )

        return min(self._places, key=cost)

    def enter(self, opened: Opened, place: Place) -> None:
        """Open a workspace in the process at a place, if it is not open there."""
        process = place.process
        assert process is not None
        if not self._memory.has(self._owner, opened.key):  # new, or dropped while it answers
            self._memory.put(self._owner, opened.key, opened, 0, on_drop=partial(_close, opened))
            with suppress(ValueError):
                place.closed.remove(opened.key)
        if opened not in place.opened:
            weights = self._weights.get(methods.family_of(opened.key[1]))
            file = self._images.of(opened.image)
            place.opened = [*(one for one in place.opened if one.key != opened.key), opened]
            reply = self.ask(place, Open(opened.key, file, weights, self._device))
            opened.labels = {int(value): str(name) for value, name in reply.values["labels"]}
            process.methods.add(opened.key[1])
        place.opened.sort(key=lambda one: one is opened)

    def _start(self, place: Place) -> None:
        if self._over.is_set():
            raise MethodError("The server is shutting down.")
        if place.process is not None:  # it ended while nobody asked it for anything
            self._bury(place, None)
        place.process = Process()
        place.closed.clear()
        place.stopped.clear()
        with self._lock:
            if self._overseer is None:
                self._overseer = threading.Thread(target=self._oversee, name="segmend-processes", daemon=True)
                self._overseer.start()

    def _bury(self, place: Place, guilty: Opened | None) -> None:
        """Forget a process that ended, and have what others had there opened again when nobody waits."""
        ENDED_PROCESSES.inc()
        process = place.process
        others = [one for one in place.opened if one is not guilty and one.place is place]
        place.process, place.opened, place.counted = None, [], set()
        if process is not None:
            process.dispose()
        self._memory.forget_where(self, lambda key: key is place)
        if others and not self._over.is_set():
            self._when_idle(self._reopened(others[-REOPENED:]))

    def _reopened(self, others: Sequence[Opened]) -> Iterator[None]:
        for opened in reversed(others):
            wanted = self._memory.get(self._owner, opened.key) is opened
            if wanted and not self._over.is_set():
                with suppress(SegmendError, FailedApartError):  # whoever needs it will be told
                    self.prepare(opened)
            yield

    # Requests

    def ask(self, place: Place, request: Request) -> Reply:
        """Return the reply to a request, in a turn; what the method refuses or fails with is raised."""
        process = place.process
        assert process is not None
        place.tight = False
        allowed = self._memory.limit_bytes - self._memory.size_bytes + self._held(place)
        closed = tuple(place.closed.popleft() for _ in range(len(place.closed)))
        stopped = tuple(place.stopped.popleft() for _ in range(len(place.stopped)))
        reply = process.ask(Asked(request, self._apart.seconds, max(0, allowed), closed, stopped))
        self._account(place, getattr(request, "key", None))
        if "error" in reply.values:
            name, sentence = reply.values["error"]
            kind = getattr(errors, str(name), SegmendError)
            raise (kind if isinstance(kind, type) and issubclass(kind, SegmendError) else SegmendError)(str(sentence))
        if "failed" in reply.values:
            log.error("A method failed in its process: %s", reply.values["failed"])
            raise FailedApartError
        return reply

    def _held(self, place: Place) -> int:
        """Return how much of the budget is counted for a place."""
        there = [opened.key for opened in place.opened if opened.place is place]
        return self._memory.size_at(self, place) + sum(self._memory.size_at(self._owner, key) for key in there)

    def _account(self, place: Place, used: Key | None) -> None:
        """Count what a process says that it keeps."""
        process = place.process
        assert process is not None
        if not self._memory.weigh(self, place, process.features):
            self._memory.put(self, place, None, process.features, on_drop=partial(setattr, place, "tight", True))
        place.opened = [one for one in place.opened if one.place is place and one.key in process.kept]
        gone = {key for key in place.counted if key not in process.kept}  # what had to go there is not counted here
        self._memory.forget_where(self._owner, gone.__contains__)
        place.counted = {opened.key for opened in place.opened}
        for opened in place.opened:
            size = process.kept[opened.key]
            if not self._memory.has(self._owner, opened.key):  # it was dropped while it was asked
                place.closed.append(opened.key)
            elif opened.key == used or size != self._memory.size_at(self._owner, opened.key):
                self._memory.weigh(self._owner, opened.key, size)

    # What goes on beside

    def _oversee(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._images.tidy()
            for place in self._places:
                process = place.process
                if process is not None:
                    process.stop_if_late()
                if (place.closed or place.tight) and place.turn.take():
                    try:
                        if place.process is not None and place.process.alive:
                            self.ask(place, Tidy())
                        place.closed.clear()
                        place.tight = False
                    except EndedError:
                        self._bury(place, None)
                    except (SegmendError, FailedApartError):
                        pass
                    finally:
                        place.turn.release()


def _close(opened: Opened) -> None:
    """Note that a workspace is wanted no longer; called under the lock of the budget."""
    if opened.place is not None:
        opened.place.closed.append(opened.key)


def _begin(
    opened: Opened, finetune: Finetune, prompts: Sequence[Prompt], previous: MaskArray | None, label: int | None
) -> Begin:
    """Return the request that begins an answer, which has no number yet."""
    low, inside = ((0, 0, 0), None) if previous is None else cropped(previous)
    shape = opened.image.shape if previous is None else previous.shape
    return Begin(-1, opened.key, finetune, tuple(prompts), shape, low, inside, label)


class _Answer:
    """An answer in the making, which goes on in another process where the first has ended or is left."""

    def __init__(self, processes: Processes, opened: Opened, begin: Begin) -> None:
        self.told = 0  # parts that everybody has
        self._processes, self._opened, self._begin = processes, opened, begin
        self._process: Process | None = None
        self._place: Place | None = None

    def next(self, here: Place) -> Prediction | None:
        """Return the next part, in a turn; None where there are no more."""
        ask = partial(self._processes.ask, here)
        if self._process is not None and self._process is here.process:
            return ask(Next(self._begin.number)).part
        self.stop()
        self._processes.enter(self._opened, here)
        self._begin = replace(self._begin, number=next(self._processes.numbers))
        self._process, self._place = here.process, here
        part = ask(self._begin).part
        for _ in range(self.told):
            part = None if part is None else ask(Next(self._begin.number)).part
        return part

    def stop(self) -> None:
        """Have the process told that nobody waits for the rest, if it still runs."""
        if self._place is not None:
            self._place.stopped.append(self._begin.number)


class WorkspaceApart(Workspace):
    """A workspace in a process of its own."""

    def __init__(self, processes: Processes, opened: Opened, finetune: Finetune = "auto") -> None:
        self._processes, self._opened, self._finetune = processes, opened, finetune

    def __repr__(self) -> str:
        return f"<{self._opened.key[1]} in a process of its own, of {self._opened.image!r}>"

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        raise AssertionError("the server streams")

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        return self._processes.parts(self._opened, self._finetune, prompts, previous)

    def prepare(self) -> None:
        self._processes.prepare(self._opened)

    def with_finetuning(self, finetune: Finetune) -> WorkspaceApart:
        return WorkspaceApart(self._processes, self._opened, finetune)

    @property
    def labels(self) -> Mapping[int, str]:
        return self._opened.labels

    def guess(self, label: int) -> Iterator[Prediction]:
        return self._processes.parts(self._opened, self._finetune, label=label)
