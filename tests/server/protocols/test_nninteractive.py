"""nnInteractive's dialect by hand: every route, what is refused and how, and what becomes of it in the session."""

import json
import socket
import struct
import time

import blosc2
import numpy as np
import pytest

from segmend.core.prompts import Click
from segmend.core.session import Defined, Prompted, Removed
from segmend.server.protocols import nninteractive, visits
from segmend.store.visitors import VIEWERS
from tests.fuzz import viewers
from tests.server.forking import Nursery
from tests.server.protocols.viewer import Viewer, packed
from tests.server.running import Client, clicked, http, in_thread, rooms, settings

ROOMS = rooms().voxels[0]
A, B = ROOMS == 10, ROOMS == 20


def scan(seed):
    """Return the two rooms with a mark of their own outside, so that every test has an image of its own."""
    voxels = ROOMS.copy()
    voxels[0, 0, 0] = 1000 + seed
    return voxels


@pytest.fixture
def store(server):
    return server.config.app.state.shared.store


numbers = iter(range(1, 10_000))


@pytest.fixture
def viewer(server):
    with Viewer(server.address) as viewer:
        viewer.show(scan(next(numbers)))
        yield viewer


def session_of(store, viewer):
    """Return the id of the session that a viewer works in."""
    return store.visitors.lease(viewer.lease, idle=visits.IDLE).session


def log(store, viewer):
    return store.session(session_of(store, viewer))


def label_map(client, session):
    with Client(client.address, session) as watching:
        watching.next("frame")
        return watching.map


# A person at work


def test_a_click_is_an_event_of_a_session_and_its_answer_the_viewers_mask(server, store, viewer):
    assert viewer.point(1, 2, 2)

    np.testing.assert_array_equal(viewer.mask, A)
    events = log(store, viewer).events
    assert [type(event) for event in events] == [Defined, Prompted]
    assert events[1].prompt == Click((1, 2, 2)) and events[1].method == "flood"
    np.testing.assert_array_equal(label_map(server, session_of(store, viewer)), A)


def test_numbers_may_be_fractions_and_are_rounded_to_even(store, viewer):
    viewer.point(0.5, 2.5, 1.50001)  # as Python rounds
    viewer.point(1.2, -0.4, 7.2, positive=False)

    prompts = [event.prompt for event in log(store, viewer).events[1:]]
    assert prompts == [Click((0, 2, 2)), Click((1, 0, 7), positive=False)]


def test_positive_and_negative_clicks_and_boxes_change_the_mask_as_in_our_own_interface(server, client, store, viewer):
    steps = [
        lambda: viewer.point(1, 2, 2),
        lambda: viewer.point(1, 2, 5),
        lambda: viewer.point(0, 3, 3, positive=False),
        lambda: viewer.boxed([1, 2], [1.4, 4.0], [0.6, 3.9]),
        lambda: viewer.point(2, 2, 6, positive=False),
    ]
    shown = []
    for step in steps:
        assert step()
        shown.append(viewer.mask.copy())

    case = store.case(store.session_record(session_of(store, viewer)).case).id
    own = client.post(f"/api/cases/{case}/sessions").json()["id"]
    client.put(f"/api/sessions/{own}/labels/1", json={"name": "object", "colour": [1, 2, 3]})
    prompts = [
        {"kind": "click", "index": [1, 2, 2]},
        {"kind": "click", "index": [1, 2, 5]},
        {"kind": "click", "index": [0, 3, 3], "positive": False},
        {"kind": "box", "low": [1, 1, 1], "high": [2, 4, 4]},
        {"kind": "click", "index": [2, 2, 6], "positive": False},
    ]
    for prompt, mask in zip(prompts, shown, strict=True):
        assert client.post(f"/api/sessions/{own}/prompts", json={"prompt": prompt, "label": 1}).status_code == 200
        np.testing.assert_array_equal(mask, label_map(server, own))


def test_undo_goes_back_to_the_first_prompt_and_no_further(store, viewer):
    masks = [viewer.mask.copy()]
    for index, positive in [((1, 2, 2), True), ((1, 2, 5), True), ((0, 2, 2), False)]:
        viewer.point(*index, positive=positive)
        masks.append(viewer.mask.copy())

    for mask in masks[-2::-1]:
        assert viewer.undo()
        np.testing.assert_array_equal(viewer.mask, mask)
    assert not viewer.undo() and viewer.box is None
    assert not viewer.undo()

    assert viewer.point(1, 2, 5)
    np.testing.assert_array_equal(viewer.mask, B)


