"""dcmtk's programs as other ends of DICOM's own protocol: an archive that is asked, and a scanner that sends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from segmend.cli import commands
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Defined, Label, Prompted
from segmend.errors import ArchiveError
from segmend.io import images, read_mask
from segmend.io.dimse import DimseArchive
from segmend.store import Store
from tests.io import dicoms
from tests.server.running import in_thread, settings
from tests.viewers.clients import ROOT, VIEWERS, need

SHAPE = (24, 20, 16)
VOXELS = np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.int16)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dcmtk:
    """The programs, and what they need to run where they are unpacked."""

    def __init__(self):
        self.home = need(VIEWERS / "dcmtk" / "usr", "dcmtk")
        libraries = ":".join(str(place) for place in self.home.parent.glob("**/lib/*-linux-gnu"))
        words = next(self.home.glob("share/libdcmtk*/dicom.dic"))
        self.environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "DCMDICTPATH": str(words)}

    def start(self, program, *arguments, **options):
        command = [self.home / "bin" / program, *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, text=True, **options)

    def run(self, program, *arguments):
        """Run a program; return its exit status and what it said."""
        process = self.start(program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said


@pytest.fixture(scope="module")
def dcmtk():
    return Dcmtk()


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return dicoms.save_all(dicoms.slices(VOXELS), tmp_path_factory.mktemp("scan"))


@pytest.fixture(scope="module")
def archive(dcmtk, tmp_path_factory):
    """dcmtk's archive: the port it listens at, and that where it takes us to receive."""
    folder = tmp_path_factory.mktemp("dcmqrscp")
    (folder / "files").mkdir()
    port, receive = free_port(), free_port()
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nus = (SEGMEND, localhost, {receive})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMTK {folder / 'files'} RW (200, 1024mb) us\nAETable END\n"
    )
    with (folder / "log").open("w") as log:
        process = dcmtk.start("dcmqrscp", "-c", folder / "dcmqrscp.cfg", stdout=log, stderr=log)
        try:
            for _ in range(200):
                if dcmtk.run("echoscu", "-aet", "SEGMEND", "-aec", "DCMTK", "127.0.0.1", port)[0] == 0:
                    break
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield port, receive
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def command(*arguments):
    run = CliRunner().invoke(commands, [str(one) for one in arguments])
    assert run.exit_code == 0, (run.output, run.exception)
    return json.loads(run.stdout)


@pytest.mark.parametrize("way", ["get", "move"])
def test_a_series_is_sent_found_fetched_annotated_and_its_masks_come_back(archive, scan, way, tmp_path):
    port, receive = archive
    address = f"dimse://DCMTK@127.0.0.1:{port}" + (f"?receive={receive}" if way == "move" else "")
    uid = pydicom.uid.generate_uid()
    sources = []
    for number, path in enumerate(sorted(scan.iterdir())):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID, data.SOPInstanceUID = uid, pydicom.uid.generate_uid()
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.save_as(tmp_path / f"{number:02}.dcm")
        sources.append(tmp_path / f"{number:02}.dcm")
    assert len(command("push", address, *sources, "--json")["stored"]) == SHAPE[0]

    head = pydicom.dcmread(sources[0])
    (study,) = command("pull", address, "--patient", "Doe*", "--json")
    assert (study["uid"], study["patient"], study["date"]) == (head.StudyInstanceUID, dicoms.NAME, "2020-02-03")
    assert command("pull", address, "--patient", "Nobody*", "--json") == []
    listed = {one["uid"]: one for one in command("pull", address, "--study", study["uid"], "--json")}
    assert listed[uid]["modality"] == "CT"
    data = tmp_path / "data"
    (fetched,) = command("pull", address, "--study", study["uid"], "--series", uid, "--folder", data, "--json")
    masks = np.zeros(SHAPE, np.uint16)
    masks[3:9, 4:12, 5:9] = 1
    with Store.local(data) as store:
        np.testing.assert_array_equal(store.image(fetched["case"]).voxels[0], VOXELS)
        session = store.add_session(fetched["case"]).id
        store.append(session, 0, Defined(Label(1, "liver", PALETTE[0])))
        store.append(session, 1, Prompted(Mask(masks == 1, (0, 0, 0)), 1, GIVEN))
        image = store.image(fetched["case"])
    with in_thread(settings(data)) as server, server.config.app.state.shared.sessions.open(session) as opened:
        while opened.session.pending:
            time.sleep(0.02)
    for name in ("mask.dcm", "mask.rtstruct.dcm"):
        command("export", session, "-o", tmp_path / name, "--patient", "keep", "--folder", data, "--json")
        assert len(command("push", address, tmp_path / name, "--json")["stored"]) == 1
    pacs = DimseArchive(address)
    new = [one for one in pacs.series(study["uid"]) if one.uid not in listed]
    assert sorted(one.modality for one in new) == ["RTSTRUCT", "SEG"]
    for one in new:
        folder = tmp_path / one.modality
        folder.mkdir()
        (path,) = pacs.fetch(study["uid"], one.uid, folder)
        np.testing.assert_array_equal(read_mask(path, image) > 0, masks > 0)


