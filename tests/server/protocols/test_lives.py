"""A server that is killed between the marks of a viewer and started again costs a retry, and no voxel, in each dialect.

nnInteractive's has a test of its own (`test_nninteractive`), with its leases and its undo.
"""

import base64
import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image as Picture

from segmend.io import read, write_image
from segmend.server.protocols import brush
from tests.server.forking import Nursery
from tests.server.protocols.snap import Snap
from tests.server.protocols.test_labelstudio import CONFIG
from tests.server.protocols.test_slicer_legacy import Slicer
from tests.server.running import http, rooms

ROOMS = rooms()
A, B = 9, 8  # pixels of the rooms in a slice
STEPS = [((1, 2, 2), True), ((1, 3, 6), True), ((1, 0, 0), False), ((1, 2, 1), False)]


class Legacy:
    """SlicerNNInteractive 0.x."""

    def __init__(self, address, folder):
        self.slicer = Slicer(address)
        self.http = self.slicer.http
        self.http.auth = None  # this account needs no token
        self.slicer.image(ROOMS.voxels[0])

    def click(self, index, positive):
        return self.slicer.point(list(index), positive)


class ItkSnap:
    def __init__(self, address, folder):
        self.snap = Snap(address)
        self.http = self.snap.http
        assert self.snap.show(ROOMS.voxels[0]).status_code == 200

    def click(self, index, positive):
        return self.snap.point(*index[::-1], foreground=positive)


class Monai:
    """MONAI Label's client at a session, which sends all clicks each time."""

    def __init__(self, address, folder):
        self.http, self.folder = http(address), folder
        write_image(folder / "scan.nii.gz", ROOMS)
        files = {"files": ("/home/ada/scan.nii.gz", (folder / "scan.nii.gz").read_bytes())}
        self.session = self.http.put("/session/", files=files).json()["session_id"]
        self.clicks = {True: [], False: []}

    def click(self, index, positive):
        return self.ask({**self.clicks, positive: [*self.clicks[positive], list(index[::-1])]})

    def take_back(self):
        return self.ask({**self.clicks, True: self.clicks[True][:-1]})

    def ask(self, clicks):
        params = {"foreground": clicks[True], "background": clicks[False], "result_extension": ".nrrd"}
        path = f"/infer/segmend?output=image&session_id={self.session}"
        reply = self.http.post(path, files={"params": (None, json.dumps({"label": "spleen", **params}))})
        assert reply.status_code == 200, reply.text
        (self.folder / "result.nrrd").write_bytes(reply.content)
        self.clicks = clicks
        return read(self.folder / "result.nrrd").voxels[0] == 1


class Studio:
    """Label Studio at a picture, which sends all marks each time."""

    def __init__(self, address, folder):
        self.http, self.marks, file = http(address), [], io.BytesIO()
        Picture.fromarray(ROOMS.voxels[0, 1].astype(np.uint8)).save(file, "PNG")
        self.picture = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    def click(self, index, positive):
        height, width = ROOMS.shape[1:]
        value = {"x": 100 * index[2] / width, "y": 100 * index[1] / height, "keypointlabels": ["Airplane"]}
        return self.ask([*self.marks, {"type": "keypointlabels", "value": value, "is_positive": positive}])

    def take_back(self):
        return self.ask(self.marks[:-1])

    def ask(self, marks):
        task = {"id": 1, "data": {"image": self.picture}}
        asked = {"tasks": [task], "label_config": CONFIG, "params": {"context": {"result": marks}}}
        reply = self.http.post("/label-studio/predict", json=asked)
        assert reply.status_code == 200, reply.text
        self.marks = marks
        [region] = reply.json()["results"][0]["result"]
        return brush.unpack(region["value"]["rle"], ROOMS.shape[1:])


@pytest.fixture(scope="module")
def nursery(plugin_path):
    with Nursery(plugin_path) as nursery:
        yield nursery


@pytest.mark.parametrize("dialect", [Legacy, ItkSnap, Monai, Studio])
def test_a_server_that_is_killed_twice_costs_a_retry_and_no_voxel(dialect, nursery, tmp_path):
    seen = []
    for lives in (1, 3):
        place = tmp_path / f"data {lives}", tmp_path / "log"
        server = nursery.start(*place, read_apart=False)
        try:
            port = int(server.address.rstrip("/").rpartition(":")[2])
            viewer, masks = dialect(server.address, tmp_path), []
            for number, step in enumerate(STEPS):
                if 0 < number < lives:
                    server.kill()
                    with pytest.raises(httpx.TransportError):
                        viewer.click(*step)
                    server = nursery.start(*place, port=port, read_apart=False)
                masks.append(viewer.click(*step))
            seen.append(masks)
        finally:
            server.kill()
        viewer.http.close()

    np.testing.assert_array_equal(*seen)
    in_a_slice = [np.count_nonzero(mask) / (len(mask) if mask.ndim == 3 else 1) for mask in seen[0]]
    assert in_a_slice[:2] == [A, A + B] and in_a_slice[3] < B + 2  # and the pixel that was clicked


@pytest.mark.parametrize("dialect", [Monai, Studio])
def test_a_mark_that_is_listed_no_longer_is_taken_away_by_the_next_server_too(dialect, nursery, tmp_path):
    place = tmp_path / "data", tmp_path / "log"
    server = nursery.start(*place, read_apart=False)
    try:
        viewer = dialect(server.address, tmp_path)
        first, both = (viewer.click(*step) for step in STEPS[:2])
        server.kill()
        server = nursery.start(*place, port=int(server.address.rstrip("/").rpartition(":")[2]), read_apart=False)
        after = viewer.take_back()
    finally:
        server.kill()
    viewer.http.close()

    assert (first != both).any()
    np.testing.assert_array_equal(after, first)
