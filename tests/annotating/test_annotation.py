"""An annotation in this process and one on a server: the same events, the same masks; and what goes wrong."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from segmend import methods
from segmend.annotating import LocalAnnotation, RemoteAnnotation
from segmend.core.edits import FillHoles
from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Click, Lasso, Stroke
from segmend.core.session import Defined, Edited, Label, Prompted
from segmend.errors import PromptError, ServerError
from tests.server.running import PLUGIN, Client, Process, clicked, http, in_thread, install_plugin, rooms, settings


@pytest.fixture(scope="module")
def plugin_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotating-plugin")
    install_plugin(folder)
    paths = [str(folder), str(PLUGIN)]
    sys.path[:0] = paths
    methods._others.cache_clear()
    yield folder
    for path in paths:
        sys.path.remove(path)
    methods._others.cache_clear()


@pytest.fixture(scope="module")
def server(tmp_path_factory, plugin_path):
    with in_thread(settings(tmp_path_factory.mktemp("annotating"), method="geos", read_apart=False)) as running:
        yield running


@pytest.fixture(scope="module")
def blobs():
    """7 x 26 x 32 voxels, 3 x 1 x 0.8 mm, with two bright blobs."""
    z, y, x = np.indices((7, 26, 32))
    far = [((z - 3) / 2.5) ** 2 + ((y - b) / 6) ** 2 + ((x - c) / 5) ** 2 for b, c in [(9, 8), (15, 22)]]
    noise = np.random.default_rng(2).normal(0, 5, z.shape)
    return Image((40 + 100 * ((far[0] < 1) | (far[1] < 1)) + noise).astype(np.int16)[None], scale_affine((3, 1, 0.8)))


@pytest.fixture
def local():
    """What is marked with a method of the tests: each click takes or gives back its region of one value."""
    return lambda method="flood", image=None: LocalAnnotation(image or rooms(), method=method)


def test_a_program_and_a_server_make_the_same_masks_of_the_same_marks(server, blobs):
    here = LocalAnnotation(blobs, method="geos")
    there = RemoteAnnotation.open(blobs, server.address, name="blobs", method="geos")
    steps = [
        lambda a: a.add_label("one"),
        lambda a: a.mark(Click((3, 9, 8)), 1),
        lambda a: a.mark(Stroke(((3, 4, 14), (3, 9, 15)), positive=False), 1),
        lambda a: a.add_label("other", (1, 2, 3)),
        lambda a: a.mark(Box((3, 8, 16), (4, 22, 28)), 2),
        lambda a: a.mark(Lasso(((2, 12, 20), (2, 12, 25), (2, 18, 25), (2, 18, 20)), 0), 2),
        lambda a: a.do(Edited(FillHoles(), 2)),
        lambda a: a.undo(),
        lambda a: a.undo(),
        lambda a: a.redo(),
        lambda a: a.remove(2),
        lambda a: a.delete_label(2),
        lambda a: a.do(Defined(Label(3, "inside it", (9, 9, 9), layer=1))),
        lambda a: a.mark(Click((3, 9, 9)), 3),
    ]
    for number, step in enumerate(steps):
        before = here.map
        changed = [step(here), step(there)]

        np.testing.assert_array_equal(here.map, there.map, err_msg=str(number))
        assert here.session.events == there.session.events and here.session.done == there.session.done
        assert here.marks == there.marks and here.can_undo == there.can_undo
        for label in here.session.labels:
            np.testing.assert_array_equal(here.mask(label), there.mask(label))
        different = before != here.map
        for box in (one for one in changed if isinstance(one, Box)):
            different[box.slices] = False
        assert not different.any(), number
    assert here.session.labels[1].name == "one" and 2 not in here.session.labels
    assert here.map.any() and (here.mask(1) & here.mask(3)).sum() > 50  # they may share voxels
    there.close()


def test_marks_of_several_labels_and_their_colours(local):
    annotation = local()
    first, second = annotation.add_label("bar"), annotation.add_label()
    annotation.mark(Click((1, 2, 2)), first)
    annotation.mark(Click((1, 2, 5)), second)

    assert annotation.mask(first).sum() == 27 and annotation.mask(second).sum() == 24
    assert [(mark.event, mark.label) for mark in annotation.marks] == [(2, 1), (3, 2)]
    assert annotation.session.labels[2].name == "object 2"
    assert annotation.session.labels[1].colour != annotation.session.labels[2].colour
    with pytest.raises(PromptError, match="Label 7 is not defined here"):
        annotation.mask(7)
    with pytest.raises(PromptError, match="A colour needs three whole numbers"):
        annotation.add_label("x", (1, 2, 999))


def test_the_labels_it_began_with_are_not_undone(local):
    annotation = local()
    annotation.add_label("bar")
    assert not annotation.can_undo
    with pytest.raises(PromptError, match="nothing to undo"):
        annotation.undo()
    annotation.mark(Click((1, 2, 2)), 1)
    annotation.undo()

    assert not annotation.can_undo and list(annotation.session.labels) == [1] and not annotation.map.any()
    annotation.redo()
    assert annotation.map.sum() == 27
    with pytest.raises(PromptError, match="redo"):
        annotation.redo()


def test_a_mark_that_cannot_be_answered_leaves_nothing_behind(plugin_path, local):
    annotation = local("broken")
    annotation.add_label("bar")
    with pytest.raises(ValueError, match="secret"):
        annotation.mark(Click((0, 2, 2)), 1)  # after its first part was painted

    assert len(annotation.session.events) == 1 and not annotation.map.any() and annotation.session.pending == ()
    annotation.do(Prompted(Click((1, 2, 2)), 1, "flood"))
    assert annotation.map.sum() == 27
    for event, words in (
        (Prompted(Click((0, 9, 9)), 1, "flood"), "outside the image"),
        (Prompted(Click((0, 1, 1)), 4, "flood"), "Label 4 is not defined"),
        (Prompted(Lasso(((0, 1, 1),)), 1, "broken"), "got lasso"),
    ):
        with pytest.raises(PromptError, match=words):
            annotation.do(event)
    assert len(annotation.session.events) == 2 and annotation.map.sum() == 27


def test_a_method_of_volumes_is_not_shown_a_picture():
    with pytest.raises(PromptError, match="Deep editing takes 3D images; this one is 2D"):
        LocalAnnotation(Image(np.zeros((1, 1, 8, 8))), method="editing")


def test_where_an_answer_is_uncertain_until_the_mask_changes(server, plugin_path, local):
    image = Image(np.zeros((1, 3, 30, 40)))
    there = RemoteAnnotation.open(image, server.address, method="unsure")
    for annotation in (local("unsure", image), there):
        annotation.add_label("bar")
        assert annotation.uncertain_place(0) is None and annotation.uncertainty == ()
        annotation.mark(Click((0, 10, 10)), 1)

        assert {box.low[0] for box, _ in annotation.uncertainty} == {0, 1, 2}
        assert all(values[0, 4, 22] == 255 and values[0, 10, 10] == 0 for _, values in annotation.uncertainty)
        first, second = annotation.uncertain_place(0), annotation.uncertain_place(1)
        assert first[1] in range(2, 7) and first[2] in range(20, 25)
        assert second[1] in range(15, 18) and second[2] in range(3, 6)
        assert annotation.quality is None  # this method's is not known to be near the true one
        annotation.undo()
        assert annotation.uncertainty == () and annotation.uncertain_place(0) is None
    there.close()


def test_a_mask_is_enough_once_marks_raise_its_expected_dice_no_more(server, plugin_path, local):
    there = RemoteAnnotation.open(rooms(), server.address, method="content")
    for annotation in (local("content"), there):
        annotation.add_label("bar")
        annotation.add_label("other")
        told = []
        for y in (1, 2, 3, 4):
            annotation.mark(Click((1, y, 2)), 1)
            annotation.lock_slices([0])  # changes no mask
            told.append(annotation.is_enough(1))
        assert told == [False, False, False, True] and not annotation.is_enough(2)
        assert annotation.locked_slices == {0: {0}} and annotation.quality == 0.93
        annotation.mark(Click((1, 4, 2)), 1)
        assert annotation.quality == 0.93 and annotation.is_enough(1)  # nothing has changed, so it is no better
        annotation.undo()
        assert not annotation.is_enough(1)  # as on the annotator's page: what was said was said before that step
    there.close()
    unknown = local("flood")  # nobody knows how near its Dice is to the truth
    unknown.add_label("bar")
    for _ in range(4):
        unknown.mark(Click((1, 2, 2)), 1)
    assert unknown.expected(1) is None and not unknown.is_enough(1)


def test_what_others_do_in_the_same_session_is_there_too(server, plugin_path):
    there = RemoteAnnotation.open(rooms(), server.address, method="flood")
    there.add_label("bar")
    told = []
    there.listen(lambda: told.append(there.map.sum()))
    with Client(server.address, there.id) as other:
        other.do(clicked((1, 2, 2)))
    there.do(Defined(Label(2, "second", (1, 2, 3))))  # comes behind it

    assert there.map.sum() == 27 and len(there.marks) == 1 and told
    with pytest.raises(PromptError, match="outside the image"):
        there.mark(Click((7, 0, 0)), 1)
    there.mark(Click((1, 2, 5)), 2)
    assert there.map[1, 2, 5] == 2
    there.close()


@pytest.mark.long  # three starts of a server
def test_a_server_that_dies_and_comes_back_costs_nothing(tmp_path, plugin_path):
    first = Process(tmp_path, plugin_path)
    port = int(first.address.rstrip("/").rsplit(":", 1)[1])
    there = RemoteAnnotation.open(rooms(), first.address, method="flood")
    there.add_label("bar")
    there.mark(Click((1, 2, 2)), 1)
    with ThreadPoolExecutor(1) as beside:
        first.kill()
        coming = beside.submit(Process, tmp_path, plugin_path, port)
        there.mark(Click((1, 2, 5)), 1)  # while nobody is there
        there.undo()
        there.redo()
        second = coming.result()
        asked = beside.submit(there.mark, Click((0, 0, 0), positive=False), 1)
        second.kill()  # perhaps before the event arrived, perhaps behind it
        third = Process(tmp_path, plugin_path, port)
        asked.result()

    assert there.map.sum() == 27 + 24 and len(there.session.events) == 6 and there.connected
    third.kill()
    there._patience = 0.1
    with pytest.raises(ServerError, match="does not answer"):
        there.undo()
    there.close()


@pytest.mark.long  # two starts of a server
def test_an_event_on_its_way_when_the_server_dies_is_done_once(tmp_path, plugin_path):
    voxels = np.zeros((1, 80, 6, 8), np.int16)
    voxels[0, :, 1:4, 1:4] = 10
    first = Process(tmp_path, plugin_path, method="slow")
    there = RemoteAnnotation.open(Image(voxels), first.address)
    there.add_label("bar")
    with ThreadPoolExecutor(1) as beside, Client(first.address, there.id) as other:
        asked = beside.submit(there.mark, Click((40, 2, 2)), 1)
        other.next("accepted")
        other.next("frame")
        first.kill()
        second = Process(tmp_path, plugin_path, int(first.address.rstrip("/").rsplit(":", 1)[1]), method="slow")
        asked.result()

    assert there.map.sum() == 80 * 9 and len(there.marks) == 1 and len(there.session.events) == 2
    there.close()
    second.kill()


def test_servers_that_cannot_be_used_say_so_in_a_sentence(server, tmp_path):
    image = rooms()
    for address, words in (
        ("ftp://somewhere", "looks like http://localhost:8765; got 'ftp://somewhere'"),
        ("http://127.0.0.1:9", "does not answer"),
    ):
        with pytest.raises(ServerError, match=words):
            RemoteAnnotation.open(image, address)
    with pytest.raises(ServerError, match="There is no session"):
        RemoteAnnotation(server.address, "unknown")
    with (
        in_thread(settings(tmp_path, token="right-token-of-the-server", read_apart=False)) as closed,
        pytest.raises(ServerError, match="needs another token"),
    ):
        RemoteAnnotation.open(image, closed.address.split("?")[0], token="wrong")
    there = RemoteAnnotation.open(image, server.address)
    with http(server) as client:
        case = client.get(f"/api/sessions/{there.id}").json()["case"]
        assert client.delete(f"/api/cases/{case}").status_code == 204
    with pytest.raises(ServerError, match=r"The session has ended: This case was deleted\."):
        there.add_label("x")
    there.close()