def test_who_is_not_known_there_is_told_so(archive):
    port, _ = archive
    with pytest.raises(ArchiveError, match=r"(does|may) not know STRANGER"):
        DimseArchive(f"dimse://DCMTK@127.0.0.1:{port}?as=STRANGER").studies()
    with pytest.raises(ArchiveError, match="called otherwise"):
        DimseArchive(f"dimse://OTHER@127.0.0.1:{port}").studies()
    with pytest.raises(ArchiveError, match=r"sent no files|did not send"):
        DimseArchive(f"dimse://DCMTK@127.0.0.1:{port}").fetch("1.2", "1.2.3", None)


def test_what_a_scanner_sends_is_a_case(dcmtk, scan, tmp_path):
    port = free_port()
    receiver = subprocess.Popen(
        [sys.executable, "-m", "segmend", "receive", "--port", str(port), "--from", "CT1@127.0.0.1",
         "--folder", str(tmp_path / "data"), "--quiet-seconds", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "SEGMEND receives at" in receiver.stdout.readline()
        to = ("-aet", "CT1", "-aec", "SEGMEND", "127.0.0.1", port)
        assert dcmtk.run("echoscu", *to)[0] == 0
        assert dcmtk.run("storescu", "-aet", "CT2", *to[2:], scan / "000.dcm")[0] != 0  # nobody knows it
        begun = time.monotonic()
        code, said = dcmtk.run("storescu", "+sd", *to, scan)
        assert code == 0, said
        name = receiver.stdout.readline()
        assert time.monotonic() - begun < 60
    finally:
        receiver.send_signal(signal.SIGINT)
        _, errors = receiver.communicate(timeout=60)
    assert receiver.returncode == 0 and not errors, errors
    with Store.local(tmp_path / "data") as store:
        (case,) = store.cases()
        assert name.split()[0] == case.id and case.patient == "Doe, Jane (ID-4711)"
        np.testing.assert_array_equal(store.image(case.id).voxels[0], VOXELS)
        with store.source_of(case.id) as folder:
            ((_, read),) = images(folder)
            np.testing.assert_array_equal(read().voxels[0], VOXELS)


@pytest.fixture
def network():
    """What runs a command in a network of its own, in which this machine alone can be reached."""
    tool = shutil.which("unshare")
    alone = [tool, "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if tool is None or subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        pytest.skip("no network namespace can be made here: that needs unshare, ip and root")
    return alone


def test_all_of_it_works_where_nothing_else_can_be_reached(network, dcmtk, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as outside:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {outside.getsockname()[1]}), 5)"
        assert subprocess.run([sys.executable, "-c", reach]).returncode == 0
        assert subprocess.run([*network, sys.executable, "-c", reach], capture_output=True).returncode != 0
    parts = [test_what_a_scanner_sends_is_a_case, test_a_series_is_sent_found_fetched_annotated_and_its_masks_come_back]
    names = [f"{__file__}::{parts[0].__name__}", f"{__file__}::{parts[1].__name__}[move]"]
    command = [*network, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names]

    run = subprocess.run([*command, f"--basetemp={tmp_path / 'inside'}"], capture_output=True, text=True, cwd=ROOT)

    assert run.returncode == 0 and "2 passed" in run.stdout, run.stdout + run.stderr
