"""A few threads that share many pieces of work fairly.

A piece of work is an iterator; one `next` is one step. The threads take steps in turn: after
a step the work goes to the end of the queue, so a session whose answer has a hundred parts
delays another by one part, not by a hundred. Each person has a queue, and these take turns, too:
who works in ten sessions delays another by one step, not by ten. A piece of work is in a queue
once, so its steps never run at the same time. A step that does not come back is logged (`watchdog`).

A step that only waits for something outside this process says so (`waiting_outside`); meanwhile another runs in its
stead, in a thread more if need be.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock, Thread, current_thread

from segmend.server.watchdog import Watchdog

log = logging.getLogger("segmend.server")
# Threads of a pool, those that wait outside included.
MAX_THREADS = 512


class Turns:
    """Pieces of work in the order in which they go on: each person in turn, and all that is theirs in turn."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, deque[Iterator[object]]] = OrderedDict()  # by person, the next one first

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def append(self, whose: str, steps: Iterator[object]) -> None:
        """Put a piece of work at the end of what a person has, and a person who has none at the end of all."""
        self._of.setdefault(whose, deque()).append(steps)

    def pop(self) -> tuple[str, Iterator[object]]:
        """Take the next piece of work with whose it is."""
        whose, own = self._of.popitem(last=False)
        steps = own.popleft()
        if own:
            self._of[whose] = own
        return whose, steps

    def clear(self) -> None:
        self._of.clear()


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
        self._queue, self._idle_queue = Turns(), Turns()  # the latter for when there is nothing else to do
        lock = Lock()
        self._changed = Condition(lock)
        self._room = Condition(lock)  # for a step that comes back from outside
        self._closed = False
        self._watchdog = Watchdog(late_seconds)
        self._workers = workers
        self._running = 0  # steps that run now
        self._returning = 0  # steps that waited outside and would go on
        self._outside = 0  # steps that wait outside
        self._threads: list[Thread] = []
        for _ in range(workers):
            self._add_thread()

    def submit(self, steps: Iterator[object], *, whose: str = "", when_idle: bool = False) -> None:
        """Put a new piece of work at the end of what a person has; after `close` it is dropped.

        What is for `when_idle` begins when nobody waits for anything; once begun it is work like any other.
        """
        with self._changed:
            if not self._closed:
                (self._idle_queue if when_idle else self._queue).append(whose, steps)
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
            self._room.notify_all()
        end = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._watchdog.close()

    @contextmanager
    def waiting_outside(self) -> Iterator[None]:
        """Let another step run while this one waits for another process; in any other thread nothing happens."""
        if current_thread() not in self._threads:
            yield
            return
        with self._changed:
            self._running -= 1
            self._outside += 1
            if len(self._threads) - self._outside - self._returning < self._workers:
                self._add_thread()
            self._made_room()
        try:
            yield
        finally:
            with self._changed:
                self._outside -= 1
                self._returning += 1
                self._room.wait_for(lambda: self._running < self._workers or self._closed)
                self._returning -= 1
                self._running += 1

    def _add_thread(self) -> None:
        if len(self._threads) < MAX_THREADS:
            thread = Thread(target=self._run, name=f"segmend-work-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            whose, steps = taken
            try:
                with self._watchdog.step():
                    next(steps)
            except StopIteration:
                continue
            except Exception as error:  # the work is lost, the thread and the others are not
                log_failure("A piece of work failed", error)
                continue
            finally:
                with self._changed:
                    self._running -= 1
                    self._made_room()
            self.submit(steps, whose=whose)

    def _made_room(self) -> None:
        self._room.notify()
        self._changed.notify()

    def _take(self) -> tuple[str, Iterator[object]] | None:
        with self._changed:
            self._changed.wait_for(self._may_take)
            if self._closed:
                return None
            self._running += 1
            return (self._queue or self._idle_queue).pop()

    def _may_take(self) -> bool:
        """True when there is a step and room for it; one that waited outside goes on first."""
        waiting = bool(self._queue or self._idle_queue)
        return self._closed or (waiting and self._running + self._returning < self._workers)


def log_failure(what: str, error: BaseException) -> None:
    """Log where a failure happened, without its message, which may hold a name or file contents."""
    place = error.__traceback__
    places = []
    while place is not None:
        code = place.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno} {code.co_name}")
        place = place.tb_next
    log.error("%s: %s at %s", what, type(error).__name__, " > ".join(places[-8:]))
