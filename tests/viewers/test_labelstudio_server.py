"""Label Studio itself, with Segmend as the ML backend of a project: smart marks come back as brush regions."""

import io
import os
import socket
import subprocess
import time

import httpx
import numpy as np
import pytest
from PIL import Image as Picture

from segmend.core.masks import dice
from segmend.samples import make
from segmend.server.protocols import brush
from tests.server.running import in_thread, settings
from tests.viewers.clients import VIEWERS, need

ADA = {"email": "ada@example.org", "password": "correct-horse-battery"}
CONFIG = """<View><Image name="image" value="$image" zoom="true"/>
<BrushLabels name="mask" toName="image"><Label value="Lesion"/></BrushLabels>
<KeyPointLabels name="points" toName="image" smart="true"><Label value="Lesion" smart="true"/></KeyPointLabels>
<RectangleLabels name="boxes" toName="image" smart="true"><Label value="Lesion" smart="true"/></RectangleLabels>
</View>"""
SAMPLE = make("skin")
HEIGHT, WIDTH = SAMPLE.image.shape[1:]
STARTING_SECONDS = 480  # its first start makes a database


class Studio:
    """Label Studio, and somebody who has logged in."""

    def __init__(self, folder):
        home = need(VIEWERS / "labelstudio-server", "Label Studio", large=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        self.process = subprocess.Popen(
            [str(home / "bin/label-studio"), "start", "--no-browser", "--port", str(port)],
            env={
                **kept, "LABEL_STUDIO_BASE_DATA_DIR": str(folder), "LABEL_STUDIO_USERNAME": ADA["email"],
                "LABEL_STUDIO_PASSWORD": ADA["password"], "LATEST_VERSION_CHECK": "false",
                "COLLECT_ANALYTICS": "false", "USE_DEFAULT_BANNED_SUBNETS": "false",
                "ML_TIMEOUT_HEALTH": "60", "ML_TIMEOUT_SETUP": "60",  # a second and three, on a busy machine
            },
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.http = httpx.Client(base_url=self.address, timeout=120, follow_redirects=True)

    def log_in(self):
        end = time.monotonic() + STARTING_SECONDS
        while True:
            try:
                page = self.http.get("/user/login")
                break
            except httpx.TransportError:
                assert self.process.poll() is None, "Label Studio ended"
                assert time.monotonic() < end, "Label Studio does not start"
                time.sleep(0.5)
        page.raise_for_status()
        self.post("/user/login", data={**ADA, "csrfmiddlewaretoken": self.http.cookies["csrftoken"]})

    def post(self, path, **options):
        found = self.http.post(path, headers={"X-CSRFToken": self.http.cookies["csrftoken"]}, **options)
        assert found.is_success, found.text
        return found

    def close(self):
        self.http.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    found = Studio(tmp_path_factory.mktemp("studio"))
    try:
        found.log_in()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def backend(studio, tmp_path_factory):
    """A project with one picture, and the number of its ML backend."""
    token = studio.post("/api/token/", json={}).json()["token"]
    options = {"label_studio": studio.address, "label_studio_token": token, "method": "mend"}
    with in_thread(settings(tmp_path_factory.mktemp("server"), **options)) as running:
        project = studio.post("/api/projects/", json={"title": "lesions", "label_config": CONFIG}).json()["id"]
        file = io.BytesIO()
        Picture.fromarray(np.moveaxis(SAMPLE.image.voxels[:, 0], 0, -1).astype(np.uint8)).save(file, "PNG")
        studio.post(f"/api/projects/{project}/import", files={"file": ("skin.png", file.getvalue(), "image/png")})
        url = running.address.split("/?")[0] + "/label-studio"
        told = {"project": project, "url": url, "title": "Segmend", "is_interactive": True}
        connected = studio.post("/api/ml/", json=told).json()
        assert (connected["readable_state"], connected["error_message"]) == ("Connected", None)
        task = studio.http.get("/api/tasks/", params={"project": project}).json()["tasks"][0]["id"]
        yield connected["id"], task


def asked(studio, backend, *marks):
    """Return the mask that comes of marks, which is a brush region, and its label."""
    said = {"task": backend[1], "context": {"result": list(marks)}}
    [region] = studio.post(f"/api/ml/{backend[0]}/interactive-annotating", json=said).json()["data"]["result"]
    assert (region["type"], region["from_name"], region["to_name"]) == ("brushlabels", "mask", "image")
    assert region["value"]["brushlabels"] == ["Lesion"]
    return brush.unpack(region["value"]["rle"], (HEIGHT, WIDTH))


def point(name, y, x, positive=True):
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.4, "keypointlabels": ["Lesion"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT, "is_positive": positive}
    return {"id": name, "from_name": "points", "to_name": "image", "type": "keypointlabels", "value": value, **size}


def test_smart_marks_come_back_as_brush_regions(studio, backend):
    truth = SAMPLE.truth[0] == 1
    first = point("a", 180, 227)

    mask = asked(studio, backend, first)
    assert dice(truth, mask) > 0.9
    rows, columns = np.nonzero(mask)
    wrong = int(rows.max()), int(columns[rows.argmax()])  # say that the lowest pixel is not of it
    mended = asked(studio, backend, first, point("b", *wrong, positive=False))
    assert mended[180, 227]
    assert not mended[wrong]
    np.testing.assert_array_equal(asked(studio, backend, first), mask)  # the second one was taken away
