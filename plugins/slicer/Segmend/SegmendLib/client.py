"""A session of a Segmend server, with nothing but Python's own library and NumPy, which 3D Slicer has.

When the server goes away, it is asked again until it is back. An event that was on its way then is looked for in the
log first, and sent once more only if it is not there: nothing is lost, and nothing is done twice.
"""

import json
import struct
import time
import uuid
import zlib
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import numpy as np

# Seconds that a server may be away before what was asked of it fails.
PATIENCE_SECONDS = 30.0
# Seconds between two attempts to reach it.
RETRY_SECONDS = 0.5
# Seconds that one request may take: a first answer on a large volume, or an image of gigabytes.
REQUEST_SECONDS = 300.0
# Of a frame of label values: its kind, the event's place, flags, the corners (z, y, x) of its box, its layer.
HEADER = struct.Struct("<4s9I")
PACKED = 2  # the flag that says that the values are packed by zlib
# The Dice below which no mask is called good enough.
ENOUGH_DICE = 0.9
# The Dice by which a mark raises what is expected of a mask, if it is taken to have bettered it.
RISE_DICE = 0.01
# Marks in a row that better nothing, after which a mask is good enough.
ENOUGH_MARKS = 2
# Events that change no mask.
ARRANGING = ("defined", "ordered", "slices_locked")


class ServerError(Exception):
    """The server cannot be reached, or refuses; the text is one sentence for a person."""


class AwayError(ServerError):
    """Nothing answers at the server's address."""


class Client:
    """A server, by its address and perhaps a token."""

    def __init__(self, address, token="", *, patience_seconds=PATIENCE_SECONDS, wait=time.sleep):
        parts = urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ServerError(f"The address of a server looks like http://localhost:8765; got {address!r}.")
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.patience_seconds = patience_seconds
        self.wait = wait  # between attempts; a window keeps itself alive in it

    def send(self, method, path, data=None, kind="application/json"):
        """Return the bytes that come of one request; AwayError when nobody answers."""
        headers = {**self._headers, "Content-Type": kind} if data is not None else self._headers
        request = Request(f"{self.address}/{path}", data, headers, method=method)  # noqa: S310 - http(s) alone
        try:
            with urlopen(request, timeout=REQUEST_SECONDS) as reply:  # noqa: S310
                return reply.read()
        except HTTPError as error:
            with error:
                raise ServerError(_sentence(error.code, error.read())) from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise AwayError(f"The server at {self.address} does not answer ({reason}).") from None

    def ask(self, method, path, body=None, *, once=False):
        """Return the JSON that comes of a request, which may be repeated unless it is to be sent `once`."""
        data = None if body is None else json.dumps(body).encode()
        content = self.send(method, path, data) if once else self.patiently(lambda: self.send(method, path, data))
        return _json(content, self.address)

    def patiently(self, attempt):
        """Return what comes of an attempt that is repeated while the server is away."""
        end = time.monotonic() + self.patience_seconds
        while True:
            try:
                return attempt()
            except AwayError:
                if time.monotonic() > end:
                    raise
            self.wait(RETRY_SECONDS)

    def upload(self, content, name, project="default"):
        """Send the file of an image; return the case that it became."""
        boundary = uuid.uuid4().hex
        plain = "".join(letter if letter.isalnum() or letter in " .-_" else "_" for letter in name)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="project"\r\n\r\n{project}\r\n--{boundary}\r\n'
            f'Content-Disposition: form-data; name="files"; filename="{plain}"\r\n\r\n'
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        reply = self.send("POST", "api/cases", body, f"multipart/form-data; boundary={boundary}")
        return _json(reply, self.address)[0]


