"""What Segmend's module does in 3D Slicer's core: marks at places of a slanted scan, and segments voxel for voxel."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from segmend.core.prompts import Box, Click, Stroke
from segmend.core.reach import Reach
from segmend.core.session import Canvas, Prompted
from tests.annotating.test_annotation import plugin_path  # noqa: F401 - a fixture
from tests.server.running import Client as Person
from tests.server.running import Process, clicked, in_thread, install_plugin, settings
from tests.viewers.clients import VIEWERS, Client, need, python_of
from tests.viewers.test_slicer import SHAPE, scan

MOVED = np.array([[0, -1, 0, 30], [1, 0, 0, -4], [0, 0, 1, 9], [0, 0, 0, 1.0]])  # of a transform above the volume


class Slicer(Client):
    mark = "JSON "


@pytest.fixture(scope="module")
def slicer():
    home = need(VIEWERS / "slicer", "slicer-core", large=True)
    with Slicer([python_of(home), str(Path(__file__).with_name("segmend_slicer_client.py"))]) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    options = {"method": "geos", "token": "a-token-of-the-server", "read_apart": False}
    with in_thread(settings(tmp_path_factory.mktemp("server"), **options)) as running:
        yield running


def shown(store, session):
    canvas = Canvas(SHAPE)
    canvas.follow(store.session(session))
    return canvas.map


def check(slicer, store, session, folder):
    """Look that every segment is its label's mask."""
    slicer.do("masks", out=str(folder / "masks.npy"))
    label_map = shown(store, session)
    for number, mask in enumerate(np.load(folder / "masks.npy"), 1):
        np.testing.assert_array_equal(mask != 0, label_map == number)
    return label_map


@pytest.mark.parametrize("parent", [None, MOVED])
def test_marks_on_a_slanted_volume_become_segments_at_their_places(slicer, server, tmp_path, parent):
    store = server.config.app.state.shared.store
    image, blobs = scan()
    np.save(tmp_path / "scan.npy", image.voxels[0])
    above = np.eye(4) if parent is None else parent

    def at(*voxel):
        return (above @ [*image.to_mm(voxel), 1])[:3].tolist()

    slicer.do(
        "volume", npy=str(tmp_path / "scan.npy"), matrix=image.affine[:, [2, 1, 0, 3]].tolist(),
        parent=None if parent is None else parent.tolist(),
    )  # fmt: skip
    session = slicer.do("begin", address=server.address.split("?")[0], token="a-token-of-the-server")
    kept = store.image(store.session_record(session).case)
    np.testing.assert_array_equal(kept.voxels, image.voxels)
    np.testing.assert_allclose(kept.affine, image.affine, atol=1e-9)
    first, second = slicer.do("add_segment", name="liver"), slicer.do("add_segment", name="tumour")
    slicer.do("click", segment=first, point=at(5.2, 9.8, 8.3))
    label_map = check(slicer, store, session, tmp_path)
    assert (label_map[blobs[0]] == 1).mean() > 0.6
    size = [9 * 0.9, 11 * 0.7, 3 * 2.5]
    slicer.do("markups", segment=second, kind="vtkMRMLMarkupsCurveNode", points=[at(9, 20, 16), at(9, 24, 20)])
    slicer.do(
        "markups", segment=second, kind="vtkMRMLMarkupsLineNode", points=[at(9, 2, 2), at(9, 2, 9)], positive=False
    )
    slicer.do("markups", segment=second, kind="vtkMRMLMarkupsROINode", points=[at(9, 22, 18)], size=size)
    label_map = check(slicer, store, session, tmp_path)
    assert label_map[9, 22, 18] == 2 and (label_map[blobs[1]] == 2).mean() > 0.6
    log = store.session(session)
    prompts = [event.prompt for event in log.events if isinstance(event, Prompted)]
    assert prompts[0] == Click((5, 10, 8)) and isinstance(prompts[3], Box)
    assert isinstance(prompts[1], Stroke) and prompts[1].points[0] == (9, 20, 16)
    assert prompts[1].points[-1] == (9, 24, 20) and {point[0] for point in prompts[1].points} == {9}
    assert prompts[2] == Stroke(((9, 2, 2), (9, 2, 9)), positive=False)
    assert prompts[3].contains((9, 22, 18)) and prompts[3].size < 14 * 30 * 26
    assert [label.name for label in log.labels.values()] == ["liver", "tumour"]

    before = check(slicer, store, session, tmp_path)
    slicer.do("undo")
    slicer.do("undo")
    assert len(store.session(session).prompted()) == 2
    check(slicer, store, session, tmp_path)
    slicer.do("redo")
    slicer.do("redo")
    np.testing.assert_array_equal(check(slicer, store, session, tmp_path), before)
    slicer.do("remove", event=4)  # the line
    check(slicer, store, session, tmp_path)
    assert len(store.session(session).prompted()) == 3
    answer = slicer.ask("click", segment=first, point=at(-9, 0, 0))
    assert answer == {"error": "SceneError", "words": "This point is outside the volume."}
    assert (slicer.do("state")["below"] is None) is (parent is None)


