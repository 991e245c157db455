"""What senders of DICOM's own protocol say, damaged: the receiver lives on, does not grow, and takes what is sound."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

from segmend.errors import ArchiveError
from segmend.io.dimse import DimseArchive
from segmend.io.receiving import Peer, listening
from segmend.runtime.budget import resident_bytes
from segmend.server.cases.reading import Reading
from segmend.server.cases.received import Received
from segmend.server.settings import ServerSettings
from segmend.store import Store
from tests.fuzz.damage import damaged
from tests.fuzz.readers import Findings
from tests.fuzz.viewers import GROWTH
from tests.io import dicoms

PATIENCE = 60.0  # seconds in which a receiver lets go of who says nothing more: 30 before a greeting
ANSWER_SECONDS = 1.0  # that an answer to the first packet is waited for
VOXELS = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)


class Receiver:
    """A receiver on a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.local(folder / "data")
        reading = Reading(ServerSettings(folder / "data", read_apart=False))
        self.received = Received(self.store, reading, folder / "data", project="fuzzed", quiet_seconds=0.0)
        self.files = sorted(dicoms.save_all(dicoms.slices(VOXELS), folder / "scan").iterdir())
        tempfile.tempdir = str(self.received.scratch)

    def send(self, port: int) -> int:
        """Send the series as it is; return how many files were kept."""
        return len(DimseArchive(f"dimse://SEGMEND@127.0.0.1:{port}?as=CT1").send(self.files).stored)

    def said(self) -> list[bytes]:
        """Return what a sender says: that it wants in, and then all the rest."""
        heard: list[bytes] = []
        with socket.socket() as between, self.listening() as port:
            between.bind(("127.0.0.1", 0))
            between.listen()

            def pass_on() -> None:
                here, _ = between.accept()
                with here, socket.create_connection(("127.0.0.1", port)) as there:

                    def back() -> None:
                        with contextlib.suppress(OSError):
                            while piece := there.recv(1 << 16):
                                here.sendall(piece)

                    answering = threading.Thread(target=back)
                    answering.start()
                    with contextlib.suppress(OSError):
                        while piece := here.recv(1 << 16):
                            heard.append(piece)
                            there.sendall(piece)
                        there.shutdown(socket.SHUT_WR)
                    answering.join()

            thread = threading.Thread(target=pass_on)
            thread.start()
            self.send(between.getsockname()[1])
            thread.join()
        return [heard[0], b"".join(heard[1:])]

    def listening(self) -> contextlib.AbstractContextManager[int]:
        return listening("SEGMEND", "127.0.0.1", 0, Peer.of("CT1@127.0.0.1"), self.received.take)


@contextlib.contextmanager
def receiving() -> Iterator[tuple[Receiver, int, list[bytes]]]:
    """Give a receiver, its port, and what a sender says to it."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as name:
        receiver = Receiver(Path(name))
        try:
            said = receiver.said()
            with receiver.listening() as port:
                yield receiver, port, said
        finally:
            tempfile.tempdir = before
            receiver.store.close()


def fuzz(receiver: Receiver, port: int, said: list[bytes], connections: int, seed: int) -> Findings:
    """Return the findings of so many connections; the same seed makes the same ones."""
    random, found = Random(f"dimse {seed}"), Findings()
    before = resident_bytes()
    for step in range(connections):
        first, rest = said
        part = random.random()
        if part < 0.4:
            first = damaged(first, random)
        elif part < 0.95:
            rest = damaged(rest, random)
        try:
            found.outcomes[_say(port, first, rest)] += 1
        except TimeoutError:
            found.faults.append(f"dimse {seed} {step}: it was not let go")
    receiver.received.turn()
    for case in receiver.store.cases("fuzzed") if receiver.store.projects() else []:
        receiver.store.delete_case(case.id)
    try:
        if receiver.send(port) != len(receiver.files):
            found.faults.append(f"dimse {seed}: what is sound was not taken")
    except ArchiveError as error:
        found.faults.append(f"dimse {seed}: {error}")
    found.largest = resident_bytes() - before
    if found.largest > GROWTH:
        found.faults.append(f"dimse {seed}: the receiver grew by {found.largest >> 20} MB")
    return found


def _say(port: int, first: bytes, rest: bytes) -> str:
    """Say something to a receiver, as far as it listens; return what it did."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        answer = b""
        try:
            connection.sendall(first)
            if len(first) >= 6 and int.from_bytes(first[2:6], "big") <= len(first) - 6:  # whole: it will answer
                connection.settimeout(ANSWER_SECONDS)
                with contextlib.suppress(TimeoutError):
                    answer = connection.recv(1 << 16)
                connection.settimeout(PATIENCE)
                connection.sendall(rest)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except TimeoutError:
            raise
        except OSError:  # it has cut us off
            pass
    return {b"\x02": "let in", b"\x03": "refused", b"\x07": "aborted"}.get(answer[:1], "closed")
