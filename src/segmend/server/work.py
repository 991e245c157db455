"""A few threads that share many pieces of work fairly.

A piece of work is an iterator; one `next` is one step. The threads take steps in turn: after
a step the work goes to the end of the queue, so a session whose answer has a hundred parts
delays another by one part, not by a hundred. A piece of work is in the queue once, so
its steps never run at the same time. A step that does not come back is logged (`watchdog`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread

from segmend.server.watchdog import Watchdog

log = logging.getLogger("segmend.server")


class Pool:
    """Threads that run iterators, one step of each in turn.

    >>> from threading import Event
    >>> over = Event()
    >>> def steps():
    ...     yield
    ...     over.set()
    >>> pool = Pool(1)
    >>> pool.submit(steps())
    >>> over.wait(5), pool.close()
    (True, None)
    """

    def __init__(self, workers: int, *, late_seconds: float = 60.0) -> None:
        self._queue: deque[Iterator[object]] = deque()
        self._idle_queue: deque[Iterator[object]] = deque()  # for when there is nothing else to do
        self._changed = Condition()
        self._closed = False
        self._watchdog = Watchdog(late_seconds)
        self._threads = [Thread(target=self._run, name=f"segmend-work-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, steps: Iterator[object], *, when_idle: bool = False) -> None:
        """Put a new piece of work at the end of the queue; after `close` it is dropped.

        What is for `when_idle` begins when nobody waits for anything; once begun it is work like any other.
        """
        with self._changed:
            if not self._closed:
                (self._idle_queue if when_idle else self._queue).append(steps)
                self._changed.notify()

    @property
    def waiting(self) -> int:
        """How many pieces of work wait for a thread."""
        return len(self._queue)

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Finish the steps that run, start no other, and end the threads."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._idle_queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout_seconds)
        self._watchdog.close()

    def _run(self) -> None:
        while (steps := self._take()) is not None:
            try:
                with self._watchdog.step():
                    next(steps)
            except StopIteration:
                continue
            except Exception as error:  # the work is lost, the thread and the others are not
                log_failure("A piece of work failed", error)
                continue
            self.submit(steps)

    def _take(self) -> Iterator[object] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._idle_queue or self._closed)
            return None if self._closed else (self._queue or self._idle_queue).popleft()


def log_failure(what: str, error: BaseException) -> None:
    """Log where a failure happened, without its message, which may hold a name or file contents."""
    place = error.__traceback__
    places = []
    while place is not None:
        code = place.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno} {code.co_name}")
        place = place.tb_next
    log.error("%s: %s at %s", what, type(error).__name__, " > ".join(places[-8:]))