@pytest.mark.parametrize("parent", [None, MOVED])
def test_how_far_marks_reach_and_slices_that_are_locked(slicer, server, tmp_path, parent):
    store = server.config.app.state.shared.store
    image, _ = scan()
    np.save(tmp_path / "scan.npy", image.voxels[0])
    above = np.eye(4) if parent is None else parent
    slicer.do(
        "volume", npy=str(tmp_path / "scan.npy"), matrix=image.affine[:, [2, 1, 0, 3]].tolist(),
        parent=None if parent is None else parent.tolist(),
    )  # fmt: skip
    session = slicer.do("begin", address=server.address.split("?")[0], token="a-token-of-the-server")
    segment = slicer.do("add_segment", name="liver")

    def at(*voxel):
        return (above @ [*image.to_mm(voxel), 1])[:3].tolist()

    def view(axis, sign, *voxel):
        """The matrix of a view along an axis of the volume, through a voxel and far off to a side."""
        matrix = np.eye(4)
        ahead = np.array(at(*np.eye(3)[axis])) - at(0, 0, 0)
        beside = np.array(at(*np.eye(3)[axis - 1])) - at(0, 0, 0)
        matrix[:3, 2] = sign * ahead / np.linalg.norm(ahead)
        beside -= matrix[:3, 2] * (matrix[:3, 2] @ beside)
        matrix[:3, 3] = np.array(at(*voxel)) + 50 * beside
        return matrix.tolist()

    for axis, voxel in enumerate([(7, 3, 5), (2, 9, 4), (3, 8, 11)]):
        for sign in (1, -1):
            assert slicer.do("slice_at", matrix=view(axis, sign, *voxel)) == [axis, voxel[axis]]
    assert slicer.do("slice_at", matrix=view(0, 1, 90, 3, 5)) is None

    slicer.do("click", segment=segment, point=at(5, 10, 8), reach="slice")
    label_map = check(slicer, store, session, tmp_path)
    assert set(np.argwhere(label_map)[:, 0]) == {5}
    assert slicer.do("lock", axis=0, number=5) is True
    slicer.do("click", segment=segment, point=at(6, 10, 8), reach="near", mm=6)
    slicer.do("click", segment=segment, point=at(6, 12, 8), reach="part")
    after = check(slicer, store, session, tmp_path)
    np.testing.assert_array_equal(after[5], label_map[5])
    log = store.session(session)
    reaches = [event.reach for event in log.events if isinstance(event, Prompted)]
    assert reaches == [Reach(axis=0), Reach(mm=6.0), Reach(part=True)] and log.locked_slices() == {0: {5}}
    words = slicer.ask("click", segment=segment, point=at(5, 12, 8))["words"]
    assert words == "Slice 5 across axis 0 is locked; unlock to change the mask there."
    assert slicer.do("lock", axis=0, number=5, locked=False) is False
    assert slicer.do("quality", label=1) == [None, False]  # nobody knows how near this method's is to the truth


def test_a_mask_is_enough_when_its_expected_dice_rises_no_more(slicer, tmp_path, plugin_path):  # noqa: F811
    with in_thread(settings(tmp_path / "data", method="content", read_apart=False)) as running:
        np.save(tmp_path / "scan.npy", np.zeros((4, 6, 8), np.int16))
        slicer.do("volume", npy=str(tmp_path / "scan.npy"), matrix=np.eye(4).tolist())
        slicer.do("begin", address=running.address.split("?")[0])
        segment = slicer.do("add_segment", name="bar")
        told = []
        for x in range(4):
            slicer.do("click", segment=segment, point=[x, 2, 2])
            told.append(slicer.do("quality", label=1))
        slicer.do("undo")
        told.append(slicer.do("quality", label=1))
    assert told == [[0.8, False], [0.93, False], [0.935, False], [0.93, True], [None, False]]


