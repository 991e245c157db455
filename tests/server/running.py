"""Real servers for tests: in a thread of this process, or in a process of their own that can be killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from websockets.sync.client import connect

from segmend.core.image import Image, scale_affine
from segmend.server.app import Server
from segmend.server.sessions.wire import unpack
from segmend.server.settings import ServerSettings

PLUGIN = Path(__file__).parent / "plugin"
RED = [230, 75, 60]
BLUE = [60, 160, 230]
PATIENCE = 60  # seconds: what a busy machine may take for what takes an instant; only a fault takes as long


def install_plugin(folder):
    """Make the methods of `plugin/` installed packages: whoever has `folder` and `plugin/` on the path finds them."""
    info = folder / "segmend_test_methods-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: segmend-test-methods\nVersion: 0\n")
    names = "".join(f"{path.stem} = {path.stem}\n" for path in sorted(PLUGIN.glob("*.py")))
    (info / "entry_points.txt").write_text(f"[segmend.methods]\n{names}")


@contextmanager
def in_thread(settings):
    """Give a running server; everything it keeps is in `settings.data`."""
    ready = threading.Event()
    server = Server(settings, lambda _: ready.set())
    thread = threading.Thread(target=server.listen)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield server
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Process:
    """A server in a process of its own, on all cores or pinned to one."""

    def __init__(self, data, plugin_path, port=0, *, method="flood", core=None, database=None, blobs=None):
        code = (
            "import os, sys; from pathlib import Path\n"
            f"{'' if core is None else f'os.sched_setaffinity(0, [{core}])'}\n"
            "from segmend.server.app import serve; from segmend.server.settings import ServerSettings\n"
            f"serve(ServerSettings(Path({str(data)!r}), port={port}, method={method!r}, database_url={database!r},"
            f" blobs_url={blobs!r}, answering_processes=0),"
            " on_ready=lambda address: print(address, flush=True))"
        )
        paths = [str(plugin_path), str(PLUGIN), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.address = self.process.stdout.readline().strip().partition("?")[0]  # this account needs no token
        assert self.address, self.process.stderr.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()

    def end(self, number=signal.SIGINT):
        """End it as Ctrl+C does, or by another signal; return its exit code and what it logged."""
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, logged


class Client:
    """A person at a session: sends events and lays the frames that come over a map of their own."""

    def __init__(self, address, session, **options):
        url = address.replace("http", "ws").split("?")[0] + f"api/sessions/{session}/live"
        self.connection = connect(url, max_size=None, compression=None, **options)
        self.socket = self.connection.__enter__()
        self.messages = []
        self.answered = {}
        self.numbers = iter(range(1, 10**6))
        self.state = self.next("state")["state"]
        self.map = np.zeros(self.state["shape"], np.uint16)
        self.maps = {0: self.map}  # by layer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.__exit__(None, None, None)

    def receive(self, timeout=PATIENCE):
        """Return the next message; a frame is laid over the map."""
        message = self.socket.recv(timeout=timeout)
        while isinstance(message, bytes) and message.startswith(b"SGD1"):  # uncertainty is looked at by nobody here
            message = self.socket.recv(timeout=timeout)
        if isinstance(message, bytes):
            message = unpack(message)
            message.onto(self.maps.setdefault(message.layer, np.zeros_like(self.map)))
        else:
            message = json.loads(message)
            if message["type"] == "answered":
                self.answered[message["position"]] = message
        self.messages.append(message)
        return message

    def next(self, kind, timeout=PATIENCE, **values):
        """Return the next message of a kind (or "frame") with these values."""
        while True:
            message = self.receive(timeout)
            if not isinstance(message, dict):
                if kind == "frame" and values.get("position", message.position) == message.position:
                    return message
            elif message["type"] == kind and all(message[name] == value for name, value in values.items()):
                return message

    def send(self, event):
        """Send an event without waiting; returns the number it was sent under."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "event": event}))
        return number

    def say(self, message):
        """Send a message as it is."""
        self.socket.send(json.dumps(message))

    def do(self, event):
        """Send an event and wait for its answer."""
        position = self.next("accepted", id=self.send(event))["position"]
        return self.answered[position] if position in self.answered else self.next("answered", position=position)

    def cancel(self, position):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "cancel": position}))
        return number


def defined(value, name="lesion", colour=RED, locked=False):
    return {"event": "defined", "label": {"value": value, "name": name, "colour": colour, "locked": locked}}


def clicked(index, *, label=1, positive=True, method="flood", **options):
    prompt = {"kind": "click", "index": list(index), "positive": positive}
    return {"event": "prompted", "prompt": prompt, "label": label, "method": method, **options}


def rooms():
    """An image of 3 x 6 x 8 voxels: grey 0 outside, a box of 10, a bar of 20 beside it, both through all slices.

    z = 0..2, each slice:  ........
                           .aaa.bb.
                           .aaa.bb.
                           .aaa.bb.
                           .....bb.
                           ........
    """
    voxels = np.zeros((1, 3, 6, 8), np.int16)
    voxels[0, :, 1:4, 1:4] = 10
    voxels[0, :, 1:5, 5:7] = 20
    return Image(voxels, scale_affine((3.0, 0.5, 0.8)))


def http(server_or_address, **options):
    """Return a client of a server; the certificates of the world, which take it 40 ms to read, are for no test."""
    address = getattr(server_or_address, "address", server_or_address)
    return httpx.Client(base_url=address.split("?")[0], timeout=PATIENCE, verify=False, **options)


def settings(data, **options):
    return ServerSettings(data, **{"port": 0, "method": "flood", "answering_processes": 0, **options})