def test_the_next_object_is_the_next_label_and_cannot_undo_the_last_one(server, store, viewer):
    viewer.point(1, 2, 2)
    viewer.next()
    viewer.next()  # nothing was marked: it stays the same label
    assert not viewer.undo()
    viewer.point(1, 2, 5)

    np.testing.assert_array_equal(viewer.mask, B)
    both = log(store, viewer)
    assert list(both.labels) == [1, 2] and [label.name for label in both.labels.values()] == ["Object 1", "Object 2"]
    np.testing.assert_array_equal(label_map(server, session_of(store, viewer)), A + 2 * B)
    assert viewer.undo() and not viewer.mask.any() and not viewer.undo()
    np.testing.assert_array_equal(label_map(server, session_of(store, viewer)), A)


def test_an_object_that_begins_on_an_earlier_one_begins_in_a_new_session(store, viewer):
    viewer.point(1, 2, 2)
    first = session_of(store, viewer)
    viewer.next()
    viewer.point(1, 3, 3)

    np.testing.assert_array_equal(viewer.mask, A)  # and the click before is not held against it
    second = session_of(store, viewer)
    assert second != first and store.session_record(second).case == store.session_record(first).case
    assert len(store.session(first).events) == 2
    viewer.next()
    viewer.boxed([1, 2], [1, 4], [1, 4])
    assert session_of(store, viewer) not in (first, second)


def test_an_object_may_reach_into_an_earlier_one_which_its_viewer_knows_nothing_of(server, store, viewer):
    viewer.point(1, 2, 2)
    viewer.next()
    both = B.copy()
    both[1, 1:4, 3] = True
    viewer.seed(both)

    np.testing.assert_array_equal(label_map(server, session_of(store, viewer)), np.where(both, 2, A))


def test_a_mask_that_a_viewer_has_is_taken_as_it_is_and_mended(store, viewer):
    half = A.copy()
    half[:, :, 3] = False
    assert not viewer.seed(half)
    assert viewer.box is None
    assert viewer.point(1, 2, 5)

    np.testing.assert_array_equal(viewer.mask, half | B)
    assert viewer.undo()
    np.testing.assert_array_equal(viewer.mask, half)
    assert viewer.undo() and not viewer.mask.any()


def test_the_mask_of_an_earlier_object_means_that_object(store, viewer):
    viewer.point(1, 2, 2)
    first = viewer.mask.copy()
    viewer.next()
    viewer.point(1, 2, 5)
    viewer.next()
    assert not viewer.seed(first)
    events = len(log(store, viewer).events)
    assert viewer.point(0, 1, 1, positive=False)

    assert np.argwhere(viewer.mask).tolist() == [[1, 2, 2]]  # what was marked before holds
    both = log(store, viewer)
    assert len(both.events) == events + 1 and both.events[-1].label == 1
    assert viewer.undo()
    np.testing.assert_array_equal(viewer.mask, A)
    assert viewer.undo() and not viewer.mask.any()  # of the same label, though another one's came after
    assert isinstance(log(store, viewer).events[-1], Removed)


def test_an_empty_mask_begins_an_empty_object(store, viewer):
    viewer.point(1, 2, 2)
    assert not viewer.seed(np.zeros_like(A))
    viewer.point(1, 2, 5)

    np.testing.assert_array_equal(viewer.mask, B)
    assert log(store, viewer).events[-1].label == 2


@pytest.mark.parametrize("kind", [np.uint8, bool, np.int16, np.float32])
def test_a_mask_may_have_numbers_of_any_type(viewer, kind):
    viewer.seed((5 * A).astype(kind))
    viewer.point(1, 2, 5)

    np.testing.assert_array_equal(viewer.mask != 0, A | B)


@pytest.mark.parametrize("kind", ["bool", "uint8", "int32", "uint64"])
def test_masks_come_as_the_numbers_that_were_asked_for(server, kind):
    with Viewer(server.address) as viewer:
        viewer.show(scan(next(numbers)))
        assert viewer.post("/set_target_buffer", shape=[3, 6, 8], dtype=kind).status_code == 200
        reply = viewer.post("/add_point_interaction", coordinates=[1, 2, 2], include_interaction=True)

        assert json.loads(reply.headers["x-meta"])["dtype"] == kind
        viewer.take(reply)
        np.testing.assert_array_equal(viewer.mask, A)


