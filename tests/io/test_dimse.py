"""DICOM's own protocol: archives that are asked, files that are received, and peers that lie."""

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from segmend.errors import ArchiveError, SettingsError
from segmend.io.dimse import DimseArchive, archive_at
from segmend.io.guarded import MOST_PACKET_BYTES, needed
from segmend.io.receiving import NOT_UNDERSTOOD, Peer, listening
from segmend.runtime.budget import resident_bytes
from segmend.server.cases.reading import Reading
from segmend.server.cases.received import REFUSED, Received
from segmend.server.settings import ServerSettings
from segmend.store import Store
from tests.io import dicoms

VOXELS = np.random.default_rng(0).integers(0, 2000, (5, 8, 6), np.int16)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    dicoms.save_all(dicoms.slices(VOXELS), folder)
    return sorted(folder.iterdir())


@contextmanager
def archive(files, *, keeps=0x0000, gives=None, find=None):
    """Give the port of an archive of pynetdicom's that has these files, and the titles of who asked."""
    needed()
    entity, asked = AE(ae_title="PACS"), []
    held = [pydicom.dcmread(path) for path in files]
    wanted = held if gives is None else held[:gives]

    def found(event):
        asked.append(str(event.assoc.requestor.ae_title))
        if find is not None:
            yield from find()
            return
        level = event.identifier.QueryRetrieveLevel
        key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}.get(level, "SOPInstanceUID")
        unique = {str(one[key].value): one for one in held}
        for one in unique.values():
            item = pydicom.Dataset()
            for element in event.identifier:
                setattr(item, element.keyword, one.get(element.keyword, ""))
            item.QueryRetrieveLevel = level
            yield 0xFF00, item

    def sent(event):
        yield len(wanted)
        for one in wanted:
            yield 0xFF00, one

    def moved(event):
        yield ("127.0.0.1", int(event.move_destination.removeprefix("P")))
        yield len(wanted)
        for one in wanted:
            yield 0xFF00, one

    for model in (
        StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    ):  # fmt: skip
        entity.add_supported_context(model)
    entity.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    entity.add_requested_context(CTImageStorage)
    handlers = [(evt.EVT_C_FIND, found), (evt.EVT_C_GET, sent), (evt.EVT_C_MOVE, moved)]
    handlers.append((evt.EVT_C_STORE, lambda event: keeps))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_archive_lists_and_sends_a_series_either_way(files, tmp_path):
    head = pydicom.dcmread(files[0])
    receive = free_port()
    with archive(files) as (port, asked):
        for name, options in (("get", "?as=DESK"), ("move", f"?as=P{receive}&receive={receive}")):
            pacs = archive_at(f"dimse://PACS@127.0.0.1:{port}{options}")
            (study,) = pacs.studies(PatientName="Doe*")
            assert (study.uid, study.patient, study.date) == (head.StudyInstanceUID, dicoms.NAME, "2020-02-03")
            assert pacs.studies(offset=1) == []
            (series,) = pacs.series(study.uid)
            assert series == pacs.find_series(series.uid) and series.modality == "CT"
            folder, told = tmp_path / name, {}
            folder.mkdir()
            fetched = pacs.fetch(study.uid, series.uid, folder, progress=told.__setitem__)
            assert max(told) == len(fetched) == len(files)
            found = {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path).pixel_array for path in fetched}
            for path in files:
                data = pydicom.dcmread(path)
                np.testing.assert_array_equal(found[data.SOPInstanceUID], data.pixel_array)
    assert set(asked) == {"DESK", f"P{receive}"}


def test_a_series_that_is_not_whole_is_refused(files, tmp_path):
    head = pydicom.dcmread(files[0])
    with archive(files, gives=3) as (port, _), pytest.raises(ArchiveError, match="sent 3 of 5 files"):
        DimseArchive(f"dimse://PACS@127.0.0.1:{port}").fetch(head.StudyInstanceUID, head.SeriesInstanceUID, tmp_path)


