"""MONAI Label by hand: what its clients send, what becomes of it in worklist and sessions, and what is refused."""

import io
import json
from http.client import HTTPConnection

import httpx
import numpy as np
import pytest

from segmend.core.image import Image
from segmend.core.prompts import Click, Drawn
from segmend.core.session import Canvas, Defined, Prompted, Removed
from segmend.io import read, read_mask, write_image, write_mask
from segmend.server.access.auth import Gate
from segmend.store.visitors import VIEWERS
from tests.server.running import Client, clicked, http, in_thread, rooms, settings

ROOMS = rooms()
A, B = ROOMS.voxels[0] == 10, ROOMS.voxels[0] == 20
OBLIQUE = np.array([[0.3, 0.0, 0.6, -9], [0.1, 0.6, 0.0, 4], [2.9, 0.0, -0.1, 7], [0, 0, 0, 1]])
LIMIT = "----------lImIt_of_THE_fIle_eW_$"
numbers = iter(range(1, 1000))


def scan(affine=OBLIQUE):
    """Return the two rooms with a mark of their own outside, so that every test has an image of its own."""
    voxels = ROOMS.voxels.copy()
    voxels[0, 0, 0, 0] = 1000 + next(numbers)
    return Image(voxels, affine, axes="zyx")


class Monai:
    """A client at one case."""

    def __init__(self, server, folder, **options):
        self.http = http(server, **options)
        self.store = server.config.app.state.shared.store
        self.folder = folder
        self.params = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def file(self, image, name="scan.nii.gz"):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_image(path, image)
        return path.read_bytes()

    def form(self, method, path, params=None, **files):
        """Send a form as MONAI Label's client does."""
        fields = {"params": json.dumps({"client_id": None, **(params or {})})}
        return self.http.request(method, path, data=fields, files=files or {"": None} if files else None)

    def infer(self, image, model="segmend", query="", files=None, **params):
        """Return the mask that comes back, on its own grid."""
        params = {"label": "spleen", "result_extension": ".nrrd", **params}
        files = {"params": (None, json.dumps(params)), **(files or {})}
        path = f"/infer/{model}?image={image}{query}"
        return self.http.post(path, files=files)

    def mask(self, reply):
        """Return the image in a reply that is a form."""
        assert reply.status_code == 200, reply.text
        assert "content-length" in reply.headers
        limit = reply.headers["content-type"].partition("boundary=")[2].encode()
        head, _, body = reply.content.split(b"--" + limit)[2].partition(b"\r\n\r\n")
        name = head.split(b'filename="')[1].split(b'"')[0].decode()
        self.params = json.loads(reply.content.split(b"--" + limit)[1].partition(b"\r\n\r\n")[2])
        path = self.folder / name
        path.write_bytes(body.removesuffix(b"\r\n"))
        found = read(path)
        assert set(np.unique(found.voxels)) <= {0, 1}
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("monai"), method="geos", read_apart=False)) as running:
        yield running


@pytest.fixture
def monai(server, tmp_path):
    with Monai(server, tmp_path) as monai:
        yield monai


@pytest.fixture
def case(monai):
    return monai.store.add_case("rooms", scan()).id


def log_of(store, case):
    log = store.session(store.sessions(case)[-1].id)
    canvas = Canvas(log.shape)
    canvas.follow(log)
    return log, canvas


# A person at work


def test_all_clicks_come_each_time_and_only_new_ones_are_events(monai, case):
    first = monai.mask(monai.infer(case, foreground=[[2, 2, 1]], background=[]))
    second = monai.mask(monai.infer(case, foreground=[[2, 2, 1], [6, 3, 1]], background=[[0, 0, 0]]))

    log, canvas = log_of(monai.store, case)
    assert [type(event) for event in log.events] == [Defined, Prompted, Prompted, Prompted]
    assert [event.prompt for event in log.events[1:]] == [
        Click((1, 2, 2)), Click((1, 3, 6)), Click((0, 0, 0), positive=False)]  # fmt: skip
    assert log.labels[1].name == "spleen"
    np.testing.assert_array_equal(second.voxels[0] == 1, canvas.mask(1))
    np.testing.assert_allclose(second.affine, OBLIQUE, atol=1e-6)
    assert first.voxels[0, 1, 2, 2] == 1 and monai.params["label_names"] == {"spleen": 1}