@pytest.mark.parametrize(("told", "name"), [(">i2", "int16"), ("<u4", "uint32"), ("|b1", "bool")])
def test_the_type_of_a_mask_may_say_an_order_of_bytes(server, told, name):
    with Viewer(server.address) as viewer:
        viewer.show(scan(next(numbers)))
        viewer.post("/set_target_buffer", shape=[3, 6, 8], dtype=told)
        reply = viewer.post("/add_point_interaction", coordinates=[1, 2, 2], include_interaction=True)

        assert json.loads(reply.headers["x-meta"])["dtype"] == name


def test_prompts_without_a_prediction_are_answered_when_it_is_asked_for(store, viewer):
    assert not viewer.predict()
    for index in ((1, 2, 2), (1, 2, 5)):
        assert not viewer.point(*index, run_prediction=False) and viewer.box is None
    assert not viewer.mask.any()

    assert viewer.predict()
    np.testing.assert_array_equal(viewer.mask, A | B)
    assert not viewer.predict() and viewer.box is None


def test_what_was_sent_last_is_sent_once_more_for_it_may_not_have_arrived(viewer):
    viewer.point(1, 2, 2)
    viewer.mask[:] = 0  # it was lost on the way
    viewer.point(1, 2, 5)

    np.testing.assert_array_equal(viewer.mask, A | B)


def test_what_happens_in_the_annotator_beside_is_seen_in_both(server, client, store, viewer):
    viewer.point(1, 2, 2)
    session = session_of(store, viewer)
    with Client(server.address, session) as annotator:
        annotator.next("frame")
        np.testing.assert_array_equal(annotator.map, A)
        annotator.do(clicked((1, 2, 5)))
        viewer.point(0, 0, 5, positive=False)
        annotator.next("answered", position=3)

        np.testing.assert_array_equal(annotator.map == 1, viewer.mask)
        np.testing.assert_array_equal(viewer.mask, A | B)
        annotator.do({"event": "undone"})
        assert viewer.undo()
        np.testing.assert_array_equal(viewer.mask, A)


def test_a_picture_and_colours_are_images_too(server, store):
    with Viewer(server.address) as viewer:
        colours = np.repeat(scan(next(numbers))[None, :1], 3, 0).astype(np.uint8)
        viewer.show(colours, spacing=(1.0, 0.5, 0.5))
        viewer.point(0, 2, 2)

        np.testing.assert_array_equal(viewer.mask, A[:1])
        case = store.case(store.session_record(session_of(store, viewer)).case)
        assert (case.channels, case.shape, case.spacing) == (3, (1, 6, 8), (1.0, 0.5, 0.5))


# Images


def test_the_same_image_is_one_case_and_none_of_the_worklist(server, client, store):
    image, others = scan(next(numbers)), len(store.case_ids())
    with Viewer(server.address) as one, Viewer(server.address) as two:
        one.show(image)
        two.show(image)
        cases = {store.session_record(session_of(store, viewer)).case for viewer in (one, two)}
        assert len(cases) == 1 and session_of(store, one) != session_of(store, two)
        two.show(image, spacing=(3.0, 0.5, 0.9))
        assert store.session_record(session_of(store, two)).case not in cases
        two.show(image.astype(np.float32))
        assert store.session_record(session_of(store, two)).case not in cases
        assert len(store.case_ids()) == others + 2  # what nobody marked went when the next one came

        (case,) = cases
        assert case not in {one["id"] for one in client.get("/api/cases").json()}
        assert case in {one["id"] for one in client.get("/api/cases", params={"project": VIEWERS}).json()}
        session = session_of(store, one)
        one.show(image)
        assert session_of(store, one) == session  # nothing had happened there
        one.point(1, 2, 2)
        one.show(image)
        assert session_of(store, one) != session and not one.undo()


def test_an_image_on_which_nothing_was_done_goes_with_its_viewer(server, store):
    for marked in (False, True):
        with Viewer(server.address) as viewer:
            viewer.show(scan(next(numbers)))
            if marked:
                viewer.point(1, 2, 2)
            case = store.session_record(session_of(store, viewer)).case
            assert viewer.post("/release").json() == {"released": True}
            assert viewer.post("/release").json() == {"released": True}
            assert (case in store.case_ids()) == marked


