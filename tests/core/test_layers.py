"""Labels that may share voxels: layers in the log, and what becomes of them on a canvas."""

import numpy as np
import pytest

from segmend.core.edits import Combine, Cut, Grow, Merge
from segmend.core.layers import flattened, label_mask, stacked
from segmend.core.prompts import Click
from segmend.core.session import (
    MAX_LAYERS,
    PALETTE,
    Canvas,
    Defined,
    Deleted,
    Edited,
    Label,
    Patch,
    Prompted,
    Redone,
    Removed,
    Session,
    Undone,
    label_from_json,
    label_to_json,
)
from segmend.errors import PromptError

SHAPE = (1, 3, 5)
ORGAN = Label(1, "organ", PALETTE[0])
TUMOUR = Label(2, "tumour", PALETTE[1], layer=2)
DEFINED = Session(SHAPE).add(Defined(ORGAN)).add(Defined(TUMOUR))


def click(label: int) -> Prompted:
    return Prompted(Click((0, 1, 2)), label, "mend")


def answer(session: Session, label: int, columns: slice) -> Session:
    """Return the session with a click on a label whose answer is those columns."""
    session = session.add(click(label))
    before = np.zeros(SHAPE, np.uint16)
    after = before.copy()
    after[:, :, columns] = label
    return session.answered(len(session.events) - 1, Patch.between(before, after))


def marked() -> Session:
    return answer(answer(DEFINED, 1, slice(0, 4)), 2, slice(2, 5))


def test_labels_of_two_layers_share_voxels_and_undo_takes_one_of_them_back() -> None:
    canvas, session = Canvas(SHAPE), marked()

    changed = canvas.follow(session)

    assert sorted(changed) == [0, 2]
    assert canvas.mask(1)[0, 0].tolist() == [True, True, True, True, False]
    assert canvas.mask(2)[0, 0].tolist() == [False, False, True, True, True]
    assert list(canvas.follow(session.add(Undone()))) == [2]
    assert not canvas.mask(2).any() and canvas.mask(1).sum() == 12
    canvas.follow(session.add(Undone()).add(Redone()))
    assert canvas.mask(2).sum() == 9


def test_an_answer_belongs_to_the_layer_of_its_label_and_a_removal_to_that_of_what_it_removes() -> None:
    session = marked().add(Removed(3)).add(Removed(2)).add(Edited(Grow(1.0), 2)).add(Deleted(2))

    assert [session.layer_of(i) for i in range(len(session.events))] == [0, 0, 0, 2, 2, 0, 2, 2]


def test_a_map_with_one_label_a_voxel_has_the_label_further_down_the_list() -> None:
    canvas = Canvas(SHAPE)
    canvas.follow(marked())

    assert stacked(canvas.layers).shape == (2, *SHAPE)
    assert label_mask(stacked(canvas.layers), 1).sum() == 12
    assert flattened(canvas.layers, {1: ORGAN, 2: TUMOUR})[0, 0].tolist() == [1, 1, 2, 2, 2]
    assert flattened(canvas.layers, {2: TUMOUR, 1: ORGAN})[0, 0].tolist() == [1, 1, 1, 1, 2]


def test_a_layer_without_voxels_is_left_out() -> None:
    canvas = Canvas(SHAPE)
    canvas.follow(answer(DEFINED, 2, slice(2, 5)))

    assert stacked(canvas.layers).shape == SHAPE and set(np.unique(stacked(canvas.layers))) == {0, 2}
    assert stacked(Canvas(SHAPE).layers).shape == SHAPE


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Defined(Label(2, "tumour", PALETTE[1])), "Label 2 (tumour) has marks"),
        (Defined(Label(3, "node", PALETTE[1], layer=-1)), "a layer of 0 to 65535; got -1"),
        (Defined(Label(3, "node", PALETTE[1], instance=0)), "a number of 1 to 65535; got 0"),
        (Edited(Merge(2), 1), "Labels 1 and 2 may share voxels"),
        (Edited(Cut(((0, 0, 0), (0, 2, 0)), (0, 0, 0), to=2), 1), "Labels 1 and 2 may share voxels"),
    ],
)
def test_what_makes_no_sense_is_refused(event: Defined | Edited, words: str) -> None:
    with pytest.raises(PromptError) as refused:
        marked().add(event)

    assert words in str(refused.value)


def test_a_label_goes_to_another_layer_as_long_as_it_has_no_marks() -> None:
    apart = Defined(Label(2, "tumour", PALETTE[1]))

    assert DEFINED.add(apart).labels[2].layer == 0
    assert marked().add(Deleted(2)).add(apart).labels[2].layer == 0
    with pytest.raises(PromptError, match="has marks"):
        DEFINED.add(Edited(Combine("union", 2), 1)).add(apart)  # which may have taken voxels of it


def test_layers_are_few() -> None:
    session = Session(SHAPE)
    for value in range(1, MAX_LAYERS):
        session = session.add(Defined(Label(value, "a", PALETTE[0], layer=value)))

    with pytest.raises(PromptError, match="at most 16 layers"):
        session.add(Defined(Label(99, "a", PALETTE[0], layer=99)))
    assert session.add(Defined(Label(99, "a", PALETTE[0], layer=1))).labels[99].layer == 1


def test_labels_that_share_voxels_are_combined_without_a_margin_and_others_not() -> None:
    assert len(marked().add(Edited(Combine("subtract", 2), 1)).events) == 5
    beside = marked().add(Defined(Label(3, "node", PALETTE[2])))
    with pytest.raises(PromptError, match="Labels have no voxel in common"):
        beside.add(Edited(Combine("subtract", 3), 1))


def test_layer_and_number_of_an_object_travel_and_old_labels_have_none() -> None:
    label = Label(4, "nodule", PALETTE[0], layer=2, instance=3)

    assert label_from_json(label_to_json(label)) == label and label.title == "nodule 3"
    old = label_from_json({"value": 1, "name": "organ", "colour": [230, 75, 60]})
    assert (old.layer, old.instance, old.title) == (0, None, "organ")