def test_a_click_that_is_gone_from_the_list_is_taken_away_and_others_stay(server, monai, case):
    monai.infer(case, foreground=[[2, 2, 1], [6, 3, 1]])
    session = monai.store.sessions(case)[-1].id
    with Client(server.address, session) as annotator:
        annotator.do(clicked((2, 2, 2), method="geos"))
        monai.infer(case, foreground=[[2, 2, 1]])
        log, canvas = log_of(monai.store, case)

        assert log.events[-1] == Removed(2)
        assert [log.events[i].prompt.index for i in log.prompted(1)] == [(1, 2, 2), (2, 2, 2)]
        annotator.next("answered", position=len(log.events) - 1)
        np.testing.assert_array_equal(annotator.map, canvas.map)
    assert not monai.mask(monai.infer(case, foreground=[], label="liver")).voxels.any()


def test_each_name_is_a_label_and_every_value_one(monai, case):
    monai.infer(case, foreground=[[2, 2, 1]], label="spleen")
    found = monai.mask(monai.infer(case, foreground=[[6, 3, 1]], label="left kidney"))

    log, canvas = log_of(monai.store, case)
    assert [label.name for label in log.labels.values()] == ["spleen", "left kidney"]
    np.testing.assert_array_equal(found.voxels[0] == 1, canvas.mask(2))
    assert found.voxels.max() == 1


def test_clicks_go_on_in_the_session_that_the_annotator_opened(monai, case):
    session = monai.http.post(f"/api/cases/{case}/sessions").json()["id"]
    monai.infer(case, foreground=[[2, 2, 1]])

    assert [record.id for record in monai.store.sessions(case)] == [session]
    assert monai.params == {} and len(monai.store.session(session).events) == 2


def test_scribbles_come_as_one_mask_of_all_of_them(monai, case):
    image = monai.store.image(case)
    drawn = np.zeros(A.shape, np.uint16)
    drawn[1, 2, 1:4] = 3
    for step, more in enumerate([(slice(0, 1), 0, slice(5, 7), 2), (slice(2, 3), 3, slice(5, 7), 3)]):
        write_mask(monai.folder / "s.nrrd", drawn, image, [])
        content = (monai.folder / "s.nrrd").read_bytes()
        reply = monai.infer(case, model="segmend-scribbles", files={"label": ("/home/x/s.nrrd", content)})
        log, canvas = log_of(monai.store, case)
        np.testing.assert_array_equal(monai.mask(reply).voxels[0] == 1, canvas.mask(1))
        assert len(log.prompted(1)) == step + 1
        z, y, x, value = more
        drawn[z, y, x] = value
    assert all(isinstance(log.events[i].prompt, Drawn) for i in log.prompted(1))
    assert not log.events[log.prompted(1)[-1]].prompt.positive
    empty = np.zeros(A.shape, np.uint16)
    write_mask(monai.folder / "s.nrrd", empty, image, [])
    content = (monai.folder / "s.nrrd").read_bytes()
    monai.infer(case, model="segmend-scribbles", files={"label": ("s.nrrd", content)})
    assert log_of(monai.store, case)[0].prompted(1) == ()


def test_clicks_beside_the_image_change_nothing(monai, case):
    found = monai.mask(monai.infer(case, foreground=[[99, 2, 1], [-1, 0, 0]]))

    assert not found.voxels.any() and len(log_of(monai.store, case)[0].events) == 1