def test_old_images_are_swept(server, store, monkeypatch):
    shared = server.config.app.state.shared
    with Viewer(server.address) as viewer:
        viewer.show(scan(next(numbers)))
        viewer.point(1, 2, 2)
        case = store.session_record(session_of(store, viewer)).case
        monkeypatch.setattr(store.visitors, "stale", lambda older: [case])

        shared.visits.sweep()

        assert case not in store.case_ids()
        assert viewer.post("/add_point_interaction", coordinates=[1, 2, 2], include_interaction=True).status_code == 410


def test_an_image_that_is_deleted_ends_its_connection_and_no_other(server, client, store, viewer):
    viewer.point(1, 2, 2)
    with Viewer(server.address) as other:
        other.show(scan(next(numbers)))
        client.delete(f"/api/cases/{store.session_record(session_of(store, viewer)).case}")

        reply = viewer.post("/add_point_interaction", coordinates=[1, 2, 2], include_interaction=True)
        assert (reply.status_code, reply.json()["detail"]) == (
            410,
            "The image was deleted here; connect again and send it.",
        )
        assert viewer.post("/heartbeat").status_code == 200
        assert other.point(1, 2, 2)
        viewer.show(scan(next(numbers)))
        assert viewer.point(1, 2, 2)


# The connection


def test_the_server_says_what_it_can(server):
    with Viewer(server.address, claim=False) as viewer:
        assert viewer.http.get("/healthz").json() == {"ok": True}
        can = viewer.http.get("/capabilities").json()

    assert can["supported_interactions"]["points"] and not can["supported_interactions"]["lasso"]  # as flood does
    assert can["supports_undo"] and can["supports_initial_label"]
    assert can["inference_session_version"] == "2.6.0"


def test_a_claim_says_how_long_it_holds(server):
    with Viewer(server.address, claim=False) as viewer:
        claimed = viewer.post("/claim").json()
        headers = {"X-Lease-Token": claimed["lease_token"]}

        assert claimed["idle_timeout_seconds"] == 86400 and claimed["liveness_timeout_seconds"] == 60
        for reply in (
            viewer.http.post("/heartbeat", headers=headers),
            viewer.http.post("/heartbeat", headers=headers, json={}),
            viewer.http.get("/lease_status", headers=headers),
        ):
            assert 86390 < reply.json()["remaining_seconds"] <= 86400


def test_a_viewer_too_many_is_told_to_wait(tmp_path):
    with (
        in_thread(settings(tmp_path, viewers_at_once=2)) as server,
        Viewer(server.address),
        Viewer(server.address) as second,
        Viewer(server.address, claim=False) as third,
    ):
        reply = third.post("/claim")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "10")
        assert reply.json()["detail"].startswith("This server is used by 2 viewers")
        second.post("/release")
        assert third.post("/claim").status_code == 200


def test_viewers_of_others_are_answered_where_only_this_machine_can_ask_or_somebody_wants_it(tmp_path):
    for number, (options, status) in enumerate([({"viewers": False}, 404), ({"viewers": True}, 200)]):
        with in_thread(settings(tmp_path / str(number), **options)) as server, http(server) as client:
            assert client.get("/capabilities").status_code == status
            assert client.post("/claim").status_code in (status, 405)
    assert settings(tmp_path).answers_viewers
    assert not settings(tmp_path, host="0.0.0.0").answers_viewers
    assert settings(tmp_path, host="0.0.0.0", viewers=True).answers_viewers


def test_a_lease_is_its_owners_and_tokens_come_as_viewers_send_them(tmp_path):
    own = "correct-horse-battery"
    with in_thread(settings(tmp_path, token=own)) as server:
        store = server.config.app.state.shared.store
        store.accounts.add("ada", token="ada-has-a-long-token")
        place = server.address.split("?")[0]
        with Viewer(place, claim=False) as nobody:
            assert nobody.http.get("/healthz").status_code == 200
            assert nobody.http.get("/capabilities").status_code == 401
            assert nobody.post("/claim").status_code == 401
        with Viewer(place, headers={"Authorization": f"Bearer {own}"}) as owner:
            with Viewer(place, auth=("whoever", "ada-has-a-long-token")) as ada:
                ada.show(scan(next(numbers)))
                ada.point(1, 2, 2)
                assert [record.user for record in store.history(session_of(store, ada))] == ["ada", "ada"]
                owner.http.headers["X-Lease-Token"] = ada.lease
                assert owner.post("/heartbeat").status_code == 410
                assert owner.post("/release").json() == {"released": True}
                assert ada.post("/heartbeat").status_code == 200
            with Viewer(place, claim=False, auth=("ada", "wrong-password")) as wrong:
                assert wrong.post("/claim").status_code == 401


