"""Servers that start in a twentieth of a second: forked from one process that has imported everything already.

Each is a process of its own, on its own store, and can be killed by its number. `python -m tests.server.forking` reads
the settings of servers, a JSON object a line, and prints `number address` for each when it is ready.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.server.running import PATIENCE, PLUGIN

ROOT = Path(__file__).parents[2]


class Nursery:
    """The process that servers are forked from."""

    def __init__(self, plugin_path):
        paths = [str(plugin_path), str(PLUGIN), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.forking"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def start(self, data, log, **settings):
        """Return a server on a data folder once it is ready; what it logs is added to a file."""
        self._process.stdin.write(json.dumps({"data": str(data), "log": str(log), **settings}) + "\n")
        self._process.stdin.flush()
        number, _, address = self._process.stdout.readline().strip().partition(" ")
        assert address, Path(log).read_text()
        return Forked(int(number), address.partition("?")[0])


class Forked:
    """A server that was forked."""

    def __init__(self, number, address):
        self.number = number
        self.address = address

    def kill(self):
        """Kill it as nothing can be caught, and wait until it is gone."""
        self.end(signal.SIGKILL)

    def end(self, number=signal.SIGINT):
        """End it by a signal, and wait until it is gone."""
        os.kill(self.number, number)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                os.kill(self.number, 0)
            except ProcessLookupError:
                return
            assert time.monotonic() < end, "the server did not end"
            time.sleep(0.005)


def _serve(values):
    """Be a server, in a process that was forked for it."""
    log = os.open(values.pop("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    settings = ServerSettings(
        Path(values.pop("data")), **{"port": 0, "method": "flood", "answering_processes": 0, **values}
    )

    def say(address):
        sys.stdout.write(f"{os.getpid()} {address}\n")
        sys.stdout.flush()

    serve(settings, on_ready=say)


if __name__ == "__main__":
    from segmend import methods
    from segmend.server.app import serve
    from segmend.server.settings import ServerSettings

    methods.load("flood")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that who was killed is gone at once
    for line in sys.stdin:
        if os.fork() == 0:
            sys.stdin.close()
            try:
                _serve(json.loads(line))
            finally:
                os._exit(0)
