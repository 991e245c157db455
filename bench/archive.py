"""How long a series takes from an archive to an opened case, and which part of it costs what.

    python bench/archive.py [--slices N] [--times N]

A real Orthanc (`make viewers` unpacks it) is given a CT series of 512 x 512 slices of noise, uncompressed; a real
server of Segmend imports it, as *From the archive* does. Seconds are from the request to the case. Processor seconds,
which say the same on a busy machine, are counted apart: those of Orthanc, and those of Segmend's server with the
process that reads files, while it fetches and while it reads and keeps. Below, the same steps in one process.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from segmend import io  # noqa: E402 - after the path to the tests' Orthanc
from segmend.io.dicomweb import Archive  # noqa: E402
from segmend.store import Store  # noqa: E402
from server import Served  # noqa: E402
from tests.server.dicom import slices  # noqa: E402
from tests.viewers.clients import VIEWERS  # noqa: E402
from tests.viewers.orthanc import ENTRY, orthanc  # noqa: E402

SIDE = 512
BUDGETS = {"request to case, seconds": 20}
POLL_SECONDS = 0.2


def written(folder: Path, planes: int) -> list[Path]:
    """Return the files of a series that compresses about as well as a scan does."""
    paths = slices(folder, planes=planes, rows=SIDE, columns=SIDE)
    generator = np.random.default_rng(0)
    plane = generator.normal(1000, 25, (SIDE, SIDE))
    for number, path in enumerate(paths):
        file = pydicom.dcmread(path)
        values = plane + generator.integers(-8, 9, (SIDE, SIDE)) + 30 * np.sin(number / 40)
        file.PixelData = values.astype(np.uint16).tobytes()
        file.save_as(path)
    return paths


def processor(pid: int) -> float:
    """Return the seconds of a processor that a process has used, with those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> float:
    """Return the seconds of a processor of a process, of its children that run and of those that have ended."""
    children = [name for path in Path(f"/proc/{pid}/task").glob("*/children") for name in path.read_text().split()]
    return processor(pid) + sum(processor(int(child)) for child in children)


def imported(served: Served, archive: int, study: str, series: str) -> dict[str, float]:
    """Have the server import a series; return seconds, and processor seconds of each part."""
    with httpx.Client(base_url=served.address, timeout=600) as http:
        here, there, begun = family(served.process.pid), processor(archive), time.perf_counter()
        asked = {"study": study, "series": series}
        one = http.post("/api/archives/Orthanc/imports", json=asked).raise_for_status().json()
        fetched = here
        while one["stage"] not in ("done", "failed", "cancelled"):
            if one["stage"] in ("waiting", "fetching"):
                fetched = family(served.process.pid)
            time.sleep(POLL_SECONDS)
            one = http.get(f"/api/imports/{one['id']}").json()
        seconds = time.perf_counter() - begun
        if one["stage"] != "done":
            sys.exit(f"The import failed: {one['error']}")
        end = family(served.process.pid)
        http.delete(f"/api/cases/{one['cases'][0]}").raise_for_status()
    return {
        "request to case, seconds": seconds,
        "fetching, seconds of processor": fetched - here,
        "reading and keeping, seconds of processor": end - fetched,
        "Orthanc, seconds of processor": processor(archive) - there,
    }


def alone(folder: Path, archive: Archive, study: str, series: str) -> dict[str, float]:
    """Return the processor seconds of the same steps, each in this process."""
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()
        value = work()
        found[f"  {name}, seconds of processor"] = time.process_time() - begun
        return value

    fetched, data = folder / "fetched", folder / "data"
    fetched.mkdir()
    timed("fetched and written", lambda: archive.fetch(study, series, fetched))
    ((info, read),) = timed("sorted into images", lambda: list(io.images(fetched)))
    image = timed("read", read)
    with Store.local(data) as store:
        timed("kept", lambda: store.add_case("case", image, modality=info.modality, source=fetched))
    return found


def say(name: str, value: float) -> None:
    budget = f"   (at most {BUDGETS[name]})" if name in BUDGETS else ""
    print(f"{name:45} {value:8.2f}{budget}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    home = VIEWERS / "orthanc" / "usr"
    if not home.exists():
        sys.exit("Orthanc is not installed; 'make viewers' does that.")
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as name:
        folder = Path(name)
        for part in ("scan", "orthanc", "data", "alone"):
            (folder / part).mkdir()
        paths = written(folder / "scan", options.slices)
        head = pydicom.dcmread(paths[0], stop_before_pixels=True)
        study, series = head.StudyInstanceUID, head.SeriesInstanceUID
        with orthanc(home, folder / "orthanc") as (address, process):
            archive = Archive(address, credentials=ENTRY)
            if len(archive.send(paths).stored) != options.slices:
                sys.exit("Orthanc did not take the series.")
            for path in paths:
                path.unlink()
            kind = "__import__('segmend.io.dicomweb', fromlist=['Archive']).Archive"
            more = f"archives={{'Orthanc': {kind}({address!r}, credentials={ENTRY!r})}}"
            with Served(folder / "data", "geos", more=more) as served:
                served.settle()
                for _ in range(options.times):
                    for what, value in imported(served, process.pid, study, series).items():
                        say(what, value)
            for what, value in alone(folder / "alone", archive, study, series).items():
                say(what, value)


if __name__ == "__main__":
    main()