def test_what_an_archive_refuses_is_said(files):
    with archive(files, keeps=0xA700) as (port, _):
        sent = DimseArchive(f"dimse://PACS@127.0.0.1:{port}").send(files[:1])
        assert not sent.stored and list(sent.refused.values()) == [0xA700]
    with archive(files, find=lambda: iter([(0xA700, None)])) as (port, _), pytest.raises(ArchiveError, match="A700h"):
        DimseArchive(f"dimse://PACS@127.0.0.1:{port}").studies()
    with pytest.raises(ArchiveError, match="does not answer"):
        DimseArchive(f"dimse://PACS@127.0.0.1:{free_port()}").studies()


def test_a_list_without_end_is_left(files):
    def endless():
        while True:
            item = pydicom.Dataset()
            item.StudyInstanceUID, item.QueryRetrieveLevel = "1.2.3", "STUDY"
            yield 0xFF00, item

    with archive(files, find=endless) as (port, _):
        assert len(DimseArchive(f"dimse://PACS@127.0.0.1:{port}").studies(limit=30)) == 30


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("dimse://127.0.0.1:104", "such as dimse://PACS@"),
        ("dimse://PACS@127.0.0.1", "such as dimse://PACS@"),
        ("dimse://ada:word@127.0.0.1:104", "such as dimse://PACS@"),
        ("dimse://ANARCHIVEWITHALONGNAME@host:104", "1 to 16"),
        ("dimse://PACS@127.0.0.1:104?receive=x", "A port needs"),
        ("dimse://PACS@127.0.0.1:104?to=x", "nothing else"),
    ],
)
def test_addresses_that_are_none(address, words):
    with pytest.raises(SettingsError, match=words):
        archive_at(address)


def test_without_pynetdicom_the_extra_is_named():
    code = "import sys; sys.modules['pynetdicom'] = None; from segmend.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "pull", "dimse://PACS@127.0.0.1:104"], capture_output=True, text=True, check=False
    )
    assert run.returncode != 0 and "pip install 'segmend[dimse]'" in run.stderr and "Traceback" not in run.stderr


# Receiving


class Receiver:
    """A receiver on a store, and who sends to it."""

    def __init__(self, folder, peers=("CT1@127.0.0.1",)):
        self.store = Store.local(folder)
        self.data = folder
        self.received = Received(
            self.store, Reading(ServerSettings(folder, read_apart=False)), folder, project="scans", quiet_seconds=0.05
        )
        self._listening = listening(
            "SEGMEND", "127.0.0.1", 0, [one for text in peers for one in Peer.of(text)], self.received.take
        )
        self.port = self._listening.__enter__()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listening.__exit__(None, None, None)
        self.store.close()

    def send(self, files, title="CT1", called="SEGMEND"):
        return DimseArchive(f"dimse://{called}@127.0.0.1:{self.port}?as={title}").send(files)

    def cases(self):
        """Return the new cases, when nothing comes any more."""
        time.sleep(0.06)
        return self.received.turn()


def test_a_series_that_is_sent_is_a_case_and_late_files_complete_it(files, tmp_path):
    with Receiver(tmp_path) as receiver:
        assert len(receiver.send([files[2], files[0], files[1], files[0]]).stored) == 4
        (first,) = receiver.cases()
        assert (first.shape, first.project, first.patient) == ((3, 8, 6), "scans", "Doe, Jane (ID-4711)")
        assert receiver.cases() == []
        receiver.send(files)
        (whole,) = receiver.cases()
        image = receiver.store.image(whole.id)
        np.testing.assert_array_equal(image.voxels[0], VOXELS)
        assert [case.id for case in receiver.store.cases("scans")] == [whole.id]

        receiver.store.add_session(whole.id)  # somebody works on it: it stays
        receiver.send(files[:1])
        (again,) = receiver.cases()
        assert {case.id for case in receiver.store.cases("scans")} == {whole.id, again.id} and again.shape == (5, 8, 6)
        assert list((tmp_path / "received").iterdir()) == [receiver.received.scratch]


def test_what_was_received_before_a_crash_is_a_case_afterwards(files, tmp_path):
    with Receiver(tmp_path) as receiver:
        receiver.send(files)
    with Receiver(tmp_path) as receiver:
        (case,) = receiver.cases()
        assert case.shape == VOXELS.shape


