"""Work off the window's thread, one piece after the other; its outcome is taken up in the window's thread again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from segmend import SegmendError

log = logging.getLogger("napari_segmend")


class Worker(QObject):
    """One thread, and the way back from it."""

    _done = Signal(object, object)  # what to call with the outcome, and the outcome
    _called = Signal(object)
    waiting = Signal(int)  # how many pieces of work are not done yet
    failed = Signal(str)  # one sentence

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="napari-segmend")
        self._count = 0
        self._closed = False
        self._done.connect(self._finish, Qt.ConnectionType.QueuedConnection)
        self._called.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def submit(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do work in the thread, and then something with its value in the window's."""
        if self._closed:
            return
        self._count += 1
        self.waiting.emit(self._count)
        self._threads.submit(work).add_done_callback(lambda future: self._emit(then, future))

    def call(self, then: Callable[[], None]) -> None:
        """Call something in the window's thread, from whichever thread."""
        if not self._closed:
            self._called.emit(then)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _emit(self, then: Callable[[Any], None], future: Future[Any]) -> None:
        if not self._closed:
            self._done.emit(then, future)

    def _call(self, then: Callable[[], None]) -> None:
        then()

    def _finish(self, then: Callable[[Any], None], future: Future[Any]) -> None:
        self._count -= 1
        try:
            then(future.result())
        except SegmendError as error:
            self.failed.emit(str(error))
        except Exception as error:
            log.exception("Segmend failed")
            self.failed.emit(f"Segmend failed on this ({type(error).__name__}: {error}).")
        self.waiting.emit(self._count)
