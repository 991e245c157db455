"""The same requests at nnInteractive's own server and at ours: what is answered otherwise is listed, with why."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

from segmend.server.protocols import nnia
from tests.server.protocols.viewer import packed
from tests.server.running import in_thread, settings
from tests.viewers.clients import VIEWERS, need
from tests.viewers.nninteractive_server import VIEWERS_AT_ONCE

SHAPE = (12, 22, 18)
IMAGE = np.full((1, *SHAPE), 40, np.int16)
IMAGE[0, 3:8, 5:14, 4:12] = 200
INSIDE, OUTSIDE = [5, 9, 8], [1, 2, 2]
WHOLE = np.zeros(SHAPE, np.uint8)
WHOLE[5, 9, 6:10] = 1
SQUARE = np.ones((1, 4, 3), np.uint8)
PLACE = [[5, 6], [7, 11], [6, 9]]
DAMAGED = bytearray(packed(WHOLE))
DAMAGED[-8:] = bytes(8)
# Told of the model alone: by how much it forgets marks, if at all.
MODELS_OWN = ("interaction_decay",)


class Visit:
    """One viewer at a server, which asks and takes down what is answered."""

    def __init__(self, address, *, leased=True):
        self.http = httpx.Client(base_url=address, timeout=60)
        self.told = []
        if leased:
            self.http.headers["X-Lease-Token"] = self.http.post("/claim").json()["lease_token"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.post("/release")
        self.http.close()

    def ask(self, path, array=None, *, method="POST", meta=None, headers=None, **how):
        """Ask, with an array and what belongs to it or with a body; take down what came."""
        headers = dict(headers or {})
        if array is not None:
            how["content"] = array if isinstance(array, bytes) else packed(array)
        if meta is not None:
            headers["X-Meta"] = meta if isinstance(meta, str) else json.dumps(meta)
        reply = self.http.request(method, path, headers=headers, **how)
        self.told.append(told(reply))
        return reply

    def begin(self, *, buffer=True):
        """Bring the image and the type of its mask, of which nothing is taken down."""
        assert self.http.post("/set_image", content=packed(IMAGE)).status_code == 200
        if buffer:
            assert self.http.post("/set_target_buffer", json={"shape": SHAPE, "dtype": "uint8"}).status_code == 200

    def point(self, coordinates=INSIDE, positive=True, **values):
        self.ask("/add_point_interaction", json={"coordinates": coordinates, "include_interaction": positive, **values})

    def box(self, *ends, positive=True, **values):
        self.ask("/add_bbox_interaction", json={"bbox_coords": ends, "include_interaction": positive, **values})

    def drawn(self, kind, array, box=None, **meta):
        meta = {"include_interaction": True, "run_prediction": True, "interaction_bbox": box, **meta}
        self.ask(f"/add_{kind}_interaction", array, meta=meta)

    def seed(self, array, **meta):
        self.ask("/add_initial_seg_interaction", array, meta=meta)

    def buffer(self, **values):
        self.ask("/set_target_buffer", json=values)

    def undo(self):
        self.ask("/undo")


def told(reply):
    """Return in words what matters to a viewer: status, headers, what the body is made of."""
    kind = reply.headers.get("content-type", "no type").partition(";")[0]
    words = [str(reply.status_code)]
    if "retry-after" in reply.headers:
        words.append(f"again after {reply.headers['retry-after']}")
    if "x-meta" in reply.headers:
        meta = json.loads(reply.headers["x-meta"])
        assert kind == "application/octet-stream" and type(meta["ran_prediction"]) is bool
        words.append("ran" if meta["ran_prediction"] else "did not run")
        words.append(mask_of(meta, reply.content))
    elif kind == "application/json":
        values = reply.json()
        kinds = {name: type(value).__name__ for name, value in values.items() if name not in MODELS_OWN}
        if reply.is_error:
            assert list(values) == ["detail"]
            words.append("refused")
        else:
            words.append(json.dumps({**kinds, **{k: v for k, v in values.items() if k == "original_image_shape"}}))
    else:
        words.append(kind)
    return " ".join(words)


def mask_of(meta, body):
    """Return of which numbers the mask in an answer is, which lies in the image and is as large as is said."""
    if meta["bbox"] is None:
        assert meta.keys() == {"ran_prediction", "bbox"} and body == b""
        return "nothing"
    array = nnia.unpack(body, fits=lambda shape, size: None)
    assert meta["shape"] == list(array.shape) == [high - low for low, high in meta["bbox"]]
    assert all(0 <= low < high <= size for (low, high), size in zip(meta["bbox"], SHAPE, strict=True))
    called = "" if meta["dtype"] == array.dtype.name else f" called {meta['dtype']}"
    return f"{array.dtype.name}{called}{'' if set(np.unique(array)) <= {0, 1} else ' not of 0 and 1'}"


def without(ask):
    """Return what asks without a lease."""

    def run(address):
        with Visit(address, leased=False) as visit:
            ask(visit)
            return visit.told

    return run


def leased(*asked):
    """Return what asks with a lease alone."""

    def run(address):
        with Visit(address) as visit:
            for ask in asked:
                ask(visit)
            return visit.told

    return run


def shown(*asked, buffer=True):
    """Return what asks with an image."""

    def run(address):
        with Visit(address) as visit:
            visit.begin(buffer=buffer)
            for ask in asked:
                ask(visit)
            return visit.told

    return run


def to(path, *args, **options):
    return lambda visit: visit.ask(path, *args, **options)


def do(name, *args, **options):
    return lambda visit: getattr(visit, name)(*args, **options)


def too_many(address):
    visits = [Visit(address) for _ in range(VIEWERS_AT_ONCE)]
    try:
        visits[0].ask("/claim")
        return visits[0].told
    finally:
        for visit in visits:
            visit.__exit__()


undo = do("undo")
image = partial(to, "/set_image")
REQUESTS = {
    # the connection
    "health": without(to("/healthz", method="GET")),
    "what the server can": without(to("/capabilities", method="GET")),
    "a viewer too many": too_many,
    "heartbeat": leased(to("/heartbeat", json={}), to("/heartbeat")),
    "heartbeat without a lease": without(to("/heartbeat", json={})),
    "heartbeat with a lease of nobody": without(to("/heartbeat", headers={"X-Lease-Token": "0" * 32})),
    "status of a lease": leased(to("/lease_status", method="GET")),
    "status without a lease": without(to("/lease_status", method="GET")),
    "release, twice": leased(to("/release"), to("/release"), to("/heartbeat")),
    "release without a lease": without(to("/release")),
    "a route asked by another method": leased(to("/claim", method="GET"), to("/capabilities", method="POST")),
    "prompts without a lease": without(lambda visit: (visit.point(), visit.undo(), visit.drawn("lasso", WHOLE))),
    "an image without a lease": without(image(IMAGE)),
    # the image
    "an image": leased(image(IMAGE, meta={"image_properties": {"spacing": [3.0, 0.5, 0.8]}})),
    "an image of nothing said": leased(image(IMAGE)),
    "an image of three channels": leased(image(np.repeat(IMAGE, 3, 0))),
    "an image of fractions": leased(image(IMAGE.astype(np.float32))),
    "another image": shown(do("point"), image(IMAGE + 1), undo),
    "an image of three axes": leased(image(IMAGE[0])),
    "an image of zeros": leased(image(IMAGE * 0), do("buffer", shape=SHAPE, dtype="uint8"), do("point")),
    "an image with NaN": leased(image(np.where(IMAGE > 40, np.nan, 1.0).astype(np.float32))),
    "an image that is none": leased(image(b"no array at all")),
    "an image without a body": leased(image(b"")),
    "an image that ends too early": leased(image(packed(IMAGE)[:60])),
    "a spacing below 0": leased(image(IMAGE, meta={"image_properties": {"spacing": [3, -1, 1]}})),
    "properties that are no JSON": leased(image(IMAGE, meta="{")),
    "properties that are a list": leased(image(IMAGE, meta=[1])),
    # the mask that viewers want
    "a mask": shown(do("buffer", shape=SHAPE, dtype="int32"), do("point"), buffer=False),
    "a mask of yes and no": shown(do("buffer", shape=SHAPE, dtype="bool"), do("point"), buffer=False),
    "a mask whose type has a short name": shown(do("buffer", shape=SHAPE, dtype="<i4"), do("point"), buffer=False),
    "a mask whose bytes are in another order": shown(do("buffer", shape=SHAPE, dtype=">i2"), do("point"), buffer=False),
    "a mask before the image": leased(do("buffer", shape=SHAPE, dtype="uint8")),
    "a mask of fractions": shown(do("buffer", shape=SHAPE, dtype="float32")),
    "a mask of two axes": shown(do("buffer", shape=SHAPE[1:], dtype="uint8")),
    "a mask of no voxels": shown(do("buffer", shape=[0, *SHAPE[1:]], dtype="uint8")),
    "a mask of words": shown(do("buffer", shape=["a", "b", "c"], dtype="uint8")),
    "a mask of an unknown type": shown(do("buffer", shape=SHAPE, dtype="colour")),
    "a mask of no type": shown(do("buffer", shape=SHAPE)),
    "a mask of no shape": shown(do("buffer", dtype="uint8")),
    "a mask of another shape than the image": shown(do("buffer", shape=[3, 4, 5], dtype="uint8")),
    "a mask of terabytes": leased(do("buffer", shape=[10**5, 10**5, 10**3], dtype="uint8")),
    "a mask that is no object": shown(to("/set_target_buffer", json=[1]), to("/set_target_buffer")),
    # settings
    "autozoom": leased(to("/set_do_autozoom", json={"do_autozoom": False})),
    "autozoom of nothing": leased(to("/set_do_autozoom", json={})),
    "reset": shown(do("point"), to("/reset_interactions"), undo),
    "reset before the image": leased(to("/reset_interactions")),
    # points
    "a point": shown(do("point")),
    "a point of fractions": shown(do("point", [4.6, 9.3, 8.5])),
    "a point that is not the object": shown(do("point"), do("point", OUTSIDE, positive=False)),
    "a point by the numbers 0 and 1": shown(do("point", positive=1)),
    "a point beside the image": shown(do("point", [5, 9, 400])),
    "a point far before the image": shown(do("point", [-90, 9, 8])),
    "a point before the image came": leased(do("point")),
    "a point before the mask": shown(do("point"), buffer=False),
    "a point of two numbers": shown(do("point", [5, 9])),
    "a point of words": shown(do("point", ["a", "b", "c"])),
    "a point nowhere": shown(to("/add_point_interaction", json={"include_interaction": True})),
    "a point that does not say what it is": shown(to("/add_point_interaction", json={"coordinates": INSIDE})),
    "a point without a body": shown(to("/add_point_interaction"), undo),
    # boxes
    "a box": shown(do("box", [5, 6], [5, 14], [4, 12])),
    "a box of fractions": shown(do("box", [5.0, 6.0], [5.2, 13.7], [4.1, 12.4])),
    "a box in space": shown(do("box", [3, 8], [5, 14], [4, 12])),
    "a box that is not the object": shown(do("point"), do("box", [5, 6], [5, 9], [4, 7], positive=False)),
    "a box across the border": shown(do("box", [5, 6], [-4, 16], [2, 40])),
    "a box beside the image": shown(do("box", [5, 6], [5, 14], [100, 110])),
    "a box whose ends are exchanged": shown(do("box", [5, 6], [14, 5], [4, 12])),
    "an empty box": shown(do("box", [5, 6], [5, 5], [4, 12]), undo),
    "a box of two sides": shown(do("box", [5, 6], [5, 14])),
    "a box of words": shown(do("box", ["a", "b"], [5, 14], [4, 12])),
    "a box before the image came": leased(do("box", [5, 6], [5, 14], [4, 12])),
    # what is drawn
    "a scribble": shown(do("drawn", "scribble", SQUARE, PLACE)),
    "a scribble on the whole image": shown(do("drawn", "scribble", WHOLE)),
    "a scribble that is not the object": shown(
        do("point"), do("drawn", "scribble", SQUARE, PLACE, include_interaction=False)
    ),
    "a lasso": shown(do("drawn", "lasso", SQUARE, PLACE)),
    "a lasso in space": shown(do("drawn", "lasso", np.ones((2, 4, 3), np.uint8), [[5, 7], *PLACE[1:]])),
    "a scribble of no voxels": shown(do("drawn", "scribble", SQUARE * 0, PLACE)),
    "a scribble of another shape than its box": shown(do("drawn", "scribble", SQUARE[:, :2], PLACE)),
    "a scribble in an empty box": shown(do("drawn", "scribble", SQUARE, [[5, 5], *PLACE[1:]])),
    "a scribble across the border": shown(do("drawn", "scribble", SQUARE, [[5, 6], [7, 11], [16, 19]])),
    "a scribble that is no array": shown(do("drawn", "scribble", b"NNIA\1\1")),
    "a scribble that is damaged": shown(do("drawn", "scribble", bytes(DAMAGED))),
    "a scribble that does not say what it is": shown(to("/add_scribble_interaction", WHOLE)),
    "a scribble before the image came": leased(do("drawn", "scribble", SQUARE, PLACE)),
    # masks to begin with
    "a mask to begin with": shown(do("seed", WHOLE), undo),
    "a mask to begin with, and a prediction": shown(do("seed", WHOLE, run_prediction=True)),
    "an empty mask to begin with": shown(do("seed", WHOLE * 0)),
    "a mask to begin with of another shape": shown(do("seed", WHOLE[:4])),
    "a mask to begin with of the image's axes": shown(do("seed", WHOLE[None])),
    "a mask to begin with that is no array": shown(do("seed", b"")),
    "a mask to begin with before the image came": leased(do("seed", WHOLE)),
    # undo and predict
    "undo": shown(do("point"), undo, undo),
    "undo of nothing": shown(undo),
    "undo before the image": leased(undo),
    "undo twice": shown(do("point"), do("point", OUTSIDE, positive=False), undo, undo),
    "predict": shown(do("point", run_prediction=False), to("/predict", json={"force_full_refine": False})),
    "predict with nothing to do": shown(to("/predict", json={})),
    "predict without a body": shown(to("/predict")),
    "predict before the image": leased(to("/predict", json={})),
}

# What is answered otherwise: by nnInteractive's server, by ours, and why.
BROKEN = ["500 text/plain"], ["400 refused"]
NO_ARRAY = "a body that is no array is a mistake of who sent it, none of the server"
MISSING = "what a request lacks is a mistake of who sent it, none of the server"
ODD = "values of another kind are a mistake of who sent them, none of the server"
EARLY = "a prompt before the image is a mistake of who sent it, none of the server"
TAKEN = '200 {"original_image_shape": [1, 12, 22, 18]}'
DEVIATIONS = {
    "a route asked by another method": (
        ["405 refused", "405 refused"],
        ["404 refused", "405 refused"],
        "what no route takes by GET is looked for among the files of the annotator",
    ),
    "an image of zeros": (
        [TAKEN, "200 {}", "400 refused"],
        [TAKEN, "200 {}", "200 ran uint8"],
        "no method here divides by what is not 0: an empty image can be marked, too",
    ),
    "an image with NaN": ([TAKEN], ["400 refused"], "no answer on such an image means anything"),
    "an image that is none": (*BROKEN, NO_ARRAY),
    "an image without a body": (*BROKEN, NO_ARRAY),
    "an image that ends too early": (*BROKEN, NO_ARRAY),
    "a spacing below 0": ([TAKEN], ["400 refused"], "sizes of voxels are used here, and ignored there"),
    "properties that are a list": (*BROKEN, ODD),
    "a mask whose bytes are in another order": (
        ["200 {}", "200 ran int16 called >i2"],
        ["200 {}", "200 ran int16"],
        "both answer in little endian; ours says so",
    ),
    "a mask of another shape than the image": (
        ["200 {}"],
        ["400 refused"],
        "every prompt after it would fail, which is said at once",
    ),
    "a mask of terabytes": (
        ["413 refused"],
        ["200 {}"],
        "no memory is taken for it; with an image its shape is held against that",
    ),
    "a mask that is no object": (
        ["422 refused", "422 refused"],
        ["400 refused", "400 refused"],
        "viewers know one status for what is wrong with a request",
    ),
    "autozoom of nothing": (*BROKEN, MISSING),
    "a point by the numbers 0 and 1": (["200 ran uint8"], ["400 refused"], "yes and no are true and false in JSON"),
    "a point beside the image": (
        ["500 text/plain"],
        ["200 ran nothing"],
        "people click beside images, and viewers show no sentence",
    ),
    "a point far before the image": (
        ["500 text/plain"],
        ["200 ran nothing"],
        "people click beside images, and viewers show no sentence",
    ),
    "a point before the image came": (*BROKEN, EARLY),
    "a point before the mask": (["500 text/plain"], ["200 ran uint8"], "who names no type of a mask gets bytes"),
    "a point of two numbers": (*BROKEN, ODD),
    "a point of words": (*BROKEN, ODD),
    "a point nowhere": (*BROKEN, MISSING),
    "a point that does not say what it is": (*BROKEN, MISSING),
    "a point without a body": (
        ["422 refused", "200 did not run nothing"],
        ["400 refused", "200 did not run nothing"],
        "viewers know one status for what is wrong with a request",
    ),
    "a box of two sides": (*BROKEN, ODD),
    "a box of words": (*BROKEN, ODD),
    "a box before the image came": (*BROKEN, EARLY),
    "a lasso in space": (["200 ran uint8"], ["400 refused"], "a lasso is a line in a plane here, which methods take"),
    "a scribble that is no array": (*BROKEN, NO_ARRAY),
    "a scribble that is damaged": (*BROKEN, NO_ARRAY),
    "a scribble that does not say what it is": (*BROKEN, MISSING),
    "a scribble before the image came": (*BROKEN, EARLY),
    "a mask to begin with that is no array": (*BROKEN, NO_ARRAY),
    "a mask to begin with before the image came": (*BROKEN, EARLY),
    "undo twice": (
        ["200 ran uint8", "200 ran uint8", "200 ran nothing", "200 did not run nothing"],
        ["200 ran uint8", "200 ran uint8", "200 ran nothing", "200 ran uint8"],
        "undo has no end here, and one step there",
    ),
    "predict without a body": (
        ["422 refused"],
        ["200 did not run nothing"],
        "nothing of the body is used, so none is needed",
    ),
    "predict before the image": (
        ["500 text/plain"],
        ["200 did not run nothing"],
        "nothing is waited for, as with an image",
    ),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The address of nnInteractive's server, run by the Python of the tests, which has torch."""
    home = need(VIEWERS / "nninteractive-server", "nnInteractive's server")
    log = tmp_path_factory.mktemp("reference") / "log"
    paths = os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("nninteractive_server.py"))]
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": paths})
    try:
        while not (found := [line for line in log.read_text().splitlines() if line.startswith("http:")]):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield found[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    chosen = settings(tmp_path_factory.mktemp("beside"), method="geos", viewers_at_once=VIEWERS_AT_ONCE)
    with in_thread(chosen) as server:
        yield server.address.split("?")[0]


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_answered_is_what_nninteractives_own_server_answers_or_is_listed(reference, ours, name):
    theirs, own = REQUESTS[name](reference), REQUESTS[name](ours)

    assert (theirs, own) == DEVIATIONS.get(name, (theirs, theirs, ""))[:2]
    assert name not in DEVIATIONS or theirs != own, "it is listed, and answered alike"


def test_every_deviation_is_of_a_request_and_has_a_reason():
    assert DEVIATIONS.keys() <= REQUESTS.keys()
    assert all(len(why) > 10 for _, _, why in DEVIATIONS.values())
