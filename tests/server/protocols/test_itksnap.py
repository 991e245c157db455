"""itksnap-dls by hand: the calls of ITK-SNAP, what becomes of them, and what is refused."""

import gzip
import json
import shutil
import subprocess

import httpx
import numpy as np
import pytest

from segmend.core.prompts import Click, Drawn, Lasso
from segmend.core.session import Canvas
from segmend.server.protocols import visits
from tests.server.protocols.snap import Snap
from tests.server.running import Client, http, in_thread, rooms, settings

ROOMS = rooms().voxels[0]
A, B = ROOMS == 10, ROOMS == 20
numbers = iter(range(1, 1000))


def scan():
    """Return the two rooms with a mark of their own outside, so that every test has an image of its own."""
    voxels = ROOMS.copy()
    voxels[0, 0, 0] = 1000 + next(numbers)
    return voxels


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("itksnap"), method="geos")) as running:
        yield running


@pytest.fixture
def snap(server):
    with Snap(server.address) as snap:
        assert snap.show(scan()).status_code == 200
        yield snap


def store_of(server):
    return server.config.app.state.shared.store


def log_of(server, snap):
    """Return the log that an ITK-SNAP works in, and its last label's mask."""
    lease = store_of(server).visitors.lease(snap.session, idle=visits.IDLE)
    log = store_of(server).session(lease.session)
    canvas = Canvas(log.shape)
    canvas.follow(log)
    return log, canvas.mask(lease.label)


def test_the_status_is_one_that_itk_snap_takes_and_needs_no_token(tmp_path):
    with (
        in_thread(settings(tmp_path, token="correct-horse-battery")) as server,
        http(server) as nobody,
        http(server, auth=("anybody", "correct-horse-battery")) as somebody,
    ):
        assert nobody.get("/status").json() == {"status": "ok", "version": "0.1.6"}
        assert nobody.get("/v2/models").status_code == 401
        assert somebody.get("/v2/models").status_code == 200


def test_the_models_are_listed_with_what_the_method_takes(server):
    with http(server) as client:
        listed = client.get("/v2/models").json()["models"]

    assert [(model["dimensions"], model["channels"]) for model in listed] == [(3, [1]), (2, [1, 3])]
    assert all(model["interactions"] == ["point", "scribble", "lasso"] for model in listed)


def test_every_call_is_an_event_and_its_answer_the_whole_mask(server, snap):
    line, round_it = np.zeros_like(A), np.zeros_like(A)
    line[1, 2:4, 6] = True
    round_it[2] = A[2]
    stroke = Drawn(np.ones((1, 2, 1), bool), (1, 2, 6))
    for call, prompt in [
        (lambda: snap.point(3, 2, 1), Click((1, 2, 3))),
        (lambda: snap.point(5, 0, 0, foreground=False), Click((0, 0, 5), positive=False)),
        (lambda: snap.drawn("scribble", line), stroke),
        (lambda: snap.drawn("lasso", round_it), Lasso(((2, 1, 1), (2, 1, 3), (2, 3, 3), (2, 3, 1)), 0)),
        (lambda: snap.drawn("scribble", line, foreground=False), Drawn(stroke.inside, stroke.low, positive=False)),
    ]:
        shown = call()
        log, mask = log_of(server, snap)
        assert log.events[-1].prompt == prompt
        np.testing.assert_array_equal(shown, mask)
    assert shown[1, 2, 3] and not shown[line].any()


def test_an_image_lies_where_itk_snap_says(server):
    direction = np.array([[0.8, 0.0, 0.6], [0.6, 0.0, -0.8], [0.0, 1.0, 0.0]])
    with Snap(server.address) as snap:
        assert snap.show(scan(), direction=direction.ravel().tolist()).status_code == 200
        log, _ = log_of(server, snap)
        lease = store_of(server).visitors.lease(snap.session, idle=visits.IDLE)
        image = store_of(server).image(store_of(server).session_record(lease.session).case)

    assert log.shape == ROOMS.shape
    for x, y, z in [(0, 0, 0), (7, 5, 2), (1, 2, 0)]:
        there = np.array([-10.0, 5.0, 7.0]) + direction @ (np.array([x, y, z]) * [0.8, 0.5, 3.0])
        np.testing.assert_allclose(image.to_mm((z, y, x), space="LPS"), there, atol=1e-9)