class Session:
    """One session: its labels, its log, its label map."""

    def __init__(self, client, state):
        self.client = client
        self.method = None  # that the server answers marks by, once it is known
        self._calibrated = {one["id"]: one["calibrated"] for one in client.ask("GET", "api/methods")}
        self._take(state)

    @classmethod
    def begin(cls, client, content, name, project="default"):
        """Send the file of an image, and begin a session on it."""
        case = client.upload(content, name, project)
        return cls(client, client.ask("POST", f"api/cases/{case['id']}/sessions", once=True))

    def _take(self, state):
        self.id, self.case = state["id"], state["case"]
        self.shape = tuple(state["shape"])  # (z, y, x)
        self.events = state["events"]
        self._take_light(state)
        self._qualities = {}  # that the server told, by the place of the event that was answered

    def _take_light(self, state):
        self.labels = {label["value"]: label for label in state["labels"]}
        self.done, self.undone, self.pending = state["done"], state["undone"], state["pending"]

    @property
    def path(self):
        return f"api/sessions/{quote(self.id)}"

    def refresh(self):
        """Read the session as it is now, whoever changed it."""
        qualities = self._qualities
        self._take(self.client.ask("GET", self.path))
        self._qualities = qualities  # of places in the log, which stay

    @property
    def quality(self):
        """The Dice that is expected of the mask answered last; None where nobody knows it."""
        changed = [place for place, event in enumerate(self.events) if event["event"] not in ARRANGING]
        return self._known(changed[-1]) if changed else None

    def is_enough(self, label):
        """Tell whether the last marks have raised the Dice that is expected of a label no more, and it is high."""
        expected = []
        for place in range(len(self.events) - 1, -1, -1):
            event = self.events[place]
            if event["event"] in ARRANGING:
                continue
            if event["event"] != "prompted":
                break  # the mask was changed in another way
            if event["label"] != label:
                continue
            dice = self._known(place)
            if dice is None:
                break
            expected.insert(0, dice)
        before, since = expected[:-ENOUGH_MARKS], expected[-ENOUGH_MARKS:]
        if not before or max(before) < ENOUGH_DICE or since[-1] < ENOUGH_DICE:
            return False
        return all(dice - max(before) < RISE_DICE for dice in since)

    def _known(self, place):
        """Return the Dice that was expected after an event, where it is known to be near the true one."""
        method = self.events[place].get("method") or self.method
        dimension = 2 if self.shape[0] == 1 else 3
        return self._qualities.get(place) if dimension in self._calibrated.get(method, ()) else None

    @property
    def locked(self):
        """The numbers of the locked slices by the axis (z, y, x) that they are across."""
        locked = {}
        for event in self._in_effect():
            if event["event"] == "slices_locked":
                there = locked.setdefault(event["axis"], set())
                (there.update if event["locked"] else there.difference_update)(event["slices"])
        return {axis: numbers for axis, numbers in locked.items() if numbers}

    def do(self, event):
        """Put down an event, and return the place that it got in the log when it is answered."""
        known = len(self.events)
        while True:
            try:
                answer = self.client.ask("POST", f"{self.path}/events", event, once=True)
            except AwayError:
                self.refresh()  # which waits until the server is back
                position = self._found(event, known)
                if position is None:
                    continue
                self._await(position)
                return position
            learns = self.method is None and event["event"] == "prompted"
            if answer["position"] == len(self.events) and not learns:
                self.events = [*self.events, event]
                self._take_light(answer["state"])
            else:  # somebody else did something meanwhile, or the server is to say by which method it answers
                self.refresh()
            if learns:
                self.method = self.events[answer["position"]]["method"]
            self._qualities[answer["position"]] = answer["quality"]
            return answer["position"]

    def _found(self, event, known):
        """Return the place of an event that came into the log after so many, None where it did not."""
        for position, there in enumerate(self.events[known:], known):
            if all(there.get(name) == value for name, value in event.items() if name != "prompt"):
                wanted = event.get("prompt", {})
                if all(there.get("prompt", {}).get(name) == value for name, value in wanted.items()):
                    return position
        return None

    def _await(self, position):
        end = time.monotonic() + REQUEST_SECONDS
        while position in self.pending:
            if time.monotonic() > end:
                raise ServerError("The server does not come to an answer.")
            self.client.wait(RETRY_SECONDS)
            self.refresh()

    def masks(self):
        """Return the masks [z y x] of all labels by their numbers; labels of different layers may share voxels."""
        layers = {label.get("layer", 0) for label in self.labels.values()}
        maps = {layer: self.map(layer) for layer in layers}
        return {value: maps[label.get("layer", 0)] == value for value, label in self.labels.items()}

    def map(self, layer=0):
        """Return the label map [z y x] of a layer."""
        frame = self.client.patiently(lambda: self.client.send("GET", f"{self.path}/map?layer={layer}"))
        full = np.zeros(self.shape, np.uint16)
        if len(frame) < HEADER.size or frame[:4] != b"SGM1":
            raise ServerError("What the server sent is no label map.")
        _, _, flags, z0, y0, x0, z1, y1, x1, _ = HEADER.unpack_from(frame)
        values = frame[HEADER.size :]
        if z1 > z0 and y1 > y0 and x1 > x0:
            size = 2 * (z1 - z0) * (y1 - y0) * (x1 - x0)
            values = zlib.decompressobj().decompress(values, size) if flags & PACKED else values
            full[z0:z1, y0:y1, x0:x1] = np.frombuffer(values, "<u2").reshape(z1 - z0, y1 - y0, x1 - x0)
        return full

    def uncertain_place(self, rank):
        """Return the most uncertain voxel (z, y, x) of the last answer but `rank`; None where there is none."""
        try:
            return self.client.ask("GET", f"{self.path}/uncertain?rank={rank}", once=True)["place"]
        except AwayError:
            raise
        except ServerError:  # the last answer says nothing
            return None

    def marks(self, label):
        """Return the places of the events whose prompts on a label are in effect, with the prompts."""
        gone = {
            event.get("of") if event["event"] == "removed" else event.get("replaces") for event in self._in_effect()
        }
        return [
            (position, self.events[position]["prompt"])
            for position in self.done
            if position not in gone
            and self.events[position]["event"] == "prompted"
            and self.events[position]["label"] == label
        ]

    def _in_effect(self):
        return [self.events[position] for position in self.done]


def _json(content, address):
    try:
        return json.loads(content)
    except ValueError:
        raise ServerError(f"What answers at {address} is no server of Segmend.") from None


def _sentence(status, body):
    if status == 401:
        return "The server needs another token."
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    return detail if isinstance(detail, str) else f"The server refused, with status {status}."
