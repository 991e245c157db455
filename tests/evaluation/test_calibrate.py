"""The Dice that a method expects is held to the true one, and only then told to people."""

import json
import shutil

import numpy as np
import pytest

import segmend
from segmend import methods
from segmend.core.calibration import Calibration, asked_with, calibration_from
from segmend.core.image import Box, Image
from segmend.core.prompts import Click, Stroke
from segmend.errors import SettingsError
from segmend.evaluation.calibrate import Answered, fitted, judged, judged_on, line_of, read_answers, write
from segmend.runtime.calibrations import calibrations_of, file_of
from segmend.runtime.engine import weights_file

CLICK = Click((0, 3, 3))


def too_sure(count: int = 6, *, of: int = 120, seed: int = 0) -> list[Answered]:
    """Answers of so many sets, after one mark or more, whose true Dice lies .2 below what is expected, more or less."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        for at, expected in enumerate(generator.uniform(0.4, 1, of).tolist()):
            true = float(np.clip(expected - 0.2 + generator.normal(0, 0.05), 0, 1))
            found.append(Answered(f"set {number}", f"case {at}", 1, 2, ("1", "3")[at % 2], expected, true))
    return found


def test_what_is_expected_becomes_what_was_true():
    answers = too_sure()

    calibration = fitted(answers)

    for expected in (0.5, 0.7, 0.9):
        assert calibration.expected(expected, [CLICK]) == pytest.approx(expected - 0.2, abs=0.02)
    for left in (judged(answers), judged_on(calibration, too_sure(3, seed=9))):
        assert abs(left.bias) < 0.02 and left.error < 0.06 and left.r > 0.9
        assert 0.75 < left.covered < 0.88 and 0.1 < left.width < 0.25


def test_each_set_counts_once():
    many, few = too_sure(4, of=50), too_sure(4, of=50, seed=1)
    twentyfold = [one for one in many if one.set == "set 0"] * 20 + [one for one in many if one.set != "set 0"]

    assert fitted(twentyfold).expected(0.8, [CLICK]) == pytest.approx(fitted(many).expected(0.8, [CLICK]), abs=0.02)
    assert judged_on(fitted(many), few).sets == 4


def test_intervals_come_from_kinds_that_were_left_out():
    """A set of its own kind, on which the method is far too sure, widens them; seen alone it would not."""
    answers = too_sure(5)
    odd = [Answered("odd", one.case, 1, 2, one.marks, one.expected, one.dice * 0.3) for one in answers[:120]]

    at, low, _ = np.array(fitted(answers).intervals).T
    at_odd, low_odd, _ = np.array(fitted([*answers, *odd]).intervals).T

    assert np.interp(0.6, at_odd, low_odd) < np.interp(0.6, at, low) - 0.1


def test_marks_are_told_apart_by_their_number_and_kind():
    line = Stroke(((0, 1, 1), (0, 4, 4)))
    rubber = Stroke(((0, 1, 1), (0, 4, 4)), positive=False)
    box = Box((0, 0, 0), (1, 5, 5))

    assert [asked_with([CLICK] * n) for n in (1, 2, 3, 4, 9)] == ["1", "3", "3", "more", "more"]
    assert asked_with([line] * 9) == "1" and asked_with([line, rubber, line, rubber]) == "more"
    assert asked_with([box]) == "box" and asked_with([box, CLICK, CLICK]) == "box+3"


def test_too_few_sets_are_refused():
    with pytest.raises(SettingsError, match="needs answers of 4 sets or more.* there are 3"):
        fitted(too_sure(3))


def test_answers_and_calibrations_are_read_as_they_were_written(tmp_path):
    answers = too_sure()[:3]
    (tmp_path / "answers").write_text("".join(map(line_of, answers)))
    calibration = fitted(too_sure())

    assert read_answers(tmp_path / "answers") == answers and read_answers(tmp_path / "none") == []
    assert calibration_from(json.loads(json.dumps(calibration.values()))) == calibration


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The weights for planes alone, with a calibration that says .5 of everything."""
    folder = tmp_path_factory.mktemp("weights")
    for path in weights_file("", None).glob("mend2d*"):
        shutil.copy(path, folder)
    values = write(file_of("mend", folder), "mend", folder, {2: too_sure()})
    values["dimensions"]["2"] |= Calibration({"any": ((0.0, 0.5), (1.0, 0.5))}, ((0.5, 0.2, 0.9),)).values()
    file_of("mend", folder).write_text(json.dumps(values))
    return folder


def test_people_are_told_where_the_weights_are_those_that_were_held_to_the_truth(folder, tmp_path):
    card = methods.card("mend", folder)
    others = tmp_path / "others"
    shutil.copytree(folder, others)
    (others / "mend2d_head.npz").write_bytes((others / "mend2d_head.npz").read_bytes() + b"\0")
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    file_of("mend", damaged).write_text('{"dimensions": {"2": []}}')

    assert next(one for one in methods.cards() if one.id == "mend").calibrated == (2, 3)  # as `segmend methods` says
    assert 2 in card.calibrated and dict(card.intervals)[2] == ((0.5, 0.2, 0.9),)
    assert 2 not in calibrations_of("mend", others) and 2 not in methods.card("mend", others).calibrated
    shipped = calibrations_of("mend", None)
    assert calibrations_of("mend", damaged) == shipped and set(shipped) == {2, 3}  # they are the same weights


def test_an_answer_has_what_its_expected_dice_is_worth(folder):
    picture = Image(np.random.default_rng(0).normal(0, 1, (1, 1, 40, 40)).astype(np.float32))
    empty = np.zeros(picture.shape, bool)
    workspace = segmend.load("mend", folder).open(picture)

    assert segmend.answer(workspace, [CLICK], empty).quality == 0.5
    assert segmend.answer(workspace.with_finetuning("off"), [CLICK], empty).quality == 0.5
    workspace.calibration = None
    assert segmend.answer(workspace, [CLICK], empty).quality != 0.5