def test_a_picture_has_points_of_two_numbers_and_perhaps_colours(server):
    picture = np.stack([scan()[0]] * 3, -1)
    with Snap(server.address, "segmend-2d") as snap:
        assert snap.show(picture, **snap.said(picture, components=3)).status_code == 200
        shown = snap.point(2, 3)
        assert shown.shape == (6, 8) and shown[3, 2]
        assert log_of(server, snap)[0].events[-1].prompt == Click((0, 3, 2))


def test_another_active_label_is_the_next_object(server, snap):
    first = snap.point(2, 2, 1)
    snap.next()
    second = snap.point(6, 3, 1)

    assert first[1, 2, 2] and second[1, 3, 6] and not second[1, 2, 2]
    assert list(log_of(server, snap)[0].labels) == [1, 2]


def test_what_is_marked_is_seen_in_the_annotator_beside(server, snap):
    session = store_of(server).visitors.lease(snap.session, idle=visits.IDLE).session
    with Client(server.address, session) as annotator:
        shown = snap.point(2, 2, 1)
        annotator.next("answered", position=1)

        np.testing.assert_array_equal(annotator.map == 1, shown)


def test_what_lies_beside_the_image_changes_nothing(server, snap):
    before = snap.point(2, 2, 1)
    events = len(log_of(server, snap)[0].events)
    np.testing.assert_array_equal(snap.point(2, 2, 99), before)
    np.testing.assert_array_equal(snap.point(-1, 2, 1, foreground=False), before)
    np.testing.assert_array_equal(snap.drawn("scribble", np.zeros_like(A)), before)
    assert len(log_of(server, snap)[0].events) == events


def test_sessions_live_through_a_restart_and_end_when_they_are_ended(tmp_path):
    with in_thread(settings(tmp_path, method="geos")) as server, Snap(server.address) as one:
        one.show(scan())
        shown = one.point(2, 2, 1)
        session = one.session
    with in_thread(settings(tmp_path, method="geos")) as server, Snap(server.address) as other:
        other.session, other.shown = session, shown
        np.testing.assert_array_equal(other.point(99, 2, 1), shown)
        assert other.ask(f"/v2/end_session/{session}").json() == {"message": "Session ended"}
        query = {"point": [2, 2, 1], "foreground": "true"}
        gone = other.ask(f"/v2/process_point_interaction/{session}", **query)
        assert (gone.status_code, gone.json()["detail"]) == (404, "This connection has ended; connect again.")


def test_a_session_is_its_owners(tmp_path):
    with in_thread(settings(tmp_path, token="correct-horse-battery")) as server:
        store_of(server).accounts.add("ada", token="ada-has-a-long-token")
        with Snap(server.address, auth=("ada", "ada-has-a-long-token")) as ada:
            assert ada.show(scan()).status_code == 200
            with http(server, auth=("owner", "correct-horse-battery")) as owner:
                assert owner.get(f"/v2/reset_interactions/{ada.session}").status_code == 404
                assert owner.get(f"/v2/end_session/{ada.session}").status_code == 200
            assert ada.ask(f"/v2/reset_interactions/{ada.session}").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_have_a_browser_begin_or_mark(server, snap, site):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    events = log_of(server, snap)[0].events
    with http(server, headers=headers) as page:
        for path in (
            "/v2/start_session/segmend",
            f"/v2/process_point_interaction/{snap.session}?point=2&point=2&point=1&foreground=true",
        ):
            assert page.get(path).status_code == 403
    assert log_of(server, snap)[0].events == events


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_which_itk_snap_is_built_on_uploads_a_form_that_waits_to_be_wanted(server, snap, tmp_path):
    voxels = np.random.default_rng(0).random((30, 90, 100), np.float32)
    (tmp_path / "image.gz").write_bytes(gzip.compress(voxels.tobytes(), 1))
    said = json.dumps(snap.said(voxels))
    place = server.address.split("?")[0]
    url = f"{place}upload_raw/{snap.session}?filename=upload.nii.gz"
    form = ["-F", f"file=@{tmp_path}/image.gz;filename=image.gz;type=application/gzip"]
    form += ["-F", f"metadata={said};type=application/json"]
    command = ["curl", "-sS", "-H", "Expect: 100-continue", "-w", "%{http_code}", *form, url]

    reply = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert reply.stdout.endswith("200"), (reply.stdout, reply.stderr)
    assert log_of(server, snap)[0].shape == voxels.shape


