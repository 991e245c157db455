"""Label Studio's ML backend: smart marks on pictures, and masks in its own packing."""

import base64
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image as Picture

from segmend.core.session import Prompted
from segmend.server.protocols import brush
from segmend.server.replies import UnreadableError
from segmend.store.visitors import VIEWERS
from tests.server.running import http, in_thread, settings

WIDTH, HEIGHT = 40, 30
PERSONAL = "head.body.signature"
CONFIG = """<View><Image name="picture" value="$image" zoom="true"/>
<BrushLabels name="brush" toName="picture"><Label value="Airplane"/><Label value="Haus, groß"/></BrushLabels>
<KeyPointLabels name="points" toName="picture" smart="true"><Label value="Airplane" smart="true"/></KeyPointLabels>
<RectangleLabels name="boxes" toName="picture" smart="true"><Label value="Airplane" smart="true"/></RectangleLabels>
</View>"""


def png():
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[5:20, 8:24] = 200
    out = io.BytesIO()
    Picture.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


INLINE = f"data:image/png;base64,{base64.b64encode(png()).decode()}"


class Studio:
    """Where pictures lie, and what was asked there."""

    def __init__(self):
        self.asked = []
        self.passes = 0  # that were given for a personal access token; the last one holds

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                said = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                right = (handler.path, said) == ("/api/token/refresh/", {"refresh": PERSONAL})
                self.passes += right
                handler.send_response(200 if right else 401)
                handler.end_headers()
                handler.wfile.write(json.dumps({"access": f"pass-{self.passes}"}).encode())

            def do_GET(handler):
                said = handler.headers.get("Authorization")
                self.asked.append((handler.path, said))
                if said.startswith("Bearer") and said != f"Bearer pass-{self.passes}":
                    handler.send_response(401)
                    handler.end_headers()
                    return
                found = handler.path.startswith("/data/upload/")
                handler.send_response(200 if found else 302)
                handler.send_header("Location", "http://169.254.169.254/")
                handler.end_headers()
                handler.wfile.write(png() if found else b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def studio():
    found = Studio()
    yield found
    found.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, studio):
    options = {"read_apart": False, "label_studio": studio.address, "method": "geos"}
    with in_thread(settings(tmp_path_factory.mktemp("data"), **options)) as running:
        yield running


def point(x, y, *, positive=True, label="Airplane"):
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.3, "keypointlabels": [label]}
    return {"type": "keypointlabels", "value": value, "is_positive": positive, "from_name": "points"}


def rectangle(x, y, width, height, *, rotation=0, label="Airplane"):
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 100 * width / WIDTH, "height": 100 * height / HEIGHT}
    return {"type": "rectanglelabels", "value": {**value, "rotation": rotation, "rectanglelabels": [label]}}


def drawn(mask, *, positive=True, label="Airplane"):
    value = {"format": "rle", "rle": brush.pack(mask), "brushlabels": [label]}
    return {"type": "brushlabels", "value": value, "is_positive": positive}


def asked(*marks, image=INLINE, config=CONFIG):
    context = {"context": {"result": list(marks)}} if marks else {}
    return {
        "tasks": [{"id": 1, "data": {"image": image}}],
        "project": "1.17",
        "label_config": config,
        "params": context,
    }


def predict(client, *marks, **options):
    reply = client.post("/label-studio/predict", json=asked(*marks, **options))
    assert reply.status_code == 200, reply.text
    return reply.json()["results"][0]["result"]


def mask_in(region):
    assert (region["from_name"], region["to_name"], region["type"]) == ("brush", "picture", "brushlabels")
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    return brush.unpack(region["value"]["rle"], (HEIGHT, WIDTH))


def events(server):
    """Return the marks of the session that was begun last."""
    store = server.config.app.state.shared.store
    sessions = [record for case in store.cases(VIEWERS) for record in store.sessions(case.id)]
    log = store.session(max(sessions, key=lambda record: record.created).id)
    return log, [log.events[i].prompt for i in log.done if isinstance(log.events[i], Prompted)]


def test_its_server_finds_what_it_asks_for(server):
    with http(server) as client:
        for path in ("/label-studio/", "/label-studio/health"):
            assert client.get(path).json()["status"] == "UP"
        setup = client.post("/label-studio/setup", json={"project": "1.17", "schema": CONFIG, "access_token": "abc123"})
        assert setup.json()["model_version"].startswith("geos of Segmend")
        assert client.post("/label-studio/webhook", json={"action": "PROJECT_UPDATED"}).status_code == 201
        reply = client.post("/label-studio/predict", json=asked())
        assert reply.json()["results"][0]["result"] == []
        assert client.post("/predict", json=asked()).status_code == 410  # nnInteractive's, which it must not become


def test_points_that_come_and_go_make_the_mask_of_the_session(server):
    with http(server) as client:
        (region,) = predict(client, point(15.5, 12.2))
        assert region["value"]["brushlabels"] == ["Airplane"]
        first = mask_in(region)
        assert first[12, 15] and not first[2, 2]
        _, marks = events(server)
        assert [mark.index for mark in marks] == [(0, 12, 15)]
        predict(client, point(15.5, 12.2), point(30, 3, positive=False))
        _, marks = events(server)
        assert [(mark.index, mark.positive) for mark in marks] == [((0, 12, 15), True), ((0, 3, 30), False)]
        (region,) = predict(client, point(15.5, 12.2))  # one was taken back
        np.testing.assert_array_equal(mask_in(region), first)
        (other,) = predict(client, point(30, 25, label="Haus, groß"))
        assert other["value"]["brushlabels"] == ["Haus, groß"]
        log, _ = events(server)
        assert [label.name for label in log.labels.values()] == ["Airplane", "Haus, groß"]
        assert not (mask_in(other) & first).any()