def test_a_result_comes_in_the_format_that_is_asked_for(monai, case):
    both = monai.mask(monai.infer(case, foreground=[[2, 2, 1]]))
    for ending in (".nrrd", ".nii.gz", ".nii"):
        reply = monai.infer(case, query="&output=image", foreground=[[2, 2, 1]], result_extension=ending)
        path = monai.folder / f"result{ending}"
        path.write_bytes(reply.content)
        np.testing.assert_array_equal(read(path).voxels, both.voxels)
        np.testing.assert_allclose(read(path).affine, both.affine, atol=1e-5)
    assert monai.infer(case, query="&output=json", foreground=[[2, 2, 1]]).json()["label_names"] == {"spleen": 1}


# Images, sessions, masks


@pytest.mark.parametrize("name", ["Knie links", "a/b", "Zäh", "scan.nii.gz"])
def test_an_image_that_is_brought_is_a_visitors_and_known_by_its_name(monai, name):
    image = scan()
    others = len(monai.http.get("/api/cases").json())
    reply = monai.http.put(
        "/datastore/",
        params={"image": name},
        files={"file": ("/home/somebody/scan.nii.gz", monai.file(image)), "params": (None, "{}")},
    )
    assert reply.json() == {"image": name}
    found = monai.mask(monai.http.post("/infer/segmend", params={"image": name}, files={
        "params": (None, json.dumps({"foreground": [[2, 2, 1]], "result_extension": ".nrrd"}))}))  # fmt: skip

    assert found.voxels[0, 1, 2, 2] == 1
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    assert len(monai.http.get("/api/cases").json()) == others
    assert name in {case.name for case in monai.store.cases(VIEWERS)}


def test_a_session_is_of_an_image_and_takes_a_form_with_a_wrong_boundary(monai):
    form = httpx.Request("PUT", "http://x", files={"files": ("scan.nii.gz", monai.file(scan()))})
    wrong = {"Content-Type": f"multipart/form-data; boundary={LIMIT}"}
    made = monai.http.put("/session/", content=form.read(), headers=wrong).json()
    session = made["session_id"]

    found = monai.mask(monai.infer("", query=f"&session_id={session}", foreground=[[2, 2, 1]]))
    assert found.voxels[0, 1, 2, 2] == 1
    assert monai.http.get(f"/session/{session}").json()["name"] == session
    assert monai.http.delete(f"/session/{session}").status_code == 200
    for reply in (monai.http.get(f"/session/{session}"), monai.http.delete(f"/session/{session}")):
        assert reply.status_code == 404
    assert monai.infer("", query=f"&session_id={session}", foreground=[]).status_code == 404


def test_the_next_sample_is_the_next_case_of_the_worklist(tmp_path):
    with (
        in_thread(settings(tmp_path / "data", read_apart=False)) as server,
        Monai(server, tmp_path) as monai,
    ):
        assert monai.http.post("/activelearning/next", json={"client_id": None}).json() == {}
        cases = [monai.store.add_case(name, scan()).id for name in ("one", "two")]
        for case in cases:
            sample = monai.http.post("/activelearning/next", json={"client_id": None}).json()
            assert sample["id"] == case
            downloaded = monai.http.get("/datastore/image", params={"image": case})
            path = tmp_path / sample["name"]
            path.write_bytes(downloaded.content)
            np.testing.assert_array_equal(read(path).voxels, monai.store.image(case).voxels)
            assert monai.http.head("/datastore/image", params={"image": case}).status_code == 200
            mask = np.where(A, 1, 0).astype(np.uint16) + 2 * B
            write_mask(tmp_path / "mask.nii.gz", mask.astype(np.uint16), monai.store.image(case), [])
            saved = monai.http.put(
                f"/datastore/label?image={case}&tag=final",
                files={
                    "params": (None, json.dumps({"label_info": [{"name": "room", "idx": 1}]})),
                    "label": ("mask.nii.gz", (tmp_path / "mask.nii.gz").read_bytes()),
                },
            )
            assert saved.json() == {"image": case, "label": case}
            log, canvas = log_of(monai.store, case)
            assert [label.name for label in log.labels.values()] == ["room", "Object 2"]
            np.testing.assert_array_equal(canvas.map, mask)
            assert monai.store.case(case).status == "done"
            label = monai.http.get(f"/datastore/label?label={case}&tag=final")
            (tmp_path / "got.seg.nrrd").write_bytes(label.content)
            np.testing.assert_array_equal(read_mask(tmp_path / "got.seg.nrrd", monai.store.image(case)), mask)
        assert monai.http.post("/activelearning/random", json={}).json() == {}
        assert monai.http.get("/datastore/").json() == {"total": 2, "completed": 2, "label_tags": {"final": 2}}
        everything = monai.http.get("/datastore/?output=all").json()["objects"]
        assert set(everything) == set(cases) and all("final" in one["labels"] for one in everything.values())


