"""napari with Segmend's own plugin, in napari itself and at a server: voxel for voxel what Segmend makes of marks."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from segmend.annotating import LocalAnnotation
from segmend.core.image import Box, Image
from segmend.core.prompts import Click, Lasso, Stroke
from segmend.core.reach import Reach
from segmend.core.session import Canvas, Prompted
from tests.server.running import in_thread, settings
from tests.viewers.clients import SegmendNapari

SHAPE = (9, 40, 48)
SCALE = (3.0, 0.8, 0.6)


@pytest.fixture(scope="module")
def blobs():
    """Two bright blobs in noise."""
    z, y, x = np.indices(SHAPE)
    far = [((z - 4) / 3.5) ** 2 + ((y - b) / 8) ** 2 + ((x - c) / 8) ** 2 for b, c in [(13, 13), (27, 33)]]
    noise = np.random.default_rng(4).normal(0, 6, SHAPE)
    return (50 + 100 * ((far[0] < 1) | (far[1] < 1)) + noise).astype(np.int16)


@pytest.fixture(scope="module")
def napari(tmp_path_factory):
    with SegmendNapari(tmp_path_factory.mktemp("napari")) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with in_thread(
        settings(tmp_path_factory.mktemp("server"), method="geos", token="a-token-of-the-server")
    ) as running:
        yield running


def keep(napari, folder, name):
    napari.do("screenshot", path=str(folder / name))
    assert np.ptp(np.asarray(Picture.open(folder / name))) > 100
    if kept := os.environ.get("SEGMEND_KEEP_PICTURES"):
        Path(kept, name).write_bytes((folder / name).read_bytes())


def play(napari, expected, shown):
    """Put down marks of every kind on two labels, and look at the mask after each; `expected` makes the same ones."""

    def check(what):
        np.testing.assert_array_equal(napari.map, shown(), err_msg=what)

    napari.do("point", at=[4.3, 12.6, 13.4])
    expected(Click((4, 13, 13)))
    check("click")
    assert shown().any()
    napari.do("point", at=[4, 2, 40], positive=False)
    expected(Click((4, 2, 40), positive=False))
    check("negative click")
    napari.do("press", name="add_label")
    seen = napari.do("seen")
    assert seen["label"] == "object 2" and seen["clicks"] == []
    expected(None)
    napari.do("drag", corners=[[4, 18.2, 24.1], [4, 30, 36], [4, 35.4, 41.3]], tool="Box")
    expected(Box((4, 18, 24), (5, 36, 42)), 2)
    check("box")
    napari.do("shape", corners=[[3, 27, 30], [3, 27, 36]], kind="path")
    expected(Stroke(((3, 27, 30), (3, 27, 36))), 2)
    check("stroke")
    napari.do("shape", corners=[[5, 5, 30], [5, 5, 44], [5, 12, 44]], kind="polygon", positive=False)
    expected(Lasso(((5, 5, 30), (5, 5, 44), (5, 12, 44)), 0, positive=False), 2)
    check("lasso")


def test_marks_in_napari_itself(napari, tmp_path, blobs):
    np.save(tmp_path / "scan.npy", blobs)
    affine = napari.do("open", npy=str(tmp_path / "scan.npy"), scale=SCALE, translate=[5, 6, 7], rotate=20.0)
    twin = LocalAnnotation(Image(blobs[None], np.array(affine), axes="zyx"), method="geos")
    twin.add_label("object")
    np.testing.assert_allclose(twin.image.spacing, SCALE)

    def expected(prompt, label=1):
        if prompt is None:
            twin.add_label()
        else:
            twin.mark(prompt, label)

    play(napari, expected, lambda: twin.map)
    image_places, mask_places = napari.do("placed")
    np.testing.assert_allclose(image_places, mask_places)
    maps = [twin.map]
    for _ in range(3):
        twin.undo()
        napari.do("press", name="undo")
        np.testing.assert_array_equal(napari.map, twin.map)
        maps.append(twin.map)
    assert napari.do("seen")["redo"]
    for was in maps[2::-1]:
        napari.do("press", name="redo")
        np.testing.assert_array_equal(napari.map, was)
        twin.redo()
    seen = napari.do("seen")
    assert [kind for kind, _ in seen["shapes"]] == ["rectangle", "path", "polygon"] and seen["labels"][1] == "object 2"

    stroke = seen["events"][3]
    napari.do("delete", event=stroke)
    twin.remove(stroke)
    np.testing.assert_array_equal(napari.map, twin.map)
    napari.do("label", name="object")
    assert napari.do("seen")["clicks"] == [[4, 13, 13], [4, 2, 40]]
    napari.do("delete", event=seen["events"][1])
    twin.remove(seen["events"][1])
    np.testing.assert_array_equal(napari.map, twin.map)
    napari.do("points", places=[[3, 12, 12], [5, 14, 15]])
    twin.mark(Click((3, 12, 12)), 1)
    twin.mark(Click((5, 14, 15)), 1)
    np.testing.assert_array_equal(napari.map, twin.map)
    twin.undo()
    twin.undo()
    for _ in range(2):
        napari.do("press", name="undo")
    napari.do("point", at=[4, 60, 13])  # beside the image: nothing
    np.testing.assert_array_equal(napari.map, twin.map)
    seen = napari.do("seen")
    assert seen["clicks"] == [[4, 13, 13]] and not seen["in_main_thread"] and seen["warnings"] == []
    keep(napari, tmp_path, "segmend-napari.png")


def test_marks_at_a_server_are_events_of_its_session(napari, server, tmp_path, blobs):
    store = server.config.app.state.shared.store
    np.save(tmp_path / "scan.npy", blobs)
    address = server.address.split("?")[0]
    affine = napari.do("open", npy=str(tmp_path / "scan.npy"), url=address, token="a-token-of-the-server", scale=SCALE)
    [case] = store.cases()
    np.testing.assert_allclose(store.image(case.id).affine, affine, atol=1e-5)
    np.testing.assert_array_equal(store.image(case.id).voxels[0], blobs)
    [record] = store.sessions(case.id)
    prompts = []

    def shown():
        canvas = Canvas(SHAPE)
        canvas.follow(store.session(record.id))
        return canvas.map

    play(napari, lambda prompt, label=1: prompts.append(prompt), shown)
    log = store.session(record.id)
    marks = [event.prompt for event in log.events if isinstance(event, Prompted)]
    assert marks == [prompt for prompt in prompts if prompt is not None] and len(log.labels) == 2
    napari.do("press", name="undo")
    np.testing.assert_array_equal(napari.map, shown())
    assert len(store.session(record.id).prompted()) == 4
    napari.do("press", name="redo")
    np.testing.assert_array_equal(napari.map, shown())
    assert not napari.do("seen")["in_main_thread"]


def test_how_far_marks_reach_and_slices_that_are_locked(napari, tmp_path, blobs):
    np.save(tmp_path / "scan.npy", blobs)
    affine = napari.do("open", npy=str(tmp_path / "scan.npy"), scale=SCALE)
    twin = LocalAnnotation(Image(blobs[None], np.array(affine), axes="zyx"), method="geos")
    twin.add_label("object")

    def check(prompt, reach=None):
        twin.mark(prompt, 1, reach=reach)
        np.testing.assert_array_equal(napari.map, twin.map)

    assert napari.do("reach", kind="only in its slice") is False
    assert napari.do("look", index=[4, 13, 13]) == [0, 4]
    napari.do("point", at=[4, 13, 13])
    check(Click((4, 13, 13)), Reach(axis=0))
    assert set(np.argwhere(twin.map)[:, 0]) == {4}
    assert napari.do("lock") == [True, "Slice locked"]
    twin.lock_slices([4])
    assert napari.do("look", index=[5, 13, 13]) == [0, 5] and not napari.do("seen")["locked"]
    assert napari.do("reach", kind="near the mark", mm=6) is True
    napari.do("point", at=[5, 13, 13])
    check(Click((5, 13, 13)), Reach(mm=6.0))
    napari.do("reach", kind="as far as needed")
    napari.do("point", at=[6, 27, 33])
    check(Click((6, 27, 33)))
    assert napari.do("look", index=[6, 20, 13], order=[1, 0, 2]) == [1, 20]
    napari.do("reach", kind="only in its slice")
    napari.do("point", at=[6, 20, 33], positive=False)
    check(Click((6, 20, 33), positive=False), Reach(axis=1))
    napari.do("look", index=[4, 20, 13], order=[0, 1, 2])
    assert napari.do("seen")["locked"] and napari.do("seen")["warnings"] == []
    napari.do("point", at=[4, 27, 33])  # is refused, and shown no longer
    [words] = napari.do("told")
    assert "Slice 4 across axis 0 is locked" in words and [4, 27, 33] not in napari.do("seen")["clicks"]
    assert napari.do("lock") == [False, "Lock this slice"]
    keep(napari, tmp_path, "segmend-napari-locked.png")


def test_a_picture_its_uncertainty_and_where_to_look_next(napari, tmp_path):
    rows, columns = np.mgrid[0:64, 0:80]
    picture = np.full((64, 80, 3), 60, np.uint8)
    picture[((rows - 30) / 15) ** 2 + ((columns - 36) / 20) ** 2 < 1] = (190, 120, 100)
    picture += np.random.default_rng(1).integers(0, 12, picture.shape, dtype=np.uint8)
    np.save(tmp_path / "photo.npy", picture)
    affine = napari.do("open", npy=str(tmp_path / "photo.npy"), method="mend", rgb=True)
    image = Image(np.moveaxis(picture, -1, 0)[:, None], np.array(affine), axes="zyx")
    twin = LocalAnnotation(image, method="mend")
    twin.add_label("object")
    twin.mark(Click((0, 30, 36)), 1)
    napari.do("point", at=[30, 36])

    np.testing.assert_array_equal(napari.map, twin.map[0])
    assert twin.map.sum() > 300
    visible, most, shape = napari.do("uncertain")
    assert visible and most > 0 and shape == [64, 80]
    status, quality, positive = napari.do("press", name="next")
    place = twin.uncertain_place(0)
    assert "ringed place" in status and positive is not bool(twin.map[place])
    assert quality == ("" if twin.quality is None else f"Expected Dice: {twin.quality:.2f}")
    assert "Segmend: look here" in napari.do("seen")["layers"]
    keep(napari, tmp_path, "segmend-napari-picture.png")


def test_what_cannot_be_done_is_said_in_a_sentence(napari, tmp_path):
    np.save(tmp_path / "four.npy", np.zeros((2, 3, 8, 9), np.float32))
    [words] = napari.do("open", npy=str(tmp_path / "four.npy"))
    assert "images of 2 or 3 axes" in words and "has 4" in words
    assert napari.do("leave")
