"""The Dockerfile is built, and its container runs as docs/deployment.md says, where there is a builder.

`docker` or `podman`, with the image that the Dockerfile begins with or a registry that has it. `make test-deploy`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time

import httpx
import pytest

from tests.deploy.test_deploy import ROOT, TOKEN, ran
from tests.server.running import PATIENCE, Client, clicked, defined
from tests.store.servers import free_port

MOST_BYTES = 500e6  # of what our steps add to the image that they begin with
NAME = "segmend-test"
PODMAN = ["--cgroups", "disabled", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]  # also in a container

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def engine() -> str:
    """Return Docker or Podman; skip, by name, where neither works or the first image cannot be had."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
            first = re.search(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
            known = subprocess.run([name, "image", "inspect", first], capture_output=True).returncode == 0
            if known or subprocess.run([name, "pull", first], capture_output=True).returncode == 0:
                return name
            reason = f"{name} has no image {first}, and no registry gave it"
            break
    else:
        reason = "neither docker nor podman works here"
    assert not os.environ.get("SEGMEND_DEMAND_CONTAINER"), reason
    pytest.skip(reason)


@pytest.fixture(scope="module")
def image(engine: str) -> str:
    more = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"] if engine == "podman" else []  # of the network's own proxy
    ran(engine, "build", "--network", "host", *more, "--tag", NAME, ROOT)
    return NAME


@pytest.fixture
def address(engine: str, image: str):
    """Run the container as the page on deployment says: nothing is written but in /data and /tmp."""
    port = free_port()
    ran(
        engine, "run", "--detach", "--name", NAME, "--replace" if engine == "podman" else "--rm", "--network", "host",
        *(PODMAN if engine == "podman" else []), "--read-only", "--tmpfs", "/tmp",
        "--volume", f"{NAME}:/data", "--env", f"SEGMEND_TOKEN={TOKEN}", image,
        "start", "--host", "127.0.0.1", "--no-browser", "--port", port,
    )  # fmt: skip
    yield f"http://127.0.0.1:{port}"
    subprocess.run([engine, "rm", "--force", NAME], capture_output=True)
    subprocess.run([engine, "volume", "rm", "--force", NAME], capture_output=True)


def test_it_is_small_and_runs_as_nobody_of_the_host(engine: str, image: str) -> None:
    about = json.loads(ran(engine, "image", "inspect", image))[0]
    first = re.search(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    before = json.loads(ran(engine, "image", "inspect", first))[0]
    assert about["Size"] - before["Size"] < MOST_BYTES
    assert about["Config"]["User"] == "10001:10001"


def test_a_case_is_marked_in_it_and_is_there_after_a_restart(engine: str, address: str) -> None:
    with httpx.Client(base_url=address, timeout=PATIENCE, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        wait_until_ready(client)
        assert httpx.get(f"{address}/api/cases").status_code == 401
        case = client.get("/api/cases").json()[0]
        session = client.post(f"/api/cases/{case['id']}/sessions").json()["id"]
        middle = [n // 2 for n in case["shape"]]
        for event in (defined(1), clicked(middle, method="mend")):
            client.post(f"/api/sessions/{session}/events", json=event).raise_for_status()
        with Client(f"{address}/", session, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as live:
            live.do(clicked(middle, method="mend"))
        events = client.get(f"/api/sessions/{session}").json()["events"]
        mask = client.get(f"/api/sessions/{session}/export", params={"format": ".nii.gz"}).content

        ran(engine, "restart", NAME)
        wait_until_ready(client)
        assert client.get(f"/api/sessions/{session}").json()["events"] == events
        assert client.get(f"/api/sessions/{session}/export", params={"format": ".nii.gz"}).content == mask
    said = subprocess.run([engine, "logs", NAME], capture_output=True, text=True)
    assert "Traceback" not in said.stdout + said.stderr and "Read-only" not in said.stdout + said.stderr
    ran(engine, "exec", NAME, "sh", "-c", "! touch /nobody && touch /data/somebody && id -u | grep -qx 10001")


def wait_until_ready(client: httpx.Client) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("the container does not become ready")
