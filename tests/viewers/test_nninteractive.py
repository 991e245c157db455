"""nnInteractive's own client at a real server: every method, against the same prompts in our own interface."""

import numpy as np
import pytest
from sqlalchemy import select

from segmend.core.session import Canvas, Prompted, event_to_json
from segmend.server.protocols.visits import IDLE
from segmend.store import tables
from tests.server.forking import Nursery
from tests.server.running import http, in_thread, install_plugin, settings
from tests.viewers.clients import NnInteractive

VERSIONS = ("2.6.0", "2.5.1")
SHAPE, SPACING = (14, 60, 52), (3.0, 0.8, 0.7)


def scan(seed=0):
    """Return a noisy volume with two blobs, and the blobs."""
    z, y, x = np.indices(SHAPE)
    far = [
        ((z - a) / 4) ** 2 + ((y - b) / r) ** 2 + ((x - c) / (r - 2)) ** 2
        for a, b, c, r in [(6, 20, 17, 12), (8, 44, 38, 9)]
    ]
    blobs = [distance < 1 for distance in far]
    noise = np.random.default_rng(seed).normal(0, 20, SHAPE)
    return (40 + 80 * (blobs[0] | blobs[1]) + noise).astype(np.int16)[None], blobs


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("viewers"), method="geos")) as running:
        yield running


@pytest.fixture(params=VERSIONS)
def client(request, tmp_path):
    with NnInteractive(request.param, tmp_path) as client:
        yield client


def begin(client, server, seed=0, **options):
    client.do("open", server_url=server.address.split("?")[0].rstrip("/"), **options)
    image, blobs = scan(seed)
    client.do("set_image", image=image, image_properties={"spacing": list(SPACING)})
    client.do("buffer", shape=SHAPE, dtype="uint8")
    return blobs


def newest_session(store):
    """Return the session that the viewer who came last works in."""
    with store._database.reading() as connection:
        return connection.scalar(select(tables.leases.c.session).order_by(tables.leases.c.seen.desc()).limit(1))


def scribble(blob, plane):
    """Return a line of voxels through a blob in one plane, as a crop, and where it lies."""
    rows, columns = np.nonzero(blob[plane])
    row = int(np.median(rows))
    low, high = int(columns[rows == row].min()) + 2, int(columns[rows == row].max()) - 1
    return np.ones((1, 2, high - low), np.uint8), [[plane, plane + 1], [row, row + 2], [low, high]]


def lasso(blob, plane):
    rows, columns = np.nonzero(blob[plane])
    box = [[plane, plane + 1], [int(rows.min()), int(rows.max()) + 1], [int(columns.min()), int(columns.max()) + 1]]
    return blob[tuple(slice(*side) for side in box)].astype(np.uint8), box


def test_every_method_of_the_client_makes_what_our_own_interface_makes(server, client):
    store = server.config.app.state.shared.store
    client.do("open", server_url=server.address.split("?")[0])
    assert client.do("ping") is True
    told = client.do(
        "tell",
        names=["supported_interactions", "supports_undo", "supports_initial_label", "idle_timeout_seconds", "license"],
    )
    assert all(told.pop("supported_interactions").values())
    assert told.pop("license").startswith("GeoS")
    assert told == {"supports_undo": True, "supports_initial_label": True, "idle_timeout_seconds": IDLE.total_seconds()}
    client.do("set_do_autozoom", do_autozoom=True)
    image, (large, small) = scan()
    client.do("set_image", image=image, image_properties={"spacing": list(SPACING)})
    assert client.do("tell", names=["original_image_shape"]) == {"original_image_shape": [1, *SHAPE]}
    client.do("buffer", shape=SHAPE, dtype="uint8")
    client.do("reset_interactions")

    masks = [client.mask]
    drawn, where = scribble(large, 4)
    round_it, place = lasso(large, 8)
    for name, arguments in [
        ("add_point_interaction", {"coordinates": [6.2, 20.4, 16.8]}),
        ("add_point_interaction", {"coordinates": [6, 40, 30], "include_interaction": False}),
        ("add_scribble_interaction", {"scribble_image": drawn, "interaction_bbox": where}),
        ("add_lasso_interaction", {"lasso_image": round_it, "interaction_bbox": place}),
        ("add_bbox_interaction", {"bbox_coords": [[6, 7], [8.4, 32.6], [7.0, 27.2]]}),
    ]:
        box = client.do(name, **{"include_interaction": True, **arguments})
        masks.append(client.mask)
        changed = np.argwhere(masks[-1] != masks[-2])
        assert not len(changed) or (
            box is not None
            and all(low <= changed[:, i].min() and changed[:, i].max() < high for i, (low, high) in enumerate(box))
        )
    assert (masks[-1] & large).sum() > 0.6 * large.sum()
    assert client.do("add_point_interaction", coordinates=[6, 20, 999], include_interaction=True) is None

    session = newest_session(store)
    prompts = [event for event in store.session(session).events if isinstance(event, Prompted)]
    check_against_our_own(server, store, session, masks[1:], prompts)

    for mask in masks[-2::-1]:
        assert client.do("undo") is True
        np.testing.assert_array_equal(client.mask, mask)
    assert client.do("undo") is False

    assert client.do("add_initial_seg_interaction", initial_seg=small.astype(np.uint8)) is None
    np.testing.assert_array_equal(client.mask, small)
    assert (
        client.do("add_point_interaction", coordinates=[8, 44, 38], include_interaction=True, run_prediction=False)
        is None
    )
    client.do("_predict")
    check_label(store, newest_session(store), client.mask)
    client.do("reset_interactions")
    assert client.do("add_point_interaction", coordinates=[6, 20, 17], include_interaction=True) is not None
    check_label(store, newest_session(store), client.mask, label=2)

    assert 0 < client.do("heartbeat") <= IDLE.total_seconds()
    assert client.do("lease_status")["idle_timeout_seconds"] == IDLE.total_seconds()
    assert (
        client.ask("initialize_from_trained_model_folder", model_training_output_dir="x")["error"] == "RuntimeWarning"
    )
    client.do("close")


