"""A log replayed on its image gives the same mask bit for bit: with real weights, in pictures and in volumes."""

import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from segmend import methods
from segmend.cli import run
from segmend.core.image import Image, index_of
from segmend.core.masks import rim
from segmend.core.session import Session, event_from_json
from segmend.errors import FileError, PromptError, ShapeError
from segmend.io import read_mask, write_image
from segmend.results.case_result import result_of
from segmend.results.provenance import provenance
from segmend.samples import make
from segmend.server.sessions.replaying import Provenance, answered_anew
from tests.server.running import BLUE, Client, clicked, defined, http, in_thread, rooms, settings

SHAPES = {"head": (1, 96, 80), "abdomen": (8, 32, 36)}


def inside(mask):
    """Return a voxel in the middle of a mask, and one of its rim."""
    voxels = np.argwhere(mask)
    middle = voxels[((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return index_of(middle), index_of(np.argwhere(rim(mask))[0])


def annotate_picture(live, first, edge, other):
    """Mark and edit two labels, take a mark away and undo another method's."""
    live.do(clicked(first, method="mend"))
    removed = live.do(clicked(edge, method="mend"))["position"]
    live.do(clicked(other, label=2, method="mend"))
    live.do({"event": "edited", "edit": {"kind": "grow", "mm": 3.0}, "label": 2})
    live.do(clicked(edge, positive=False, method="mend"))
    live.do(clicked(edge, method="mend", reach={"mm": 8.0}))
    live.do(clicked(other, label=2, method="graphcut"))
    live.do({"event": "undone"})
    live.do({"event": "removed", "of": removed})


def annotate_volume(live, first, edge, other):
    """Mark faster than is answered, so that answers are cut short, and take a mark away before it is answered."""
    live.do(clicked(first, method="mend", finetune="off"))
    live.do({"event": "edited", "edit": {"kind": "paint", "points": [list(other)], "radius": 2.0}, "label": 2})
    numbers = [live.send(clicked(index, method="mend", finetune="off")) for index in (edge, first)]
    waiting = [live.next("accepted", id=number)["position"] for number in numbers]
    number = live.send({"event": "removed", "of": waiting[0]})
    waiting.append(live.next("accepted", id=number)["position"])
    while not set(waiting) <= set(live.answered):
        live.next("answered")
    live.do({"event": "edited", "edit": {"kind": "fill_holes"}, "label": 1})
    live.do({"event": "slices_locked", "axis": 0, "slices": [first[0]]})
    live.do({"event": "edited", "edit": {"kind": "grow", "mm": 6.0}, "label": 1})


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A picture and a volume that were annotated: samples, logs, maps."""
    found = {}
    with in_thread(settings(tmp_path_factory.mktemp("played"))) as server, http(server) as client:
        store = server.config.app.state.shared.store
        for kind, annotate in (("head", annotate_picture), ("abdomen", annotate_volume)):
            sample = make(kind, shape=SHAPES[kind])
            session = store.add_session(store.add_case(kind, sample.image).id, user="anna").id
            first, edge = inside(sample.truth == 1)
            other, _ = inside(sample.truth == 2)
            with Client(server.address, session) as live:
                live.do(defined(1, "one"))
                live.do(defined(2, "two", BLUE))
                annotate(live, first, edge, other)
                mask = live.map.copy()
            log = client.get(f"/api/sessions/{session}/export?format=.provenance.json").json()
            found[kind] = (sample.image, log, mask)
    return found


@pytest.mark.parametrize("kind", SHAPES)
def test_a_replay_gives_the_same_mask_bit_for_bit(played, kind):
    image, log, mask = played[kind]
    assert mask.any() and len(log["methods"]["mend"]["weights"]) == 64

    replayed = Provenance(log).replay(image)

    assert (replayed.same, replayed.different, replayed.other_weights) == (True, (), ())
    np.testing.assert_array_equal(replayed.map, mask)


def test_the_command_makes_the_mask_again_and_says_that_it_is_the_same(played, tmp_path, capsys):
    image, log, mask = played["head"]
    write_image(tmp_path / "head.nii.gz", image)
    (tmp_path / "log.json").write_text(json.dumps(log))
    out = tmp_path / "again.nii.gz"

    code = run(["replay", str(tmp_path / "log.json"), "--image", str(tmp_path / "head.nii.gz"), "-o", str(out)])

    assert code == 0 and capsys.readouterr().out == f"{out}: the same mask, bit for bit.\n"
    np.testing.assert_array_equal(read_mask(out, image), mask)

    again = tmp_path / "again.dcm"
    assert run(["replay", str(tmp_path / "log.json"), "--image", str(tmp_path / "head.nii.gz"), "-o", str(again)]) == 0
    hashes = [
        segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters.rpartition("=")[2]
        for segment in pydicom.dcmread(again).SegmentSequence
    ]
    assert hashes == [label["marks_sha256"] for label in log["labels"]]


@pytest.fixture
def logged(store):
    """Keep events and answers that are worked out by hand, and return what the file of provenance says of them."""

    def keep(events, patch_of):
        case = store.add_case("rooms", rooms())
        record = store.add_session(case.id)
        session = Session(case.shape)
        for position, values in enumerate(events):
            store.append(record.id, position, event_from_json(values))
            session = session.add(event_from_json(values))
        for position in session.pending:
            session = session.answered(position, patch_of(session, position))
            store.answer(record.id, position, session.answers[position])
        return provenance(result_of(store, record.id))

    return keep


def answer(session, position, **options):
    segmenter = methods.load("flood")
    return answered_anew(session, position, lambda _: segmenter.open(rooms()), rooms, **options)


def test_an_answer_that_was_cut_short_is_replayed_as_it_was(logged):
    def first_slice(session, position):
        draft = answer(session, position)
        assert len(draft.changes) == 3
        return replace(draft, changes=draft.changes[:1]).patch()

    log = logged([defined(1), clicked((1, 2, 2))], first_slice)

    replayed = Provenance(log).replay(rooms())

    assert (replayed.same, replayed.different) == (True, ())
    assert [int(plane.sum()) for plane in replayed.map] == [0, 9, 0]


def test_an_answer_made_after_an_earlier_mark_was_taken_away_is_replayed_as_it_was(logged):
    """The second click waited while the first one was removed, so the first one's voxel did not hold."""
    events = [defined(1), clicked((1, 2, 5)), clicked((1, 3, 5), positive=False), {"event": "removed", "of": 1}]
    log = logged(events, lambda session, position: answer(session, position, seen=4).patch())

    replayed = Provenance(log).replay(rooms())

    assert (replayed.same, replayed.different) == (True, ())
    assert replayed.session.answers[2].values.all()  # the whole bar went


def changed(log, **values):
    return {**json.loads(json.dumps(log)), **values}


def test_another_answer_is_noticed_and_not_written_unless_it_is_asked_for(played, tmp_path, capsys):
    image, log, _ = played["head"]
    other = changed(log, methods={"mend": {"weights": "0" * 64}})
    for entry in other["events"]:
        if entry["event"]["event"] == "edited":
            entry["event"] = {"event": "edited", "edit": {"kind": "grow", "mm": 9.0}, "label": entry["event"]["label"]}
    write_image(tmp_path / "head.nii.gz", image)
    (tmp_path / "log.json").write_text(json.dumps(other))
    words = ["replay", str(tmp_path / "log.json"), "--image", str(tmp_path / "head.nii.gz"), "-o"]

    assert run([*words, str(tmp_path / "no.nii.gz")]) == 2

    said = capsys.readouterr().err
    assert "The mask came out otherwise: the answers to events 5" in said and "the weights of mend are others" in said
    assert not (tmp_path / "no.nii.gz").exists()
    assert run([*words, str(tmp_path / "yes.nii.gz"), "--anyway"]) == 0
    assert "another mask" in capsys.readouterr().out


def test_another_image_is_refused(played):
    image, log, _ = played["head"]
    voxels = image.voxels.copy()
    voxels[0, 0, 3, 4] += 1

    with pytest.raises(FileError, match="This log was made on another image"):
        Provenance(log).replay(Image(voxels, image.affine))
    with pytest.raises(ShapeError, match=r"needs an image of shape \(1, 96, 80\); got \(3, 6, 8\)"):
        Provenance(log).replay(rooms())


def test_the_same_numbers_in_another_type_are_the_same_image(played):
    image, log, mask = played["head"]

    replayed = Provenance(log).replay(Image(image.voxels.astype(np.float64), image.affine))

    assert replayed.same and (replayed.map == mask).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"format": "letter"}, FileError, "A replay needs a file of segmend provenance, version 1"),
        ({"version": 2}, FileError, "version 1"),
        ({"mask": {}}, FileError, "This file of provenance is damaged: KeyError 'sha256'"),
        ({"events": [{"event": {"event": "undone"}}]}, PromptError, "There is nothing to undo"),
        ({"events": [{}]}, FileError, "damaged"),
        ({"image": {"shape": [1]}}, FileError, "damaged"),
    ],
)
def test_a_file_that_is_none_or_damaged_says_so(played, change, error, words):
    with pytest.raises(error, match=words):
        Provenance(changed(played["head"][1], **change))


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear")

    with pytest.raises(FileError, match="A replay needs a file of segmend provenance"):
        Provenance.read(tmp_path / "letter.txt")
    with pytest.raises(FileError, match=r"gone\.json could not be read: No such file"):
        Provenance.read(tmp_path / "gone.json")