def test_boxes_and_brushes_are_marks(server):
    with http(server) as client:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[8:11, 10:20] = True
        predict(client, rectangle(6.2, 4.1, 19, 17), drawn(mask), point(200, 3))
        _, marks = events(server)
        box, brushed = marks[-2:]
        assert (box.low, box.high) == ((0, 4, 6), (1, 22, 26))
        assert brushed.low == (0, 8, 10) and brushed.inside.shape == (1, 3, 10) and brushed.inside.all()
        predict(client, rectangle(20, 10, 6, 4, rotation=90))  # turned round its upper left corner
        _, marks = events(server)
        assert (marks[-1].low, marks[-1].high) == ((0, 10, 16), (1, 16, 20))


def test_pictures_come_from_the_label_studio_that_is_named_and_from_nowhere_else(server, studio):
    with http(server) as client:
        client.post("/label-studio/setup", json={"access_token": "abc123"})
        studio.asked.clear()
        for image in ("/data/upload/1/plane.png", f"{studio.address}/data/upload/1/plane.png?x=1"):
            for _ in range(2):
                assert predict(client, point(15, 12), image=image)
        assert studio.asked == [
            ("/data/upload/1/plane.png", "Token abc123"),
            ("/data/upload/1/plane.png?x=1", "Token abc123"),
        ]
        for image, words in (
            ("http://169.254.169.254/latest", "elsewhere"),
            ("//evil.example/x.png", "elsewhere"),
            ("file:///etc/passwd", "elsewhere"),
            (f"{studio.address}@evil.example/x", "elsewhere"),
            ("/other/place", "status 302"),
            ("data:image/png;base64,%%", "base64"),
            ("data:image/png;base64,AAAA", ""),
        ):
            reply = client.post("/label-studio/predict", json=asked(point(1, 1), image=image))
            assert reply.status_code == 400 and words in reply.json()["detail"], (image, reply.text)
        assert len(studio.asked) == 3


def test_a_personal_access_token_is_changed_for_ones_that_run_out(tmp_path, studio):
    options = {"label_studio": studio.address, "label_studio_token": PERSONAL, "method": "geos"}
    with in_thread(settings(tmp_path / "a", **options)) as running, http(running) as client:
        client.post("/label-studio/setup", json={"access_token": "abc123"})
        assert predict(client, point(15, 12), image="/data/upload/2/a.png")
        studio.passes += 1  # the pass has run out
        assert predict(client, point(15, 12), image="/data/upload/2/b.png")
        assert [said for _, said in studio.asked[-3:]] == ["Bearer pass-1", "Bearer pass-1", "Bearer pass-3"]
    options["label_studio_token"] = "not.the.one"
    with in_thread(settings(tmp_path / "b", **options)) as running, http(running) as client:
        reply = client.post("/label-studio/predict", json=asked(point(1, 1), image="/data/upload/2/a.png"))
        assert reply.status_code == 400
        assert "does not take the token in SEGMEND_LABEL_STUDIO_TOKEN (401)" in reply.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"tasks": 3},
        {"tasks": [3], "params": {"context": {"result": [point(1, 1)]}}},
        asked(3),
        asked({"value": {}}),
        asked(point(1, 1), config="<View>"),
        asked(point(1, 1), config="<View/>"),
        asked(point(1, 1), config="<!DOCTYPE x [<!ENTITY a 'b'>]><View/>"),
        asked(point(1, 1), image=""),
        asked({"value": {"x": None, "y": 1, "keypointlabels": ["a"]}}),
        asked({"value": {"x": 1e99, "y": 1, "keypointlabels": ["a"]}}),
        asked({"value": {"rle": [1, 2, 3], "brushlabels": ["a"]}}),
        asked({"value": {"rle": [999] * 40, "brushlabels": ["a"]}}),
        asked({"value": {"rle": "x", "brushlabels": ["a"]}}),
        asked(drawn(np.ones((3, 3), bool))),
        asked(*[point(1, 1)] * 1001),
        {**asked(point(1, 1)), "tasks": [{"data": {"image": INLINE}}] * 2},
    ],
)
def test_what_makes_no_sense_is_refused(server, body):
    with http(server) as client:
        reply = client.post("/label-studio/predict", json=body)
        assert reply.status_code == 400, reply.text


def test_masks_are_packed_and_unpacked():
    random = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (64, 257)):
        for share in (0, 0.02, 0.5, 1):
            mask = random.random(shape) < share
            np.testing.assert_array_equal(brush.unpack(brush.pack(mask), shape), mask)
    assert len(brush.pack(np.zeros((2000, 2000), bool))) < 1000
    begun = time.monotonic()
    with pytest.raises(UnreadableError):
        brush.unpack([255] * 1000, (3, 5))
    with pytest.raises(UnreadableError):
        brush.unpack(brush.pack(np.ones((3, 5), bool))[:-1], (3, 5))
    assert time.monotonic() - begun < 1