def test_what_the_server_can_is_told_as_clients_need_it(monai):
    told = monai.http.get("/info/").json()

    assert isinstance(told["labels"], list) and told["labels"]
    assert {name: model["type"] for name, model in told["models"].items()} == {
        "segmend": "deepgrow", "segmend-scribbles": "scribbles"}  # fmt: skip
    assert told["trainers"] == {} and set(told["strategies"]) == {"next", "random"}
    assert monai.http.get("/train/?check_if_running=true").status_code == 404
    assert monai.http.post("/train/segmend", json={}).status_code == 404


def test_a_body_that_is_announced_and_does_not_come_is_not_waited_for(monai):
    connection = HTTPConnection(monai.http.base_url.host, monai.http.base_url.port, timeout=20)
    stale = {"Content-Type": f"multipart/form-data; boundary={LIMIT}", "Content-Length": "295"}
    for path, status in [("/train/?check_if_running=true", 404), ("/info/", 200), ("/datastore/?output=all", 200)]:
        connection.request("GET", path, headers=stale)
        assert connection.getresponse().status == status
        connection.close()


# Who asks


def test_a_person_logs_in_with_their_token_as_the_password(tmp_path):
    with in_thread(settings(tmp_path / "data", token="correct-horse-battery", method="geos")) as server:
        store = server.config.app.state.shared.store
        store.accounts.add("ada", token="ada-has-a-long-token")
        with Monai(server, tmp_path) as nobody:
            assert nobody.http.get("/auth/").json() == {"enabled": True}
            for path in ("/info/", "/auth/token/valid", "/datastore/", "/session/x"):
                assert nobody.http.get(path).status_code == 401
            form = {"username": "ada", "password": "wrong", "grant_type": "password"}
            assert nobody.http.post("/auth/token", data=form).status_code == 401
            assert nobody.http.post("/auth/token", data={"username": "ada"}).status_code == 400
            token = nobody.http.post("/auth/token", data={**form, "password": "ada-has-a-long-token"}).json()
            assert token == {"access_token": "ada-has-a-long-token", "token_type": "Bearer"}
        with Monai(server, tmp_path, headers={"Authorization": f"Bearer {token['access_token']}"}) as ada:
            assert ada.http.get("/auth/token/valid").json() == {"username": "ada"}
            case = store.add_case("rooms", scan()).id
            ada.infer(case, foreground=[[2, 2, 1]])
            session = store.sessions(case)[-1]
            assert session.user == "ada" and {r.user for r in store.history(session.id)} == {"ada"}


def test_a_wrong_password_counts_as_a_wrong_token(tmp_path):
    with in_thread(settings(tmp_path, token="correct-horse-battery")) as server, http(server) as client:
        client.get("/api/health")
        gate = next(layer for layer in layers(server.config.app.middleware_stack) if isinstance(layer, Gate))
        assert not gate._guesses
        form = {"username": "x", "password": "wrong-wrong-wrong"}
        assert client.post("/auth/token", data=form).status_code == 401
        assert gate._guesses


def layers(app):
    layer = app  # of the outermost
    while layer is not None:
        yield layer
        layer = getattr(layer, "_app", getattr(layer, "app", None))


