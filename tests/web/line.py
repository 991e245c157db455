"""A line between a browser and a server that can be cut: real sockets, which are really closed."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Line:
    """Passes on what comes to an address of its own, until it is cut; healed, it has the same address."""

    def __init__(self, server):
        parts = urlsplit(server.address)
        self.there = (parts.hostname, parts.port)
        self.port = 0
        self.open = set()
        self.heal()
        self.address = f"http://127.0.0.1:{self.port}/"

    def heal(self):
        self.deaf = False
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def deafen(self):
        """Pass on what the browser says, and nothing of what the server says."""
        self.deaf = True

    def cut(self):
        """Close every socket; who connects is refused."""
        for one in (self.listener, *self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.open.clear()

    def _accept(self, listener):
        with suppress(OSError):  # it was cut
            while True:
                here, _ = listener.accept()
                there = socket.create_connection(self.there)
                self.open |= {here, there}
                for source, target, back in ((here, there, False), (there, here, True)):
                    threading.Thread(target=self._pass_on, args=(source, target, back), daemon=True).start()

    def _pass_on(self, source, target, back):
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if not (back and self.deaf):
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