def check_against_our_own(server, store, session, masks, prompts):
    """Put the same prompts down in our own interface, and compare every voxel after each."""
    with http(server) as own:
        case = store.session_record(session).case
        other = own.post(f"/api/cases/{case}/sessions").json()["id"]
        own.put(f"/api/sessions/{other}/labels/1", json={"name": "object", "colour": [1, 2, 3]})
        assert len(prompts) == len(masks)
        for prompt, mask in zip(prompts, masks, strict=True):
            reply = own.post(f"/api/sessions/{other}/events", json=event_to_json(prompt))
            assert reply.status_code == 200, reply.text
            check_label(store, other, mask)


def check_label(store, session, mask, label=1):
    log = store.session(session)
    canvas = Canvas(log.shape)
    canvas.follow(log)
    np.testing.assert_array_equal(mask.astype(bool), canvas.mask(label))


def test_negative_boxes_lassos_and_scribbles_take_away(server, client):
    large, _ = begin(client, server, seed=1)
    client.do("add_initial_seg_interaction", initial_seg=large.astype(np.uint8))
    drawn, where = scribble(large, 5)
    assert client.mask[5, where[1][0], where[2][0]] == 1

    client.do("add_scribble_interaction", scribble_image=drawn, interaction_bbox=where, include_interaction=False)
    assert not client.mask[tuple(slice(*side) for side in where)].any()
    for name, arguments in [
        ("add_bbox_interaction", {"bbox_coords": [[6, 7], [8, 20], [7, 17]]}),
        ("add_lasso_interaction", dict(zip(("lasso_image", "interaction_bbox"), lasso(large, 7), strict=True))),
    ]:
        assert "error" not in client.ask(name, include_interaction=False, **arguments)
    whole = np.zeros(SHAPE, np.uint8)
    whole[5, 2:4, 2:9] = 1
    assert "error" not in client.ask("add_scribble_interaction", scribble_image=whole, include_interaction=False)
    client.do("close")


def test_what_the_client_says_of_refusals(client, tmp_path):
    with (
        in_thread(settings(tmp_path / "data", method="geos", viewers_at_once=1)) as server,
        NnInteractive(client.version, tmp_path) as other,
    ):
        address, store = server.address.split("?")[0], server.config.app.state.shared.store
        begin(client, server)
        full = other.ask("open", server_url=address)
        assert full["error"] == "ServerAtCapacityError" and full["words"].startswith("This server is used by 1 viewers")
        empty = client.ask("add_bbox_interaction", bbox_coords=[[0, 0], [1, 3], [1, 3]], include_interaction=True)
        assert empty["error"] == "HTTPStatusError"
        with http(server) as own:
            own.delete(f"/api/cases/{store.session_record(newest_session(store)).case}")
        gone = client.ask("add_point_interaction", coordinates=[6, 20, 17], include_interaction=True)
        assert gone == {
            "error": "SessionExpiredError",
            "words": "The image was deleted here; connect again and send it.",
        }
        client.do("close")
        other.do("open", server_url=address)
        other.do("close")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewers-plugin")
    install_plugin(folder)
    with Nursery(folder) as nursery:
        yield nursery


def test_a_server_that_is_killed_twice_costs_a_retry_and_no_voxel(client, nursery, tmp_path):
    image = scan()[0] // 40  # a few greys, in regions
    steps = [([6, 20, 17], True), ([8, 44, 38], True), ([2, 2, 2], False), ([6, 50, 5], True)]
    seen = []
    for lives in (1, 3):
        place = tmp_path / f"data {lives}", tmp_path / "log"
        server = nursery.start(*place)
        port = int(server.address.rstrip("/").rpartition(":")[2])
        client.do("open", server_url=server.address)
        client.do("set_image", image=image, image_properties={"spacing": list(SPACING)})
        client.do("buffer", shape=SHAPE, dtype="uint8")
        masks = []
        for number, (index, positive) in enumerate(steps):
            click = {"coordinates": index, "include_interaction": positive}
            if 0 < number < lives:
                server.kill()
                assert client.ask("add_point_interaction", **click)["error"] in ("ConnectError", "ReadError")
                server = nursery.start(*place, port=port)
            client.do("add_point_interaction", **click)
            masks.append(client.mask)
        while client.do("undo"):
            masks.append(client.mask)
        client.do("close")
        server.kill()
        seen.append(masks)
    assert len(seen[0]) == 2 * len(steps)
    np.testing.assert_array_equal(*seen)
