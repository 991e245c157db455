"""A PACS of sixty lines, which does what it is told to: answers as an archive does, or lies."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pacs:
    """What it says of each path: a status, headers and a body; and what it was asked."""

    def __init__(self):
        self.replies = {}
        self.asked = []
        self.received = b""

    def says(self, path, content, status=200, kind="application/dicom+json", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.replies[path] = (status, {"Content-Type": kind, "Content-Length": str(len(body)), **headers}, body)

    def has(self, path, files, boundary="cut-here", **headers):
        """Have the files of a series at a path."""
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self.says(path, parts(files, boundary), kind=kind, **headers)


def parts(files, boundary="cut-here"):
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()


@contextmanager
def serving():
    """Give a running archive and its address."""
    pacs = Pacs()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            pacs.asked.append((self.path, dict(self.headers)))
            length = int(self.headers.get("Content-Length") or 0)
            pacs.received = self.rfile.read(length)
            path = self.path.partition("?")[0].removeprefix("/dicom-web")
            status, headers, body = pacs.replies.get(path, (404, {"Content-Length": "0"}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield pacs, f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
