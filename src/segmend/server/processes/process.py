"""One process that answers, as the server sees it: started, asked, and ended when it does not come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from segmend.io.apart import SECRET
from segmend.server.processes.messages import Asked, Key, Reply, receive_reply, send_asked

# Seconds that a process may take to start, beside those of its first request.
STARTING_SECONDS = 60.0
# Seconds that a process has to end by itself after its last words.
ENDING_SECONDS = 5.0


class EndedError(Exception):
    """A process that ended before it replied; the text says how, after "it"."""

    def __init__(self, how: str, *, late: bool) -> None:
        super().__init__(how)
        self.late = late  # it was ended, for it did not come back


class Process:
    """A process of `worker`; one thread at a time uses it, but any may call `stop_if_late` and `kill`."""

    def __init__(self) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith(SECRET)}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", "from segmend.server.processes.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )
        self._deadline = float("inf")
        self._fresh = True
        self._late = False
        self._seconds = 0.0
        self.kept: dict[Key, int] = {}  # the workspaces that are open there, and their bytes
        self.features = 0  # bytes of what networks keep there
        self.methods: set[str] = set()  # that are loaded there

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def number(self) -> int:
        """The process's id."""
        return self._popen.pid

    def ask(self, asked: Asked) -> Reply:
        """Return the reply to a request; EndedError when there is none."""
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._seconds = asked.seconds
        self._deadline = time.monotonic() + asked.seconds + (STARTING_SECONDS if self._fresh else 0)
        try:
            send_asked(self._popen.stdin, asked)
            reply = receive_reply(self._popen.stdout)
        except (EOFError, OSError, ValueError):  # ValueError: its last words were no reply
            self.dispose()
            raise EndedError(self._how(), late=self._late) from None
        finally:
            self._deadline = float("inf")
        self._fresh = False
        self.kept = {(session, method): size for session, method, size in reply.values["kept"]}
        self.features = int(reply.values["features"])
        return reply

    def stop_if_late(self) -> None:
        """End the process when its request takes longer than it may."""
        if time.monotonic() > self._deadline:
            self._late = True
            self._popen.kill()

    def kill(self) -> None:
        """End the process; who waits for its reply is told so."""
        self._popen.kill()

    def dispose(self) -> None:
        """Wait for the process to end, end it if it does not, and close the pipes to it, which nobody uses."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(ENDING_SECONDS)
        self._popen.kill()
        with suppress(subprocess.TimeoutExpired):  # one that the system holds in a disk or a driver
            self._popen.wait(ENDING_SECONDS)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _how(self) -> str:
        if self._late:
            return f"did not answer within {self._seconds:g} seconds and was ended"
        code = self._popen.returncode
        if code in (-9, 137):
            return "was ended by the system, which may have run out of memory"
        return f"ended without an answer ({_named(code)})"


def _named(code: int | None) -> str:
    """Return what an exit code is called.

    >>> _named(3), _named(-11)
    ('exit code 3', 'SIGSEGV')
    """
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