def test_nothing_is_shown_of_a_server_that_was_killed_between_two_clicks(tmp_path, plugin_path):
    port, viewer, voxels = free_port(), None, scan(0)
    with Nursery(plugin_path) as nursery:
        for life in range(3):
            server = nursery.start(tmp_path / "data", tmp_path / "log", port=port)
            try:
                if viewer is None:
                    viewer = Viewer(server.address)
                    viewer.show(voxels)
                    viewer.point(1, 2, 2)
                elif life == 1:
                    viewer.point(1, 2, 5)
                    np.testing.assert_array_equal(viewer.mask, A | B)
                    viewer.next()
                else:
                    viewer.point(0, 0, 7)
                    np.testing.assert_array_equal(viewer.mask, voxels == 0)
                    assert viewer.undo() and not viewer.mask.any() and not viewer.undo()
                    assert viewer.post("/heartbeat").json()["remaining_seconds"] > 86000
            finally:
                server.kill()
    viewer.http.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# What is wrong

POINT = {"coordinates": [1, 2, 2], "include_interaction": True}
BOXED = {"bbox_coords": [[0, 2], [1, 3], [1, 3]], "include_interaction": True}
BIG = 10**400


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("/add_point_interaction", {}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "coordinates": [1, 2]}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "coordinates": [1, 2, 3, 4]}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "coordinates": "abc"}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "coordinates": [1, 2, None]}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "coordinates": [1, True, 2]}, 400),  # theirs: taken for 1
        ("/add_point_interaction", {**POINT, "coordinates": [1, 2, float("nan")]}, 400),
        ("/add_point_interaction", {**POINT, "coordinates": [1, 2, float("inf")]}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "coordinates": [1, 2, BIG]}, 400),  # theirs: 500
        ("/add_point_interaction", {**POINT, "include_interaction": "yes"}, 400),  # theirs: taken for true
        ("/add_point_interaction", {**POINT, "run_prediction": 1}, 400),  # theirs: taken for true
        ("/add_point_interaction", {"voxel_coord": [1, 2, 2], "positive_click": True}, 400),  # another dialect
        ("/add_bbox_interaction", {}, 400),  # theirs: 500
        ("/add_bbox_interaction", {**BOXED, "bbox_coords": [[0, 2], [1, 1], [1, 3]]}, 400),  # theirs, too
        ("/add_bbox_interaction", {**BOXED, "bbox_coords": [[0, 2], [1, 3]]}, 400),
        ("/add_bbox_interaction", {**BOXED, "bbox_coords": [0, 2, 1]}, 400),  # theirs: 500
        ("/add_bbox_interaction", {**BOXED, "bbox_coords": [[0, 2], [1, 3], [1, "x"]]}, 400),  # theirs: 500
        ("/set_target_buffer", {}, 400),  # theirs, too
        ("/set_target_buffer", {"shape": [6, 8], "dtype": "uint8"}, 400),  # theirs, too
        ("/set_target_buffer", {"shape": [3, 6, 8], "dtype": "float32"}, 400),  # theirs, too
        ("/set_target_buffer", {"shape": [3, 6, 8], "dtype": "nonsense"}, 400),  # theirs, too
        ("/set_target_buffer", {"shape": [3, 6, 8], "dtype": ["uint8"]}, 400),
        ("/set_target_buffer", {"shape": [3, 6, 0], "dtype": "uint8"}, 400),  # theirs, too
        ("/set_target_buffer", {"shape": [3, 6, 8.0], "dtype": "uint8"}, 400),  # theirs, too
        ("/set_target_buffer", {"shape": [BIG, 6, 8], "dtype": "uint8"}, 400),  # theirs: 413
        ("/set_target_buffer", {"shape": [3, 8, 6], "dtype": "uint8"}, 400),  # theirs: taken, and fails later
        ("/set_do_autozoom", {}, 400),  # theirs: 500
        ("/predict", {"force_full_refine": "x"}, 400),  # theirs: taken for true
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(store, viewer, path, values, status):
    viewer.point(1, 2, 5)
    events = log(store, viewer).events

    reply = viewer.http.post(path, content=json.dumps(values), headers={"Content-Type": "application/json"})

    assert reply.status_code == status and reply.json()["detail"].endswith(".")
    assert log(store, viewer).events == events
    assert viewer.undo() and not viewer.mask.any()