def test_points_that_a_person_places_and_deletes_are_marks(slicer, server, tmp_path):
    store = server.config.app.state.shared.store
    image, _ = scan()
    np.save(tmp_path / "scan.npy", image.voxels[0])
    slicer.do("volume", npy=str(tmp_path / "scan.npy"), matrix=image.affine[:, [2, 1, 0, 3]].tolist())
    session = slicer.do("begin", address=server.address.split("?")[0], token="a-token-of-the-server")
    segment = slicer.do("add_segment", name="liver")
    [[_, first]] = slicer.do("place", segment=segment, point=image.to_mm((5, 10, 8)).tolist())
    slicer.do("place", segment=segment, point=image.to_mm((5, 2, 20)).tolist(), positive=False)
    assert slicer.do("synchronise", segment=segment) == []
    check(slicer, store, session, tmp_path)
    slicer.do("undo")
    yes, no = slicer.do("fill", label=1)
    np.testing.assert_allclose(yes, [image.to_mm((5, 10, 8))], atol=1e-6)
    assert no == [] and slicer.do("synchronise", segment=segment) == []
    assert slicer.do("take_away", segment=segment, positive=True, number=0) == [["removed", first]]
    assert not check(slicer, store, session, tmp_path).any() and store.session(session).prompted() == ()
    for token, address, words in (
        ("wrong", server.address.split("?")[0], "The server needs another token."),
        ("", "ftp://x", "The address of a server looks like http://localhost:8765; got 'ftp://x'."),
    ):
        assert slicer.ask("begin", address=address, token=token)["words"] == words


def test_a_click_on_its_way_when_the_server_dies_is_done_once(slicer, tmp_path):
    install_plugin(tmp_path / "plugin")
    voxels = np.zeros((80, 6, 8), np.int16)
    voxels[:, 1:4, 1:4] = 10
    np.save(tmp_path / "scan.npy", voxels)
    slicer.do("volume", npy=str(tmp_path / "scan.npy"), matrix=np.eye(4).tolist())
    process = Process(tmp_path / "data", tmp_path / "plugin", method="slow")
    port = int(process.address.rstrip("/").rsplit(":", 1)[1])
    session = slicer.do("begin", address=process.address, patience_seconds=120)
    segment = slicer.do("add_segment", name="bar")
    with ThreadPoolExecutor(1) as beside, Person(process.address, session) as other:
        asked = beside.submit(slicer.do, "click", segment=segment, point=[2, 2, 40])
        other.next("accepted")
        other.next("frame")
        process.kill()
        process = Process(tmp_path / "data", tmp_path / "plugin", port, method="slow")
        assert asked.result() == 1
    try:
        slicer.do("masks", out=str(tmp_path / "masks.npy"))
        assert np.load(tmp_path / "masks.npy").sum() == 80 * 9 and slicer.do("state")["events"] == 2
    finally:
        process.kill()


def test_a_server_that_dies_comes_back_without_the_person_seeing_more_than_a_wait(slicer, tmp_path):
    install_plugin(tmp_path / "plugin")
    image, blobs = scan()
    np.save(tmp_path / "scan.npy", image.voxels[0])
    slicer.do("volume", npy=str(tmp_path / "scan.npy"), matrix=image.affine[:, [2, 1, 0, 3]].tolist())
    process = Process(tmp_path / "data", tmp_path / "plugin", method="geos")
    port = int(process.address.rstrip("/").rsplit(":", 1)[1])
    session = slicer.do("begin", address=process.address, patience_seconds=120)
    segments = [slicer.do("add_segment", name=name) for name in ("one", "two")]
    slicer.do("click", segment=segments[0], point=image.to_mm((5, 10, 8)).tolist())
    with ThreadPoolExecutor(1) as beside:
        for life in range(3):
            process.kill()
            coming = beside.submit(Process, tmp_path / "data", tmp_path / "plugin", port, method="geos")
            point = image.to_mm((9, 22 - life, 18)).tolist()
            slicer.do("click", segment=segments[1], point=point)  # while nobody is there
            process = coming.result()
    try:
        slicer.do("undo")
        assert slicer.do("state")["waited"] >= 3
        with Person(process.address, session) as other:
            assert len(other.state["events"]) == 7 and len(other.state["done"]) == 5
            other.do(clicked((5, 10, 9), label=1, method="geos"))
            slicer.do("refresh")
            slicer.do("masks", out=str(tmp_path / "masks.npy"))
            one, two = np.load(tmp_path / "masks.npy")
            np.testing.assert_array_equal(one != 0, other.map == 1)
            np.testing.assert_array_equal(two != 0, other.map == 2)
        assert two[blobs[1]].mean() > 0.6
    finally:
        process.kill()