def test_only_those_who_may_send(files, tmp_path):
    with Receiver(tmp_path, ["CT1@127.0.0.1", "CT2@10.0.0.0/8"]) as receiver:
        with pytest.raises(ArchiveError, match="does not know CT3"):
            receiver.send(files, title="CT3")
        with pytest.raises(ArchiveError, match="is called otherwise"):
            receiver.send(files, called="OTHER")
        refused = receiver.send(files[:1], title="CT2").refused  # a title that may send, from another place
        assert list(refused.values()) == [0x0124]
        assert receiver.cases() == []
    with Receiver(tmp_path, ["CT1@10.0.0.5"]) as receiver, pytest.raises(ArchiveError, match="broke off"):
        receiver.send(files)
    for text in ("CT1", "@host", "CT1@", "CT1@no.such.host.invalid"):
        with pytest.raises(SettingsError):
            Peer.of(text)


def test_files_that_are_no_image_are_kept_apart(files, tmp_path):
    data = pydicom.dcmread(files[0])
    data.Rows = 9  # more than there is
    data.save_as(tmp_path / "damaged.dcm")
    with Receiver(tmp_path / "data") as receiver:
        assert len(receiver.send([tmp_path / "damaged.dcm"]).stored) == 1
        assert receiver.cases() == []
        (kept,) = (tmp_path / "data/received").glob(f"{REFUSED}*")
        assert len(list(kept.iterdir())) == 1
        nameless = tmp_path / "nameless.dcm"
        del data.SeriesInstanceUID
        data.save_as(nameless)
        assert receiver.received.take(nameless, "CT1", "127.0.0.1") == NOT_UNDERSTOOD


# Lies


@pytest.fixture(scope="module")
def said(files):
    """What a sender says first, and after it was let in: an association, and a file."""
    heard = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def listen():
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(1 << 20))

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(ArchiveError):
            DimseArchive(f"dimse://SEGMEND@127.0.0.1:{server.getsockname()[1]}?as=CT1").send(files[:1])
        thread.join()
    return heard[0]


def packet(kind, content, length=None):
    return bytes([kind, 0]) + (len(content) if length is None else length).to_bytes(4, "big") + content


def test_peers_that_lie_are_cut_off_and_harm_nothing(files, said, tmp_path):
    with Receiver(tmp_path) as receiver:
        receiver.send(files[:1])
        before = resident_bytes()
        item = (0).to_bytes(4, "big")
        lies = {
            "a packet of 4 GB": packet(1, b"", 0xFFFFFFFF) + bytes(1 << 16),
            "a packet that is too large": packet(1, b"", MOST_PACKET_BYTES + 1) + bytes(1 << 16),
            "half of an association": said[:40],
            "nothing": b"",
            "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "an unknown packet": packet(9, b"abc"),
            "wrong lengths inside": said[:80] + b"\xff" * 60 + said[140:],
            "data first": packet(4, item + b"\x01\x03"),
            "let in, then 4 GB": said + packet(4, b"", 0xFFFFFFFF) + bytes(1 << 16),
            "let in, then an item that is longer than its packet": said + packet(4, b"\xff\xff\xff\xff\x01\x03abc"),
            "let in, then a command that is none": said + packet(4, (8).to_bytes(4, "big") + b"\x01\x03" + b"\xff" * 6),
        }
        for name, content in lies.items():
            with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
                try:
                    connection.sendall(content)
                    if "let in" not in name:
                        connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16) and name != "nothing":
                        pass
                except TimeoutError:
                    pytest.fail(name)
                except OSError:
                    pass  # cut off
        for _ in range(40):  # more than are let in at once, and gone again
            with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
                connection.sendall(said[:30])
        assert resident_bytes() < before + (64 << 20)
        assert len(receiver.send(files).stored) == 5
        (case,) = receiver.cases()
        assert case.shape == VOXELS.shape
        assert list(receiver.received.scratch.iterdir()) == []


def test_an_archive_that_lies_is_left(said):
    answers = [packet(2, b"", 0xFFFFFFFF), b"", b"HTTP/1.0 400 no\r\n\r\n", packet(2, b"\0" * 80), packet(7, b"\0" * 4)]
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        def lie():
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1 << 20)
                    connection.sendall(answer + bytes(1 << 12))

        thread = threading.Thread(target=lie)
        thread.start()
        for _ in answers:
            with pytest.raises(ArchiveError, match=r"broke off|does nothing"):
                DimseArchive(f"dimse://PACS@127.0.0.1:{port}", silent_seconds=5).studies()
        thread.join()
