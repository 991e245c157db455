"""Masks that another tool made: brought in by file, kept as they are until somebody marks them, undone like marks."""

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.io import write_mask
from tests.server.running import Client, clicked, defined, rooms

OTHER = Image(rooms().voxels, scale_affine((1, 1, 7)))


def written(folder, values, image=None, suffix=".nii.gz"):
    image = image or rooms()
    path = folder / f"other{suffix}"
    labels = [Label(int(v), f"o{v}", (1, 2, 3)) for v in np.unique(values) if v]
    write_mask(path, np.asarray(values, np.uint16), image, labels)
    return path


def load(client, session, path, **params):
    return client.post(
        f"/api/sessions/{session}/masks", params=params, files=[("files", (path.name, path.read_bytes()))]
    )


@pytest.fixture
def one():
    values = np.zeros(rooms().shape, np.uint16)
    values[1, 1:4, 2:6] = 9
    return values


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".mha"])
def test_one_object_becomes_the_mask_of_the_label_that_is_meant(server, client, session, one, tmp_path, suffix):
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(defined(2, "bar"))
        reply = load(client, session, written(tmp_path, one, suffix=suffix), label=2)

        assert reply.status_code == 201, reply.text
        assert reply.json()["labels"] == [2]
        live.next("answered", position=2)
        np.testing.assert_array_equal(live.map, np.where(one > 0, 2, 0))


@pytest.mark.parametrize("overwrite", [False, True])
def test_several_objects_become_labels_of_their_own(server, client, session, one, tmp_path, overwrite):
    one[0, 0, 0:3] = 4
    with Client(server.address, session) as live:
        live.do(defined(4))
        live.do(clicked((1, 2, 2), label=4))  # so value 4 is taken
        before = live.map.copy()
        reply = load(client, session, written(tmp_path, one), label=4, overwrite=overwrite)

        assert reply.json()["labels"] == [1, 9]
        assert reply.json()["covered_by"] is None  # most of both is free
        assert {label["value"] for label in reply.json()["state"]["labels"]} == {1, 4, 9}
        live.next("answered", position=5)
        wanted = before.copy()
        wanted[one == 4], wanted[one == 9] = 1, 9
        wanted[1, 2, 2] = 4  # a mark is law
        if not overwrite:
            wanted[before == 4] = 4
        np.testing.assert_array_equal(live.map, wanted)

        live.do({"event": "undone"})  # all that was loaded, in one step
        np.testing.assert_array_equal(live.map, before)
        live.do({"event": "redone"})
        np.testing.assert_array_equal(live.map, wanted)


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".dcm", ".rtstruct.dcm"])
def test_several_objects_keep_the_names_that_their_file_gives_them(server, client, session, one, tmp_path, suffix):
    one[0, 0:3, 0:3] = 4
    with Client(server.address, session) as live:
        live.do(defined(4, "mine"))
        reply = load(client, session, written(tmp_path, one, suffix=suffix))
        live.next("answered", position=3)

    called = {label["value"]: label["name"] for label in reply.json()["state"]["labels"]}
    assert called == {4: "mine", 9: "o9"}  # a label that was there keeps its own


def test_a_mask_is_undone_removed_and_mended_like_any_mark(server, client, session, one, tmp_path):
    with Client(server.address, session) as live:
        live.do(defined(1))
        load(client, session, written(tmp_path, one), label=1)
        live.next("answered", position=1)
        live.do({"event": "undone"})
        assert not live.map.any()
        live.do({"event": "redone"})
        assert (live.map > 0).sum() == (one > 0).sum()

        live.do(clicked((1, 2, 5)))
        assert (live.map > 0).sum() > (one > 0).sum()
        live.do({"event": "removed", "of": 1})
        assert live.map[1, 2, 5] == 1  # the click alone


def test_a_mask_replaces_the_one_that_the_label_had(server, client, session, one, tmp_path):
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(clicked((1, 2, 5)))
        assert live.map[2, 1, 5] == 1
        live.do({"event": "removed", "of": 1})
        load(client, session, written(tmp_path, one), label=1)
        live.next("answered", position=3)
        other = np.zeros_like(one)
        other[0, 0, 0] = 1
        load(client, session, written(tmp_path, other), label=1)
        live.next("answered", position=4)

        np.testing.assert_array_equal(live.map, other)


def test_marks_that_were_there_hold_over_a_mask_from_elsewhere(server, client, session, one, tmp_path):
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(clicked((1, 2, 3), positive=False))
        load(client, session, written(tmp_path, one), label=1)
        live.next("answered", position=2)

        one[1, 2, 3] = 0
        np.testing.assert_array_equal(live.map > 0, one > 0)


@pytest.mark.parametrize(
    ("make", "status", "words"),
    [
        (lambda folder, one: written(folder, 0 * one), 422, "no object in it: all its voxels are 0"),
        (lambda folder, one: written(folder, one, OTHER), 422, "voxels"),
        (
            lambda folder, one: (folder / "other.nii.gz").write_bytes(b"nothing") and folder / "other.nii.gz",
            422,
            "other.nii.gz",
        ),
    ],
    ids=["empty", "another grid", "damaged"],
)
def test_a_mask_that_cannot_be_taken_changes_nothing(client, session, one, tmp_path, make, status, words):
    client.put(f"/api/sessions/{session}/labels/1", json={"name": "foo", "colour": [1, 2, 3]})

    reply = load(client, session, make(tmp_path, one))

    assert (reply.status_code, words in reply.json()["detail"]) == (status, True), reply.text
    assert len(client.get(f"/api/sessions/{session}").json()["events"]) == 1


def test_all_labels_are_checked_before_the_first_is_painted(client, session, one, tmp_path):
    one[0, 0, 0] = 2
    locked = {"name": "kept", "colour": [1, 2, 3], "locked": True}
    client.put(f"/api/sessions/{session}/labels/9", json=locked)

    reply = load(client, session, written(tmp_path, one))

    assert reply.status_code == 422 and "locked" in reply.json()["detail"]
    assert len(client.get(f"/api/sessions/{session}").json()["events"]) == 1


def test_one_file_at_a_time(client, session, one, tmp_path):
    data = written(tmp_path, one).read_bytes()

    reply = client.post(
        f"/api/sessions/{session}/masks", files=[("files", ("a.nii.gz", data)), ("files", ("b.nii.gz", data))]
    )

    assert reply.status_code == 422 and "one file; got 2" in reply.json()["detail"]


def test_only_a_mask_can_be_given_as_it_is(client, session):
    client.put(f"/api/sessions/{session}/labels/1", json={"name": "foo", "colour": [1, 2, 3]})

    reply = client.post(
        f"/api/sessions/{session}/prompts",
        json={"prompt": {"kind": "click", "index": [1, 2, 2], "positive": True}, "label": 1, "method": "given"},
    )

    assert reply.status_code == 422 and "Only a mask can be given as it is" in reply.json()["detail"]
