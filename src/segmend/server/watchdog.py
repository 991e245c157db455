"""Says in the log where all threads are when a piece of work does not come back.

A thread of its own looks at the steps that run. A step that takes longer than is allowed is logged
once, with the stacks of all threads, and once more when it has come back. Stacks are files, lines and
functions, never values, which may be a patient's.

A thread that waits in a library while it holds Python's global lock stops this thread, too. For that case
`report_freeze` has faulthandler's timer, which needs no lock, print the stacks to standard error.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger("segmend.server")


class Watchdog:
    """Watches steps of work, in a thread that ends with `close`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}  # when the step of each thread began, by the thread's name
        self._late: set[str] = set()  # threads whose step has been logged
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segmend-watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Watch one step of the thread that calls this."""
        name = threading.current_thread().name
        with self._lock:
            self._begun[name] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                took = time.monotonic() - self._begun.pop(name)
                late = name in self._late
                self._late.discard(name)
            if late:
                log.warning("%s came back after %.1f s.", name, took)

    def close(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._seconds / 10):
            with self._lock:
                now = time.monotonic()
                late = [name for name, begun in self._begun.items() if now - begun >= self._seconds]
                new = [name for name in late if name not in self._late]
                self._late.update(new)
            if new:
                names = " and ".join(sorted(new))
                log.error("%s did not come back for %g s. All threads:\n%s", names, self._seconds, stacks())


def stacks() -> str:
    """Return where all threads are, the innermost call of each first, without any values."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():
        lines.append(f"{names.get(ident, 'a thread of a library')}:")
        lines += [f"  {line}" for line in _calls(frame)]
    return "\n".join(lines)


def _calls(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        code = frame.f_code
        yield f"{'/'.join(code.co_filename.split('/')[-2:])}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back


@contextmanager
def report_freeze(seconds: float) -> Iterator[None]:
    """Print all stacks to standard error when no Python thread could run for so long; one such guard a process."""
    if sys.__stderr__ is None or sys.__stderr__.closed:  # a process without a place for it
        yield
        return
    file, over = sys.__stderr__.fileno(), threading.Event()

    def beat() -> None:
        while not over.wait(seconds / 10):
            faulthandler.dump_traceback_later(seconds, repeat=True, file=file)

    faulthandler.dump_traceback_later(seconds, repeat=True, file=file)
    beating = threading.Thread(target=beat, name="segmend-heartbeat", daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        faulthandler.cancel_dump_traceback_later()
