"""`segmend.show` without its page: masks in the form that was given, pictures the right way up, sentences."""

import json

import nibabel
import numpy as np
import pytest
import SimpleITK

import segmend
from segmend.annotating.panel import Panel
from segmend.annotating.planes import planes
from segmend.core.image import Image
from segmend.errors import PromptError, SettingsError, ShapeError
from tests.annotating.test_annotation import local, plugin_path  # noqa: F401 - fixtures


def cube():
    """5 x 6 x 8 voxels with a block of 24 voxels."""
    voxels = np.zeros((5, 6, 8), np.int16)
    voxels[1:3, 1:4, 2:6] = 100
    return voxels


@pytest.fixture
def show():
    """Show an image with a method that takes the region of one value; the views are closed at the end."""
    made = []

    def opened(image, **options):
        made.append(segmend.show(image, method="geos", **options))
        return made[-1]

    yield opened
    for view in made:
        view.close()


def test_the_mask_comes_back_in_the_form_that_was_given(show):
    voxels = cube()
    affine = np.array([[-0.9, 0, 0, 4], [0, 0.7, 0.3, -2], [0, -0.4, 2.0, 7], [0, 0, 0, 1.0]])
    slanted = nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), affine)
    square = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    square = np.linalg.svd(square)[0] @ np.linalg.svd(square)[2]
    itk = SimpleITK.GetImageFromArray(voxels)
    itk.SetSpacing((0.9, 0.7, 2.0))
    itk.SetDirection(square.ravel().tolist())
    for given, options in (
        (voxels, {}),
        (voxels.T, {"axes": "xyz", "spacing": (0.9, 0.7, 2.0)}),
        (voxels[None], {}),
        (voxels[1], {}),
        (slanted, {}),
        (itk, {}),
        (Image(voxels[None]), {}),
    ):
        view = show(given, **options)
        view.click(*((2, 3) if view.image.flat else (1, 2, 3)))
        mask, label_map = view.mask(), view.label_map()
        expected = view.annotation.map == 1
        assert expected[0 if view.image.flat else 1, 2, 3] and 12 <= expected.sum() <= 30
        if given is slanted:
            assert isinstance(mask, nibabel.Nifti1Image) and mask.shape == slanted.shape
            np.testing.assert_allclose(mask.affine, affine, atol=1e-5)
            np.testing.assert_array_equal(np.asarray(mask.dataobj).T != 0, expected)
        elif given is itk:
            assert mask.GetSize() == itk.GetSize() and mask.GetSpacing() == itk.GetSpacing()
            np.testing.assert_allclose(mask.GetDirection(), itk.GetDirection(), atol=1e-9)
            np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask) != 0, expected)
        else:
            shape = given.shape[-3:]
            assert mask.dtype == bool and mask.shape == shape and label_map.shape == shape
            put = mask[None] if mask.ndim == 2 else mask.T if "axes" in options else mask
            np.testing.assert_array_equal(put, expected)
            np.testing.assert_array_equal(label_map != 0, mask)


def test_everything_can_be_done_in_python_too(show):
    view = show(cube(), labels=["block", "rest"])
    view.click(1, 2, 3)
    view.add(segmend.Click((4, 5, 7)), "rest")
    assert view.labels == {1: "block", 2: "rest"} and view.mask("rest").any() and "2 marks" in repr(view)
    number = view.add_label("third", (10, 20, 30))
    assert view.panel.label == number and not view.mask().any()
    view.choose("block")
    before = view.mask()
    view.click(1, 2, 6, positive=False)
    view.undo()
    np.testing.assert_array_equal(view.mask(), before)
    view.redo()
    view.remove(view.annotation.marks[0].event)
    assert len(view.annotation.marks) == 2 and len(view.session.events) == 9 and view.quality is None
    with pytest.raises(PromptError, match="no label 'blok'; there are block, rest, third"):
        view.mask("blok")
    with pytest.raises(PromptError, match="outside the image"):
        view.click(9, 9, 9)


def test_how_far_marks_reach_and_slices_that_are_locked(show):
    view = show(cube())
    panel = view.panel
    view.lock_slices([2, 3])
    view.click(1, 2, 3)
    mask = view.mask()
    assert mask[1].any() and not mask[2].any()
    assert panel.state()["locked"] == {0: [2, 3]} and panel.state()["enough"] is False
    view.add(segmend.Click((4, 5, 7)), reach=segmend.Reach(axis=0))
    np.testing.assert_array_equal(view.mask()[:4], mask[:4])
    said = {"type": "mark", "prompt": {"kind": "click", "index": [0, 0, 0], "positive": True}, "reach": {"mm": 1.5}}
    panel.take(said).result()
    assert [event.reach for event in view.session.events if isinstance(event, segmend.Prompted)] == [
        None, segmend.Reach(axis=0), segmend.Reach(mm=1.5)
    ]  # fmt: skip
    panel.take({"type": "lock", "plane": 0, "index": 3, "locked": False}).result()
    panel.take({"type": "lock", "plane": 2, "index": 1}).result()
    assert panel.state()["locked"] == {0: [2], view.panel.planes[2].axis: [1]}


