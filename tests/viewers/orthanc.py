"""A real archive (PACS), Orthanc, as `make viewers` unpacks it: started for tests and for measuring, and ended."""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

from segmend.errors import ArchiveError
from segmend.io.dicomweb import Archive

ENTRY = "ada:secret-word"
TENTHS = 300  # of a second, to begin in


@contextmanager
def orthanc(home, folder):
    """Give the address of an Orthanc that keeps its files in a folder, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plugin = home / "share/orthanc/plugins/libOrthancDicomWeb.so"
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "files"),
                "IndexDirectory": str(folder / "files"),
                "HttpPort": port,
                "DicomServerEnabled": False,
                "RemoteAccessAllowed": False,  # it listens everywhere, and answers this machine alone
                "AuthenticationEnabled": True,
                "RegisteredUsers": dict([ENTRY.split(":")]),
                "Plugins": [str(plugin)],
                "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            }
        )
    )
    libraries = ":".join(str(place) for place in home.parent.glob("**/lib/*-linux-gnu"))
    words = next(home.glob("share/libdcmtk*/dicom.dic"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "DCMDICTPATH": str(words)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [home / "sbin/Orthanc", folder / "orthanc.json"], stdout=log, stderr=log, env=environment, cwd=folder
        )
    address = f"http://127.0.0.1:{port}/dicom-web"
    try:
        for _ in range(TENTHS):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                Archive(address, credentials=ENTRY).studies(limit=1)
                break
            except ArchiveError:
                time.sleep(0.1)
        yield address, process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