@pytest.mark.parametrize("path", ["/add_point_interaction", "/add_bbox_interaction", "/set_target_buffer", "/predict"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(viewer, path, body):
    reply = viewer.http.post(path, content=body)

    assert reply.status_code == (200 if path == "/predict" and not body else 400)  # theirs: 422


def test_what_lies_beside_the_image_changes_nothing(store, viewer):
    viewer.point(1, 2, 2)
    events = log(store, viewer).events

    for index in ((-1, 2, 2), (3, 2, 2), (1, 2, 8), (1, 2, -0.51), (1e14, 0, 0)):
        assert viewer.point(*index) and viewer.box is None
    for ends in (([5, 9], [1, 3], [1, 3]), ([0, 2], [-9, -3], [1, 3])):
        assert viewer.boxed(*ends) and viewer.box is None
    assert log(store, viewer).events == events


def test_a_box_is_cut_to_the_image_and_has_a_voxel_at_least(store, viewer):
    for ends in (([-5, 99], [1, 3], [1, 3]), ([1.6, 2.2], [1, 3], [7.9, 8.3]), ([3, 1], [3, 1], [1, 3])):
        viewer.boxed(*ends)

    boxes = [(event.prompt.low, event.prompt.high) for event in log(store, viewer).events[1:]]
    assert boxes == [((0, 1, 1), (3, 3, 3)), ((1, 1, 7), (2, 3, 8)), ((1, 1, 1), (3, 3, 3))]


@pytest.mark.parametrize(
    ("array", "meta", "status"),
    [
        (np.ones((3, 6, 8), np.int16), {}, 400),  # theirs, too
        (np.ones((6, 8), np.int16), {}, 400),
        (np.full((1, 3, 6, 8), np.nan, np.float32), {}, 400),  # theirs: taken
        (np.full((1, 3, 6, 8), 1e300), {}, 400),  # theirs: taken
        (np.ones((1, 3, 6, 8), np.int16), {"image_properties": {"spacing": [1, 1]}}, 400),  # theirs: not looked at
        (np.ones((1, 3, 6, 8), np.int16), {"image_properties": {"spacing": [1, 0, 1]}}, 400),
        (np.ones((1, 3, 6, 8), np.int16), {"image_properties": {"spacing": "abc"}}, 400),
        (np.ones((1, 1, 1, 40_000), np.uint8), {}, 413),  # theirs: taken
        (np.ones((1500, 1, 1, 2), np.uint8), {}, 413),
        (np.ones((1, 3, 6, 8), bool), {}, 200),
        (np.zeros((1, 3, 6, 8), np.float16), {"image_properties": {}}, 200),  # theirs: refused at the first prompt
        (np.ones((1, 3, 6, 8), np.uint64), {"image_properties": None, "more": 1}, 200),
    ],
)
def test_images_are_taken_or_refused(viewer, array, meta, status):
    assert viewer.packed("/set_image", array, **meta).status_code == status


@pytest.mark.parametrize("path", ["/set_image", "/add_scribble_interaction", "/add_initial_seg_interaction"])
def test_a_body_that_is_no_array_is_refused(viewer, path):
    meta = {"X-Meta": json.dumps({"include_interaction": True})}
    whole = packed(np.ones((1, 3, 6, 8) if path == "/set_image" else (3, 6, 8), np.uint8))

    for body in (b"", b"NNIA", b"garbage" * 100, whole[:-1], whole + b"x", packed(np.ones(4, np.uint8), "object")):
        assert viewer.http.post(path, content=body, headers=meta).status_code == 400  # theirs: 500
    for said in ("{", "[]", "é", '"x"'):
        headers = {"X-Meta": said.encode("latin-1")}
        assert viewer.http.post(path, content=whole, headers=headers).status_code == 400  # theirs, too


def test_a_small_body_that_claims_a_large_array_is_refused(viewer):
    zeros = bytearray(blosc2.compress2(np.zeros(1 << 20, np.uint8), typesize=1))
    zeros[4:8] = struct.pack("<i", 1 << 30)
    for shape in ([1, 1024, 1024, 1024], [1, 1 << 20, 1 << 20, 1 << 20], [64, 1 << 10, 1 << 10, 1 << 10]):
        head = struct.pack("<4s4B", b"NNIA", 1, 1, 4, 5) + b"uint8" + struct.pack("<4qI", *shape, 1)
        body = head + struct.pack("<QQ", 1 << 30, len(zeros)) + bytes(zeros)
        begun = time.process_time()  # of the server, too, which is in this process
        assert viewer.http.post("/set_image", content=body).status_code == 413
        assert time.process_time() - begun < 1
    assert viewer.point(1, 2, 2)


SHARED = tuple(f"/add_{kind}_interaction" for kind in ("point", "bbox", "scribble", "lasso"))


@pytest.mark.parametrize("token", [None, "", "0" * 32, "x" * 5000, "\xe9"])
def test_without_a_lease_every_route_says_that_the_connection_has_ended(server, token):
    headers = {} if token is None else {"X-Lease-Token": token.encode("latin-1")}
    with http(server) as client:
        for path in (
            "/heartbeat", "/set_image", "/set_target_buffer", "/set_do_autozoom", "/reset_interactions", "/undo",
            "/predict", "/add_point_interaction", "/add_bbox_interaction", "/add_scribble_interaction",
            "/add_lasso_interaction", "/add_initial_seg_interaction",
        ):  # fmt: skip
            for body in ({"content": b"{}"}, {"json": POINT}, {"files": {"file": b"x"}}):
                reply = client.post(path, headers=headers, **body)
                if not headers and "files" in body and path in SHARED:
                    assert reply.json()["status"] == "error"  # as the older dialect says it
                else:
                    assert (path, reply.status_code) == (path, 410)
        assert client.get("/lease_status", headers=headers).status_code == 410
        assert client.post("/release", headers=headers).json() == {"released": True}


def test_before_there_is_an_image_prompts_are_refused_and_settings_taken(server):
    with Viewer(server.address) as viewer:
        assert viewer.post("/set_do_autozoom", do_autozoom=True).json() == {}
        assert viewer.post("/set_target_buffer", shape=[3, 6, 8], dtype="uint8").json() == {}
        assert viewer.post("/reset_interactions").json() == {}
        assert not viewer.undo() and not viewer.predict()
        for reply in (
            viewer.post("/add_point_interaction", **POINT),
            viewer.post("/add_bbox_interaction", **BOXED),
            viewer.packed("/add_lasso_interaction", A, include_interaction=True),
            viewer.packed("/add_initial_seg_interaction", A),
        ):
            assert (reply.status_code, reply.json()["detail"]) == (400, "There is no image yet; send it first.")


def test_a_method_that_does_not_take_a_prompt_refuses_it(store, viewer):
    reply = viewer.packed("/add_lasso_interaction", A[:1].copy(), include_interaction=True,
                          interaction_bbox=[[0, 1], [0, 6], [0, 8]])  # fmt: skip

    assert reply.status_code == 400 and reply.json()["detail"].startswith("Flood takes click, stroke, box; got lasso")
    assert log(store, viewer).events == ()


def test_an_answer_that_takes_too_long_is_given_up_and_comes_with_the_next(tmp_path, plugin_path, held, monkeypatch):
    monkeypatch.setattr(nninteractive, "CURTAIL_SECONDS", 60.0)
    monkeypatch.setattr(nninteractive, "GIVE_UP_SECONDS", 0.0)
    monkeypatch.setattr(nninteractive, "POLL_SECONDS", 0.01)
    with in_thread(settings(tmp_path, method="slow")) as server, Viewer(server.address) as viewer:
        viewer.show(scan(0))
        viewer.point(1, 2, 2)
        early = viewer.mask.copy()
        held.released.set()
        monkeypatch.setattr(nninteractive, "GIVE_UP_SECONDS", 60.0)
        viewer.point(1, 2, 5)

        assert not early.any()
        np.testing.assert_array_equal(viewer.mask, A | B)


# Bodies made up


def test_made_up_bodies_are_no_errors_of_the_server(server):
    assert viewers.fuzz(server, 300, seed=0).faults == []
