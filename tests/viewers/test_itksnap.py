"""ITK-SNAP's recorded calls at its own reference server, which answers by a stand-in for the engine, and at ours."""

import base64
import gzip
import json
import os
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

from tests.server.protocols.snap import Snap
from tests.server.running import in_thread, rooms, settings
from tests.viewers.clients import VIEWERS, need

VOLUME = rooms().voxels[0].astype(np.float32)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The address of itksnap-dls, run by the Python of the tests, which has torch."""
    home = need(VIEWERS / "itksnap", "itksnap-dls")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "itksnap_dls", "--mock-models", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("reference") / "log"
    environment = {**os.environ, "PYTHONPATH": str(home), "HF_HUB_OFFLINE": "1"}
    with log.open("w") as said:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--no-network"], stdout=said, stderr=said, env=environment, cwd=log.parent
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                httpx.get(f"{address}status")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("itksnap"), method="geos")) as server:
        yield server.address


def calls(address, model, flat):
    """Make the recorded calls; return of each its status and what it is made of."""
    voxels = VOLUME[0] if flat else VOLUME
    drawn = np.zeros_like(voxels)
    drawn[..., 2:4, 2] = 1
    found = {}
    with Snap(address, model) as snap:
        found["session"] = type(snap.session).__name__
        found["status"] = told(snap.ask("/status"))
        found["upload"] = told(snap.show(voxels), "message")
        point = [("point", n) for n in ((2, 3) if flat else (2, 3, 1))]
        for name, path, query in [
            ("point", f"/v2/process_point_interaction/{snap.session}", [*point, ("foreground", "true")]),
            ("negative", f"/v2/process_point_interaction/{snap.session}", [*point, ("foreground", "false")]),
            ("again", f"/v2/process_point_interaction/{snap.session}", [*point, ("foreground", "true")]),
        ]:
            found[name] = told(snap.http.get(path, params=query), size=voxels.size)
        if not flat:  # the reference's own model of pictures takes points alone
            for kind in ("scribble", "lasso"):
                mask = drawn if kind == "scribble" else drawn * (np.arange(3) == 1)[:, None, None]
                path = f"/process_{kind}_interaction/{snap.session}?foreground=true"
                found[kind] = told(snap.form(path, mask, snap.said(mask)), size=voxels.size)
        found["reset"] = told(snap.ask(f"/reset_interactions/{snap.session}"))
        found["end"] = told(snap.ask(f"/v2/end_session/{snap.session}"))
    return found


def told(reply, *differing, size=None):
    """Return the status and values of a reply; of a mask its bytes, of what differs only that it is there."""
    values = reply.json()
    for name in differing:
        values[name] = "..."
    if "result" in values:
        mask = np.frombuffer(gzip.decompress(base64.b64decode(values["result"])), np.int8)
        assert mask.size == size and set(np.unique(mask)) <= {0, 1}
        values["result"] = "a mask"
    return reply.status_code, json.dumps(values, sort_keys=True)


@pytest.mark.parametrize(
    ("model", "other", "flat"), [("segmend", "nnInteractive", False), ("segmend-2d", "SAM2", True)]
)
def test_recorded_calls_are_answered_as_by_the_reference(reference, ours, model, other, flat):
    assert calls(ours, model, flat) == calls(reference, other, flat)


def test_the_models_are_listed_as_by_the_reference(reference, ours):
    listed = [httpx.get(f"{address.split('?')[0]}v2/models").json()["models"] for address in (ours, reference)]

    for own, other in zip(*listed, strict=True):
        assert own.keys() == other.keys()
        assert (own["dimensions"], own["channels"]) == (other["dimensions"], other["channels"])