def test_on_this_machine_alone_nobody_logs_in(server, monai):
    assert monai.http.get("/auth/").json() == {"enabled": False}
    assert monai.http.get("/info/").status_code == 200


# What is wrong


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/infer/nonsense?image={}", {}, 404),
        ("/infer/segmend?image=nonsense", {}, 404),
        ("/infer/segmend?image=", {}, 400),
        ("/infer/segmend?session_id=nonsense", {}, 404),
        ("/infer/segmend?image={}&output=nonsense", {}, 422),
        ("/infer/segmend?image={}&output=dicom_seg", {}, 400),
        ("/infer/segmend?image={}", {"foreground": 3}, 400),
        ("/infer/segmend?image={}", {"foreground": [[1, 2]]}, 400),
        ("/infer/segmend?image={}", {"foreground": [[1, 2, "x"]]}, 400),
        ("/infer/segmend?image={}", {"foreground": [[1, 2, 3]] * 1001}, 400),
        ("/infer/segmend?image={}", {"label": {"spleen": 1}}, 400),
        ("/infer/segmend?image={}", {"label": "x" * 500}, 400),
        ("/infer/segmend?image={}", {"result_extension": "/../../x.nrrd"}, 400),
        ("/infer/segmend-scribbles?image={}", {}, 400),
        ("/activelearning/nonsense", {}, 404),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(monai, case, path, params, status):
    reply = monai.http.post(path.format(case), files={"params": (None, json.dumps(params))})
    if path.startswith("/activelearning"):
        reply = monai.http.post(path, json=params)

    assert reply.status_code == status, reply.text
    assert reply.json()["detail"].endswith(".")
    assert all(not monai.store.session(one.id).prompted() for one in monai.store.sessions(case))


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"--", b"--\r\n", b"--a\r\n", b"--a\r\nContent-Disposition: form-data\r\n\r\n", b"-" * 9999,
     b'--a\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"x":\r\n--a--\r\n',
     b'--a\r\nContent-Disposition: form-data; name="params"\r\n\r\n[]\r\n--a--\r\n'],
)  # fmt: skip
def test_forms_that_are_none_are_refused(monai, case, body):
    kind = {"Content-Type": "multipart/form-data; boundary=a"}
    for method, path in [("POST", f"/infer/segmend?image={case}"), ("PUT", "/session/"), ("PUT", "/datastore/"),
                         ("PUT", f"/datastore/label?image={case}")]:  # fmt: skip
        assert monai.http.request(method, path, content=body, headers=kind).status_code == 400


def test_files_that_are_no_images_or_masks_are_refused(monai, case):
    for content in (b"", b"x" * 1000, io.BytesIO(b"\x1f\x8b" + b"x" * 99).read()):
        for method, path, field in [("PUT", "/datastore/?image=x", "file"), ("PUT", "/session/", "files"),
                                    ("PUT", f"/datastore/label?image={case}", "label"),
                                    ("POST", "/infer/segmend?image=x", "file")]:  # fmt: skip
            reply = monai.http.request(method, path, files={field: ("scan.nii.gz", content)})
            assert (path, reply.status_code) == (path, 400)
    assert monai.store.case(case).status == "untouched"


def test_clicks_that_name_no_object_go_to_the_one_that_has_some_of_them_or_to_the_next(monai, case):
    def answer(*points):
        return monai.mask(monai.infer(case, label=None, foreground=[list(point) for point in points])).voxels[0] > 0

    first, more = answer((2, 2, 1)), answer((2, 2, 1), (3, 3, 1))
    other, again = answer((6, 2, 1)), answer((3, 3, 1), (2, 2, 1))

    log, _ = log_of(monai.store, case)
    assert [label.name for label in log.labels.values()] == ["object", "object 2"]
    assert [len(log.prompted(value)) for value in log.labels] == [2, 1]
    np.testing.assert_array_equal(again, more)
    assert first[1, 2, 2] and other[1, 2, 6] and not other[1, 2, 2]