# What is wrong


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/start_session/nonsense", 404),  # theirs: 500
        ("/v2/process_point_interaction/nonsense?point=1&point=2&point=1&foreground=true", 404),  # theirs: 200
        ("/v2/process_point_interaction/{}?foreground=true", 422),  # theirs, too
        ("/v2/process_point_interaction/{}?point=1&foreground=true", 422),
        ("/v2/process_point_interaction/{}?point=1&point=2&foreground=true", 400),
        ("/v2/process_point_interaction/{}?point=1&point=x&point=2", 422),  # theirs, too
        ("/v2/process_point_interaction/{}?point=1&point=2&point=1&foreground=perhaps", 422),  # theirs, too
        ("/v2/process_point_interaction/{}?point=1&point=2&point=1" + "0" * 40, 200),
    ],
)
def test_what_is_wrong_is_refused(server, snap, path, status):
    snap.point(2, 2, 1)
    events = log_of(server, snap)[0].events

    reply = snap.ask(path.format(snap.session))

    assert reply.status_code == status, reply.text
    assert status == 200 or reply.json()["detail"].endswith(".")
    assert log_of(server, snap)[0].events == events


SIDES = {"dimensions": [8, 6, 3]}
FULL = gzip.compress(np.ones((3, 6, 8), "<f4").tobytes(), mtime=0)


@pytest.mark.parametrize(
    ("content", "said", "status"),
    [
        (b"", SIDES, 400),
        (b"no gzip" * 99, SIDES, 400),
        (FULL[:-9], SIDES, 400),
        (FULL, {"dimensions": [8, 6, 2]}, 400),
        (FULL, {"dimensions": [8, 6, 4]}, 400),
        (FULL, {"dimensions": [8, 6]}, 400),
        (FULL, {"dimensions": [8, 6, 3, 1]}, 400),
        (FULL, {"dimensions": [8, 6, 0]}, 400),
        (FULL, {"dimensions": [8, 6, True]}, 400),
        (FULL, {"dimensions": [30_000, 30_000, 30_000]}, 413),
        (FULL, {"dimensions": [8, 6, 10**30]}, 400),
        (FULL, {**SIDES, "spacing": [1, 0, 1]}, 400),
        (FULL, {**SIDES, "spacing": [1, "x", 1]}, 400),
        (FULL, {**SIDES, "spacing": [1, 1]}, 400),
        (FULL, {**SIDES, "direction": [1] * 9}, 400),
        (FULL, {**SIDES, "components_per_pixel": 2}, 400),
        (FULL, {**SIDES, "components_per_pixel": 10**9}, 400),
        (FULL, "{", 400),
        (FULL, "[]", 400),
        (gzip.compress(np.full((3, 6, 8), np.nan, "<f4").tobytes(), mtime=0), SIDES, 400),
        (FULL, SIDES, 200),
    ],
)
def test_images_are_taken_or_refused(server, content, said, status):
    with Snap(server.address) as snap:
        reply = snap.form(f"/upload_raw/{snap.session}", content, said)
        assert reply.status_code == status, reply.text
        query = {"point": [2, 2, 1], "foreground": "true"}
        after = snap.ask(f"/v2/process_point_interaction/{snap.session}", **query)
        assert after.status_code == (200 if status == 200 else 400)  # there is no image yet


def test_masks_that_lie_are_refused(snap):
    bomb = gzip.compress(bytes(1 << 24))
    for content, said in [(FULL[:-9], SIDES), (bomb, SIDES), (FULL, {"dimensions": [8, 6, 2]}), (b"x", SIDES)]:
        for kind in ("scribble", "lasso"):
            path = f"/process_{kind}_interaction/{snap.session}?foreground=true"
            assert snap.form(path, content, said).status_code == 400
    assert httpx.post(f"{snap.http.base_url}upload_raw/{snap.session}", data={"metadata": "{}"}).status_code == 400
