"""SlicerNNInteractive 0.x by hand: the calls that its module makes, and what they may be like."""

import gzip
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from segmend.core.image import Box
from segmend.core.prompts import Click, Drawn, Lasso
from segmend.core.session import Canvas
from tests.server.running import http, in_thread, rooms, settings

ROOMS = rooms().voxels[0]
A, B = ROOMS == 10, ROOMS == 20
TOKENS = {"ada": "ada-has-a-long-token", "bob": "bob-has-a-long-token"}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


class Slicer:
    """The extension of one user."""

    def __init__(self, server, user="ada"):
        self.http = http(server, auth=(user, TOKENS[user]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def image(self, voxels):
        assert self.form("/upload_image", npy(voxels), packed=False).json() == {"status": "ok"}
        return self.segment(np.zeros(voxels.shape, bool))

    def segment(self, mask):
        assert self.form("/upload_segment", gzip.compress(npy(mask))).json() == {"status": "ok"}

    def form(self, path, content, *, packed=True, **fields):
        """Send a form as the extension does: with a word of packing that is true of the file alone."""
        name = "volume.npy.gz" if packed else "volume.npy"
        headers = {"Content-Encoding": "gzip"} if packed else {}
        return self.http.post(
            path, files={"file": (name, content, "application/octet-stream")}, data=fields, headers=headers
        )

    def mask(self, reply):
        assert reply.status_code == 200 and reply.headers["content-encoding"] == "gzip", reply.text
        return np.unpackbits(np.frombuffer(reply.content, np.uint8))[: ROOMS.size].reshape(ROOMS.shape).astype(bool)

    def point(self, index, positive=True):
        return self.mask(
            self.http.post("/add_point_interaction", json={"voxel_coord": index, "positive_click": positive})
        )

    def box(self, one, other, positive=True):
        values = {"outer_point_one": one, "outer_point_two": other, "positive_click": positive}
        return self.mask(self.http.post("/add_bbox_interaction", json=values))

    def drawn(self, kind, mask, positive=True):
        return self.mask(self.form(f"/add_{kind}_interaction", gzip.compress(npy(mask)), positive_click=str(positive)))


def started(folder):
    return in_thread(settings(folder, method="geos", token="correct-horse-battery"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with started(tmp_path_factory.mktemp("legacy")) as running:
        for user, token in TOKENS.items():
            running.config.app.state.shared.store.accounts.add(user, token=token)
        yield running


def newest(server, user="ada"):
    """Return the log that a user's extension works in, and its last label's mask."""
    shared = server.config.app.state.shared
    lease = shared.visits.lease(f"slicer-legacy user {user}", user)
    log = shared.store.session(lease.session)
    canvas = Canvas(log.shape)
    canvas.follow(log)
    return log, canvas.mask(lease.label)


def test_every_call_of_the_extension_is_an_event_and_its_answer_the_whole_mask(server):
    line, round_it = np.zeros_like(A), np.zeros_like(A)
    line[1, 2:4, 6] = True
    round_it[2] = A[2]
    stroke = Drawn(np.ones((1, 2, 1), bool), (1, 2, 6))
    with Slicer(server) as slicer:
        assert slicer.http.get("/").status_code == 200
        slicer.image(ROOMS)
        for call, prompt in [
            (lambda: slicer.point([1, 2, 2]), Click((1, 2, 2))),
            (lambda: slicer.point([0, 0, 5], positive=False), Click((0, 0, 5), positive=False)),
            (lambda: slicer.drawn("scribble", line), stroke),
            (lambda: slicer.drawn("lasso", round_it), Lasso(((2, 1, 1), (2, 1, 3), (2, 3, 3), (2, 3, 1)), 0)),
            (lambda: slicer.drawn("scribble", line, positive=False), replace(stroke, positive=False)),
        ]:
            answer = call()
            log, mask = newest(server)
            assert log.events[-1].prompt == prompt
            np.testing.assert_array_equal(answer, mask)
        assert answer[1, 2, 2] and not answer[line].any()


def test_the_corners_of_a_box_come_in_any_order_belong_to_it_and_may_lie_outside(server):
    with Slicer(server) as slicer:
        slicer.image(ROOMS + 1)
        slicer.box([1, 3, 9], [1, -4, 5])
        assert newest(server)[0].events[-1].prompt == Box((1, 0, 5), (2, 4, 8))
        events = len(newest(server)[0].events)
        before = newest(server)[1]
        np.testing.assert_array_equal(slicer.box([9, 1, 1], [9, 3, 3]), before)
        np.testing.assert_array_equal(slicer.point([1, 2, 99]), before)
        assert len(newest(server)[0].events) == events


def test_an_empty_segment_begins_another_object_and_a_full_one_goes_on(server):
    with Slicer(server) as slicer:
        slicer.image(ROOMS + 2)
        first = slicer.point([1, 2, 2])
        slicer.segment(np.zeros_like(A))
        assert slicer.point([1, 3, 6])[1, 3, 6] and newest(server)[0].events[-1].label == 2
        slicer.segment(first)
        slicer.point([0, 0, 0], positive=False)
        assert newest(server)[0].events[-1].label == 1


def test_users_do_not_meet_and_a_server_that_starts_again_knows_them(tmp_path):
    with started(tmp_path) as server:
        for user, token in TOKENS.items():
            server.config.app.state.shared.store.accounts.add(user, token=token)
        with Slicer(server, "ada") as ada, Slicer(server, "bob") as bob:
            click = {"voxel_coord": [1, 2, 2], "positive_click": True}
            refusal = bob.http.post("/add_point_interaction", json=click)
            assert refusal.json() == {"status": "error", "message": "No image uploaded"}
            ada.image(ROOMS)
            bob.image(ROOMS)
            one = ada.point([1, 2, 2])
            other = bob.point([1, 3, 6])
    with started(tmp_path) as server, Slicer(server, "ada") as ada, Slicer(server, "bob") as bob:
        np.testing.assert_array_equal(ada.point([1, 99, 2]), one)
        np.testing.assert_array_equal(bob.point([1, 99, 2]), other)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/add_point_interaction", {"voxel_coord": [1, 2], "positive_click": True}),
        ("/add_point_interaction", {"voxel_coord": [1, 2, None], "positive_click": True}),
        ("/add_point_interaction", {"voxel_coord": [1, 2, 2]}),
        ("/add_bbox_interaction", {"outer_point_one": [1, 2, 2], "positive_click": True}),
        ("/add_bbox_interaction", {"outer_point_one": "x", "outer_point_two": [1, 2, 2], "positive_click": True}),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(server, path, values):
    with Slicer(server) as slicer:
        reply = slicer.http.post(path, json=values)

    assert reply.status_code == 200 and reply.json()["status"] == "error" and " needs " in reply.json()["message"]


@pytest.mark.parametrize(
    "content",
    [b"", b"x" * 100, gzip.compress(b"no array"), gzip.compress(npy(A)[:-1]), gzip.compress(npy(A) + b"x"),
     gzip.compress(npy(A[:2])), gzip.compress(npy(A))[:-20], gzip.compress(bytes(10**7)),
     gzip.compress(b"\x93NUMPY\x01\x00\x10\x00{'descr':(((((\n"), npy(A)],
    ids=["empty", "no gzip", "no array", "cut array", "more behind it", "other shape", "cut gzip", "zeros", "header",
         "not packed"],
)  # fmt: skip
def test_files_that_lie_are_refused(server, content):
    with Slicer(server) as slicer:
        slicer.image(ROOMS + 3)
        image = () if content == npy(A) else ("/upload_image",)  # which no gzip has packed
        for path in ("/upload_segment", "/add_lasso_interaction", "/add_scribble_interaction", *image):
            reply = slicer.form(path, content, positive_click="True")
            assert (reply.status_code, reply.json()["status"]) == (200, "error"), path
        for odd in (npy(np.array([None])), npy(A), npy(np.zeros((1, 2), "U3"))):
            assert slicer.form("/upload_image", odd[:-1]).json()["status"] == "error"
        assert slicer.point([1, 2, 2])[1, 2, 2]


def test_the_two_dialects_of_one_address_are_told_apart(server):
    point = {"coordinates": [1, 2, 2], "include_interaction": True}
    legacy = {"voxel_coord": [1, 2, 2], "positive_click": True}
    with Slicer(server) as slicer:
        slicer.image(ROOMS)
        events = newest(server)[0].events
        for values, headers in [(point, {}), (point, {"X-Lease-Token": "0" * 32}), (legacy, {"X-Lease-Token": ""})]:
            assert slicer.http.post("/add_point_interaction", json=values, headers=headers).status_code == 410
        body = {"content": b"NNIA", "headers": {"X-Meta": json.dumps({"include_interaction": True})}}
        assert slicer.http.post("/add_lasso_interaction", **body).status_code == 410
        assert newest(server)[0].events == events
