"""mend with the weights of a task: first masks of all labels without a prompt, then marks as ever."""

import json
from contextlib import closing

import numpy as np
import pytest

from segmend import io, methods
from segmend.cli import run
from segmend.core.image import Image, scale_affine
from segmend.core.masks import dice
from segmend.core.prompts import Click
from segmend.core.segmenter import FIRST, answer, first_masks
from segmend.core.session import PALETTE, Defined, Label, Prompted, Session
from segmend.errors import PromptError, SettingsError
from segmend.learning import loop as train
from segmend.mend.first_masks import InSpace
from segmend.mend.learning import recipe as mend
from segmend.mend.learning import task
from segmend.server.sessions.answering import FilteredWorkspace, Scene, parts
from tests.tasks import DISC, SQUARE, drawn_picture, drawn_volume, write_folder
from tests.trained import trained

TINY = {
    "widths": (8, 12, 16, 24), "light": (4, 4, 4), "steps": 60, "batch": 2, "rate": 4e-3, "average": 0.8,
    "synthetic": 0.0, "regions": 0.0, "pasted": 0.0, "every": 60, "exam": 6, "workers": 0, "threads": 1,
}  # fmt: skip


def quiet(_):
    pass


def learn(out, data):
    """Teach a tiny network squares and discs, in the better part of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "LABELLED_SHARE", 0.97)  # games are slow, and what is asked here is the first masks
        return train.main("mend", data, out, log=quiet, task=True, **TINY)


@pytest.fixture(scope="module")
def weights():
    return trained("mend_task")


@pytest.fixture(scope="module")
def method(weights):
    return methods.load("mend", weights)


@pytest.fixture
def said(capsys):
    def call(*arguments):
        code = run([str(word) for word in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    image, labels = drawn_picture(31)
    path = tmp_path_factory.mktemp("picture") / "new.png"
    io.write_image(path, Image(image.voxels.clip(0, 255).astype(np.uint8)))
    return path, labels


def test_both_labels_of_a_new_picture_are_found_by_their_values(method):
    cases = [drawn_picture(number) for number in (40, 41, 42)]

    found = [first_masks(method.open(image), image.shape) for image, _ in cases]

    for value in (SQUARE, DISC):
        scores = [dice(truth == value, one.map == value) for (_, truth), one in zip(cases, found, strict=True)]
        assert np.mean(scores) > 0.5
    assert {value for one in found for value in np.unique(one.map)} == {0, SQUARE, DISC}
    assert all(0 <= quality <= 1 for one in found for quality in one.qualities.values())


def test_a_volume_without_networks_in_space_is_named_slice_by_slice(method):
    image, truth = drawn_picture(40)
    empty = np.full_like(image.voxels[0], 100)
    stack = Image(np.concatenate([empty, *[image.voxels[0]] * 3, empty])[None], scale_affine((3, 1, 1)))

    found = first_masks(method.open(stack), stack.shape).map

    assert dice(truth[0] == SQUARE, found[2] == SQUARE) > 0.3
    np.testing.assert_array_equal(found[1], found[3])


def test_networks_in_space_name_volumes_of_any_spacing_but_no_pictures(tmp_path):
    settings = mend.Settings(
        task=True, dimensions=3, labels=(SQUARE, DISC), names=("square", "disc"), widths=(4, 4, 4), light=(4, 4, 4)
    )
    mend.export(mend.build(settings), settings, tmp_path)
    method = methods.load("mend", tmp_path)
    image, _ = drawn_volume(0)
    thick = Image(image.voxels, scale_affine((9, 1, 1)))

    for volume in (image, thick):
        workspace = method.open(volume)
        assert isinstance(workspace.automatic, InSpace)
        assert set(np.unique(first_masks(workspace, volume.shape).map)) <= {0, SQUARE, DISC}
    assert method.open(thick).in_space is None
    assert not method.open(drawn_picture(0)[0]).labels
    assert methods.card("mend", tmp_path).guesses


def test_marks_are_law_in_first_masks_and_after_them(method):
    image, truth = drawn_picture(33)
    nothing = np.zeros_like(truth, bool)
    inside, outside = (Click(tuple(np.argwhere(part)[60].tolist())) for part in (truth == SQUARE, truth == 0))
    barred = Click(inside.index, positive=False)
    workspace = method.open(image)

    first = answer(workspace, [barred, FIRST], nothing, label=SQUARE).over(nothing)
    mended = answer(workspace, [barred, FIRST, outside], first).over(first)

    assert first.any() and not first[inside.index]
    assert mended[outside.index] and not mended[inside.index]


def test_a_first_mask_takes_the_place_of_what_was_there(method):
    image, truth = drawn_picture(34)
    workspace, everything = method.open(image), np.ones_like(truth, bool)

    again = answer(workspace, [FIRST], everything, label=DISC).over(everything)

    np.testing.assert_array_equal(again, first_masks(workspace, image.shape).map == DISC)


def test_a_label_is_found_by_its_name_in_a_session(method, weights):
    image, _ = drawn_picture(35)
    session = Session(image.shape).add(Defined(Label(1, "Disc", PALETTE[0]))).add(Prompted(FIRST, 1, "mend"))
    workspace = FilteredWorkspace(method.open(image), methods.card("mend", weights))

    mask = np.zeros(image.shape, bool)
    scene = Scene(lambda _: workspace, lambda: image, lambda _: mask)
    with closing(parts(session, 1, mask.copy(), scene)) as stream:
        for part in stream:
            mask[part.box.slices] = part.mask

    assert mask.any()
    np.testing.assert_array_equal(mask, first_masks(workspace, image.shape).map == DISC)


def test_an_empty_mask_that_says_no_label_asks_which(method):
    image, truth = drawn_picture(0)
    workspace = method.open(image)

    with pytest.raises(PromptError, match="Mend finds square, disc here; a first mask needs to be of one of them"):
        answer(workspace, [FIRST], np.zeros_like(truth, bool))
    with pytest.raises(SettingsError, match=r"There is no label 1 to be found here; there are \[3, 5\]"):
        list(workspace.guess(1))


def test_only_the_card_with_the_weights_of_a_task_guesses(weights):
    assert not methods.card("mend").guesses
    assert methods.card("mend", weights).guesses
    assert methods.card("mend", weights).labels == ((SQUARE, "square"), (DISC, "disc"))
    assert not methods.load("mend").open(drawn_picture(0)[0]).labels


@pytest.mark.long
def test_squares_and_discs_are_learned_and_a_run_goes_on_where_it_stopped(tmp_path):
    data = write_folder(tmp_path / "drawn", cases=16)

    finished = learn(tmp_path / "weights", data)
    again = train.main("mend", data, tmp_path / "weights", log=quiet, task=True, **TINY)

    assert finished.scores["automatic"] > 0.5, finished.scores
    assert again.steps == TINY["steps"]
    assert json.loads((tmp_path / "weights" / "run.json").read_text())["settings"]["names"] == ["square", "disc"]


def test_a_folder_whose_cases_differ_is_refused(tmp_path):
    data = write_folder(tmp_path / "drawn", cases=4, lacking=1)

    with pytest.raises(SettingsError, match="The case case01 of drawn has no label 5, which others have"):
        train.main("mend", data, tmp_path / "out", log=quiet, task=True, **TINY)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_labels_is_refused(said, tmp_path):
    data = write_folder(tmp_path / "drawn", cases=4)
    image, labels = drawn_picture(0)
    for path in (data / "labels").iterdir():
        io.write_mask(path, np.zeros_like(labels), image, [])

    code, _, err = said("train", "mend", "--task", "--data", data, "--out", tmp_path / "out")

    assert code == 2
    assert err.startswith("The train split of") and "needs a case with an object; none of its 3 cases has one." in err


def test_methods_that_know_no_tasks_say_so(said, tmp_path):
    code, _, err = said("train", "iunet", "--task", "--data", write_folder(tmp_path / "drawn", cases=4))

    assert code == 2
    assert err.startswith("There is no setting 'task'; there are ")


def test_an_image_is_segmented_without_a_prompt_and_mended_with_one(said, weights, picture, tmp_path):
    path, truth = picture
    first, second = tmp_path / "first.seg.nrrd", tmp_path / "second.seg.nrrd"
    image = io.read(path)

    code, printed, err = said("segment", path, "--weights", weights, "-o", first, "--json")

    assert (code, err) == (0, "")
    found = io.read_mask(first, image)
    told = json.loads(printed)["labels"]
    assert [(label["value"], label["name"]) for label in told] == [(SQUARE, "square"), (DISC, "disc")]
    assert [label["voxels"] for label in told] == [(found == value).sum() for value in (SQUARE, DISC)]
    assert min(dice(truth == value, found == value) for value in (SQUARE, DISC)) > 0.3

    at = ",".join(map(str, np.argwhere(truth == DISC)[40]))
    more = ("--weights", weights, "--start", first, "--negative", at, "-o", second)
    code, printed, err = said("segment", path, *more, "--label", "Disc")

    assert (code, err) == (0, "")
    assert "second.seg.nrrd: square: " in printed and "second.seg.nrrd: disc: " in printed
    mended = io.read_mask(second, image)
    np.testing.assert_array_equal(mended == SQUARE, (found == SQUARE) & (mended != DISC))
    assert mended[tuple(np.argwhere(truth == DISC)[40])] == 0
    code, _, err = said("segment", path, *more, "--force")
    assert (code, err) == (2, "Prompts need one of these weights' labels, --label with square, disc; got 'object'.\n")


def test_a_start_needs_a_prompt(said, weights, picture, tmp_path):
    code, _, err = said("segment", picture[0], "--weights", weights, "--start", picture[0], "-o", tmp_path / "a.png")

    assert (code, err) == (
        2,
        "A segmentation needs at least one prompt, for example --click 0,120,80; got none.\n",
    )


def test_methods_that_guess_one_object_need_no_prompt(said, picture, tmp_path):
    code, printed, err = said("segment", picture[0], "--method", "quality", "-o", tmp_path / "a.png", "--json")

    assert (code, err) == (0, "")
    assert json.loads(printed)["labels"][0]["name"] == "object"