def test_what_cannot_be_shown_is_refused_in_a_sentence(show, monkeypatch):
    with pytest.raises(ShapeError, match="needs an array of 2, 3 or 4 axes"):
        show(np.zeros((1, 2, 3, 4, 5)))
    with pytest.raises(SettingsError, match="list of names; got 'liver'"):
        show(cube(), labels="liver")
    with pytest.raises(SettingsError, match="may be a colour picture or a volume"):
        show(np.zeros((20, 30, 3), np.uint8))
    view = show(cube())
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    from segmend.annotating import view as module

    module._widget_class.cache_clear()
    with pytest.raises(SettingsError, match=r"pip install 'segmend\[notebook\]'"):
        _ = view.widget


@pytest.mark.parametrize(
    ("affine", "names", "ends"),
    [
        # an axial scan whose x leads to the left, y to the back and z to the head, as DICOM's usually do
        (np.array([[0, 0, -1, 0], [0, -1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1.0]]), "acs", ["RLAP", "RLSI", "APSI"]),
        # a coronal one: z leads to the back, y to the feet, x to the left
        (np.array([[0, 0, -1, 0], [-3, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]), "cas", ["RLSI", "RLAP", "APSI"]),
    ],
)
def test_planes_are_called_and_turned_as_radiologists_have_them(affine, names, ends):
    image = Image(np.random.default_rng(0).random((1, 4, 5, 6)), affine, axes="zyx")
    shown = planes(image)

    assert [plane.name[0] for plane in shown] == list(names) and [plane.ends for plane in shown] == ends
    for plane in shown:
        picture = plane.cut(image.voxels[0], 1)
        height, width = picture.shape
        corners = {}
        for row, column in ((0, 0), (0, width - 1), (height - 1, 0)):
            index = [0, 0, 0]
            index[plane.axis] = 1
            index[plane.rows] = height - 1 - row if plane.flip_rows else row
            index[plane.columns] = width - 1 - column if plane.flip_columns else column
            assert picture[row, column] == image.voxels[0][tuple(index)]
            corners[row, column] = image.to_mm(index)
        across = corners[0, width - 1] - corners[0, 0]
        down = corners[height - 1, 0] - corners[0, 0]
        letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
        for step, letter in ((across, plane.ends[1]), (down, plane.ends[3])):
            axis, sign = letters[letter]
            assert np.argmax(np.abs(step)) == axis and step[axis] * sign > 0


def test_odd_messages_of_a_page_come_back_as_sentences_and_change_nothing(plugin_path, local):  # noqa: F811
    annotation = local("flood")
    annotation.add_label("bar")
    panel, told = Panel(annotation, annotation.image), []
    panel.listen(lambda content, _: told.append(content))
    for message in (
        {}, [], {"type": "nonsense"}, {"type": "slice", "plane": 9}, {"type": "slice", "index": -1},
        {"type": "slice", "index": "x"}, {"type": "mark"}, {"type": "mark", "prompt": {"kind": "click"}},
        {"type": "mark", "prompt": {"kind": "click", "index": [0, 99, 0]}}, {"type": "undo"}, {"type": "redo"},
        {"type": "mark", "label": 9, "prompt": {"kind": "click", "index": [0, 1, 1]}}, {"type": "remove", "event": 0},
        {"type": "remove", "event": 77}, {"type": "choose", "label": 9}, {"type": "rename", "label": 1, "name": " "},
        {"type": "next"}, {"type": "delete", "label": 3}, {"type": "lock"}, {"type": "lock", "plane": 0, "index": 99},
        {"type": "mark", "prompt": {"kind": "click", "index": [0, 1, 1]}, "reach": {"mm": -1}},
        {"type": "mark", "prompt": {"kind": "click", "index": [0, 1, 1]}, "reach": "near"},
    ):  # fmt: skip
        told.clear()
        future = panel.take(message)
        if future is not None:
            future.result()
        said = [content["message"] for content in told if content["type"] == "error"]
        assert len(said) == 1 and said[0].endswith("."), message
        assert len(annotation.session.events) == 1
    json.dumps(panel.state())
    panel.close()
