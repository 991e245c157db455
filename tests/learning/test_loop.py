"""Training: it learns, it goes on after a kill as if nothing had happened, it refuses what does not fit."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from segmend.core.image import Image, scale_affine
from segmend.errors import ModelError, SettingsError, StoreError, UserError
from segmend.learning.loop import main, run, settings_from
from segmend.learning.recipe import recipe
from segmend.mend.learning import recipe as how
from tests.datasets.test_folder import write_case, write_split
from tests.learning import recipe_of_halves as recipe_of_halves

PARTS = ("mend2d_reader.onnx", "mend2d_refiner.onnx")
SMALL = how.Settings(
    steps=6, batch=1, widths=(4, 4, 4, 4, 4, 4), light=(4, 4, 4), synthetic=0.0, regions=0.0, pasted=0.0
)


def bright_disc(seed: int = 0) -> how.Subject:
    rows, columns = np.ogrid[:96, :80]
    truth = (rows - 50) ** 2 + (columns - 38) ** 2 < 20**2
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(seed).normal(0, 5, truth.shape)
    return how.Subject(Image(image[None, None].astype(np.float32)), truth[None].astype(np.uint16), False, "discs")


def quiet(_: str) -> None:
    pass


def recipe_that(**differs: object) -> ModuleType:
    """Return the little recipe of the tests with something changed."""
    changed = ModuleType(recipe_of_halves.__name__)
    changed.__dict__.update({k: v for k, v in vars(recipe_of_halves).items() if not k.startswith("__")} | differs)
    return changed


def train(
    out: Path, how_it_learns: ModuleType = recipe_of_halves, *, log=quiet, workers=0, every=5, exam=3, **settings
):
    """Train the little recipe in no time."""
    patience, minutes = settings.pop("patience", None), settings.pop("minutes", 0.0)
    cases = [bright_disc(), bright_disc()]
    made = how_it_learns.Settings(**settings)
    return run(
        how_it_learns, cases, cases[:1], made, out,
        log=log, workers=workers, every=every, exam=exam, threads=1, patience=patience,
        minutes=minutes,
    )  # fmt: skip


def test_it_learns_which_half_is_the_brighter_one(tmp_path):
    done = train(tmp_path, steps=60, exam=8)

    assert done.scores["right"] > 0.9


@pytest.mark.long
def test_it_overfits_one_bright_disc(tmp_path):
    settings = replace(
        SMALL, steps=50, batch=4, rate=1e-2, widths=(8, 16, 16, 16, 16, 16), light=(8, 8, 8), average=0.9
    )

    exam = how.Sampler([bright_disc(1)], replace(settings, seed=1))
    before = how.validate(how.build(settings), [exam[i] for i in range(4)])["dice_1"]

    finished = run(how, [bright_disc()], [bright_disc(1)], settings, tmp_path, every=50, exam=4, workers=0, log=quiet)

    assert finished.scores["dice_1"] > max(0.6, before + 0.15)
    assert finished.weights[0].stat().st_size > 1000


def test_a_run_leaves_its_settings_and_its_curve(tmp_path):
    run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path, every=3, exam=2, workers=0, log=quiet)

    assert json.loads((tmp_path / "run.json").read_text())["settings"]["steps"] == 6
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["3", "6"]
    with Pillow.open(tmp_path / "pictures" / "000006.png") as sheet:
        assert sheet.size == (2 * 128 + 2, 128)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    for name in ("one", "two"):
        run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path / name, exam=1, workers=0, log=quiet, threads=1)

    for part in PARTS:
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()


CHILD = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from tests.learning.test_loop import SMALL, bright_disc, quiet
from segmend.mend.learning import recipe as how
from segmend.learning.loop import run
out = pathlib.Path(sys.argv[2])
run(how, [bright_disc()], [bright_disc()], SMALL, out, every=2, exam=1, workers=0, log=quiet, threads=1)
"""


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    root = str(Path(__file__).parents[2])
    run(
        how,
        [bright_disc()],
        [bright_disc()],
        SMALL,
        tmp_path / "whole",
        exam=1,
        workers=0,
        log=quiet,
        threads=1,
        every=2,
    )
    child = subprocess.Popen([sys.executable, "-c", CHILD, root, str(tmp_path / "killed")])
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    while not checkpoint.exists():
        assert child.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not any((tmp_path / "killed" / part).exists() for part in PARTS)

    lines: list[str] = []
    run(
        how, [bright_disc()], [bright_disc()], SMALL, tmp_path / "killed",
        exam=1, workers=0, log=lines.append, threads=1, every=2,
    )  # fmt: skip

    assert lines[0].startswith("resumed at step")
    for part in PARTS:
        assert (tmp_path / "killed" / part).read_bytes() == (tmp_path / "whole" / part).read_bytes()


def test_what_is_refused_at_the_start_leaves_everything_as_it_was(tmp_path):
    run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path, exam=1, workers=0, log=quiet)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    with pytest.raises(ModelError, match="made with another rate"):
        run(how, [bright_disc()], [], replace(SMALL, rate=0.5), tmp_path, exam=0, workers=0, log=quiet)
    with pytest.raises(ModelError, match="was made for mend, not for recipe"):
        run(recipe_of_halves, [], [], recipe_of_halves.Settings(), tmp_path, log=quiet)
    with pytest.raises(ModelError, match=r"other cases \(1 of discs, now 2 of discs\)"):
        run(how, [bright_disc(), bright_disc()], [], SMALL, tmp_path, exam=0, workers=0, log=quiet)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_disk_that_fills_up_during_a_run_leaves_what_was_saved(tmp_path):
    train(tmp_path, steps=20)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    room = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, room[1]))
    try:
        with pytest.raises(StoreError, match=r"checkpoint.pt could not be saved .* what was saved before is intact"):
            train(tmp_path, steps=30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert {**after, "run.json": b""} == {**before, "run.json": b""}  # what was begun is said there

    assert train(tmp_path, steps=30).steps == 30


def test_a_finished_run_costs_no_step_and_gives_the_same(tmp_path):
    one = train(tmp_path)
    lines: list[str] = []

    two = train(tmp_path, log=lines.append)

    assert lines == ["resumed at step 20"]
    assert (two.scores, two.steps, two.weights) == (one.scores, one.steps, one.weights)
    for key, value in one.network.state_dict().items():
        assert torch.equal(value, two.network.state_dict()[key])


def test_a_resumed_run_has_the_curve_of_one_that_was_not(tmp_path):
    def stopped(network, samples, step):
        if step == 12:
            raise KeyboardInterrupt
        return recipe_of_halves.loss(network, samples, step)

    train(tmp_path / "whole", dropout=0.5)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "halves", recipe_that(loss=stopped), dropout=0.5)

    lines: list[str] = []
    train(tmp_path / "halves", dropout=0.5, log=lines.append)

    assert lines[0] == "resumed at step 10"
    assert (tmp_path / "halves" / "curve.csv").read_text() == (tmp_path / "whole" / "curve.csv").read_text()
    assert (tmp_path / "halves" / "half.onnx").is_file()


def test_a_run_that_is_out_of_minutes_saves_and_goes_on_later(tmp_path):
    train(tmp_path / "whole", dropout=0.5)
    lines: list[str] = []

    done = train(tmp_path / "parts", dropout=0.5, minutes=1e-6, log=lines.append)

    assert done.steps == 1 and all(path.is_file() for path in done.weights)
    assert lines[-1] == "stopped at step 1, after 1e-06 minutes; the same command goes on from there"
    assert json.loads((tmp_path / "parts" / "run.json").read_text())["finished"] is False

    done = train(tmp_path / "parts", dropout=0.5, minutes=10.0, log=lines.append)

    assert "resumed at step 1" in lines and done.steps == 20
    assert json.loads((tmp_path / "parts" / "run.json").read_text())["finished"] is True
    whole, parts = (torch.load(tmp_path / name / "halves.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_a_run_tells_what_it_was(tmp_path):
    train(tmp_path)

    about = json.loads((tmp_path / "run.json").read_text())
    assert (about["method"], about["seed"], about["finished"], about["steps"]) == ("recipe", 0, True, 20)
    assert about["versions"].keys() == {"segmend", "torch", "numpy", "python"}
    assert about["cases"] == {"train": {"discs": 2}, "val": {"discs": 1}}
    assert about["weights"] == ["halves.pt", "half.onnx"]
    assert about["scores"].keys() == {"right"}
    assert about["loop"] == {
        "every": 5, "exam": 3, "processes": 1, "device": "cpu", "clip": 5.0, "schedule": "own", "epochs": 0,
        "preset": "",
    }  # fmt: skip
    page = (tmp_path / "index.html").read_text()
    assert "pictures/000020.png" in page and "curve.svg" in page and page.count("<tr>") == 5
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert b"right" in (tmp_path / "curve.svg").read_bytes() or (tmp_path / "curve.svg").stat().st_size > 5000
    with Pillow.open(tmp_path / "pictures" / "000010.png") as sheet:
        assert (sheet.size, sheet.mode) == ((8, 18), "RGB")


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path):
    how_it_goes = iter([0.5, 0.7, 0.7, 0.6, 0.9])
    judged = recipe_that(validate=lambda network, samples: {"right": next(how_it_goes), "other": 1.0})
    lines: list[str] = []

    done = train(tmp_path, judged, every=2, patience=2, log=lines.append)

    assert (done.steps, done.scores) == (8, {"right": 0.7, "other": 1.0})
    assert lines[-1] == "stopped at step 8: 2 validations without a better score"
    assert json.loads((tmp_path / "run.json").read_text())["chosen"] == 4
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for key, value in done.network.state_dict().items():
        assert torch.equal(value, kept["best"][key])
    assert any(not torch.equal(value, kept["best"][key]) for key, value in kept["average"].items())

    again = train(tmp_path, judged, every=2, patience=2, log=quiet)
    assert (again.steps, again.scores) == (8, {"right": 0.7, "other": 1.0})


def test_patience_may_be_a_setting_of_the_recipe(tmp_path):
    judged = recipe_that(validate=lambda network, samples: {"right": 0.5}, Settings=Patient)

    assert train(tmp_path, judged, every=2).steps == 6


@dataclass(frozen=True, kw_only=True)
class Patient(recipe_of_halves.Settings):
    patience: int = 2


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    diverged = recipe_that(loss=lambda network, samples, step: network[0].weight.sum() / (5 - step) ** 0.5 * np.inf)

    with pytest.raises(ModelError, match=r"The loss was -?(inf|nan) at step 1, .* a lower rate may help"):
        train(tmp_path, diverged)


def test_pictures_of_another_shape_are_a_recipes_mistake(tmp_path):
    wrong = recipe_that(pictures=lambda network, samples: np.zeros((4, 5), np.uint8))

    with pytest.raises(ModelError, match=r"need bytes of shape \[y x 3\]; got uint8 \(4, 5\)"):
        train(tmp_path, wrong)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_drawn_is_told_in_its_own_words(tmp_path, workers):
    with pytest.raises(SettingsError, match=r"^Sample 7 cannot be drawn\.$"):
        train(tmp_path, refused=7, workers=workers)


def test_without_samples_to_check_on_a_run_goes_on(tmp_path):
    lines: list[str] = []

    done = train(tmp_path, exam=0, log=lines.append)

    assert done.scores == {}
    assert "  validation without samples" in lines
    assert (tmp_path / "curve.csv").read_text().splitlines()[0] == "step,loss"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "setting steps needs 1 or more; got 0"),
        ({"batch": 0}, "setting batch needs 1 or more; got 0"),
        ({"every": 0}, "setting every needs 1 or more; got 0"),
        ({"patience": -1}, "setting patience needs 0 or more; got -1"),
        ({"minutes": -1.0}, "setting minutes needs 0 or more; got -1.0"),
    ],
)
def test_a_run_needs_something_to_do(tmp_path, wrong, words):
    with pytest.raises(SettingsError, match=words):
        train(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_single_voxel_and_a_single_slice_can_be_learned_from(tmp_path):
    speck = np.zeros((1, 40, 50), np.uint16)
    speck[0, 39, 0] = 7
    ends = np.zeros((3, 40, 50), np.uint16)
    ends[2, 0, 49] = 1
    voxels = np.random.default_rng(0).normal(size=(1, 3, 40, 50)).astype(np.float32)
    cases = [
        how.Subject(Image(voxels[:, :1]), speck, False, "specks"),
        how.Subject(Image(voxels, scale_affine((5, 1, 2))), ends, False, "ends"),
        how.Subject(Image(np.zeros((1, 1, 3, 2), np.uint8)), np.ones((1, 3, 2), np.uint16), True, "tiny"),
    ]

    done = run(how, cases, cases, replace(SMALL, steps=3), tmp_path, exam=3, workers=0, log=quiet)

    assert all(0 <= score <= 1 for score in done.scores.values())


def write_discs(folder: Path, **splits: list[str]) -> None:
    """Write a generic folder whose cases b0, b1 ... hold two classes, but those named `empty` none."""
    for name in (name for names in splits.values() for name in names):
        labels = np.zeros((1, 30, 40), np.uint16)
        if not name.startswith("empty"):
            labels[0, 3:14, 5:20] = 1
            labels[0, 16:28, 20:38] = 3 if name.startswith("rare") else 2
        write_case(folder, name, labels)
    write_split(folder, **splits)


TINY = {"steps": 1, "batch": 1, "exam": 1, "workers": 0, "widths": (4, 4, 4, 4, 4, 4)}


def test_cases_without_an_object_are_left_out_and_unseen_classes_are_told(tmp_path):
    write_discs(tmp_path / "discs", train=["b0", "b1", "empty0"], val=["rare0", "empty1"])
    lines: list[str] = []

    main("mend", tmp_path, tmp_path / "out", log=lines.append, **TINY)

    assert lines[0] == "2 cases to learn from and 1 to check on: discs"
    assert lines[1] == (
        "Label 3 of discs is in cases to check on but in none to learn from, so its scores are of a class that was "
        "never seen."
    )
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert about["cases"] == {"train": {"discs": 2}, "val": {"discs": 1}}


def test_a_named_set_that_is_all_to_learn_from_is_learned_from(tmp_path):
    write_discs(tmp_path / "data" / "discs", train=["b0"], val=["b1"])
    write_discs(tmp_path / "data" / "whole", train=["b0", "b1"])
    lines: list[str] = []

    main("mend", tmp_path / "data", tmp_path / "out", log=lines.append, **TINY, sets=("discs", "whole"))

    assert lines[0] == "3 cases to learn from and 1 to check on: discs, whole"
    for named in (("discs", "nobody"), ("whole",)):
        with pytest.raises(SettingsError, match="There is no set '(nobody|whole)' with a (train|val) split"):
            main("mend", tmp_path / "data", tmp_path / "other", log=quiet, **TINY, sets=named)


@pytest.mark.parametrize(
    ("splits", "lost", "words"),
    [
        ({"train": ["b0"], "val": ["b1"]}, "b0", r"one file labels/b0 with a suffix that can be read; found none"),
        ({"val": ["b1"]}, None, r"no split 'train' in .*; there are all, val"),
        ({"train": ["b0"]}, None, r"no split 'val' in .*; there are all, train"),
        ({"train": [], "val": ["b0"]}, None, r"The split 'train' of .* has no cases"),
        ({"train": ["empty0"], "val": ["b0"]}, None, r"train split of .* needs a case with an object; none of its 1"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused_before_anything_is_written(tmp_path, splits, lost, words):
    write_discs(tmp_path / "discs", **splits)
    if lost:
        (tmp_path / "discs" / "labels" / f"{lost}.png").unlink()

    with pytest.raises(UserError, match=words):
        main("mend", tmp_path / "discs", tmp_path / "out", log=quiet, **TINY)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["graphcut", "nobody", "../etc"])
def test_what_does_not_learn_is_refused(method):
    with pytest.raises(SettingsError, match="cannot be trained"):
        recipe(method)


def test_an_unknown_setting_names_the_known_ones():
    with pytest.raises(SettingsError, match=r"no setting 'stepps'; there are .*exam, .*patience, .*steps"):
        settings_from(how, {"stepps": 3})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": "many"}, "steps needs a whole number; got 'many'"),
        ({"steps": 2.5}, "steps needs a whole number; got 2.5"),
        ({"steps": True}, "steps needs a whole number; got True"),
        ({"rate": "fast"}, "rate needs a number; got 'fast'"),
        ({"rate": float("inf")}, "rate needs a number; got inf"),
        ({"widths": 8}, "widths needs a list; got 8"),
    ],
)
def test_a_setting_of_another_kind_is_refused(options, words):
    with pytest.raises(SettingsError, match=words):
        settings_from(how, options)


def test_settings_keep_their_kind():
    settings = settings_from(how, {"rate": 1, "sets": ("cells",), "steps": 3})

    assert isinstance(settings.rate, float)
    assert (settings.rate, settings.sets, settings.steps) == (1.0, ("cells",), 3)


def test_samples_are_the_same_by_number_and_hold_an_object():
    sampler = how.Sampler([bright_disc()], how.Settings())

    for number in range(12):
        one, two = sampler[number], sampler[number]
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.truth, two.truth)
        assert one.truth.any() and one.image.shape == (4, 128, 128)
        assert 0 <= one.image.min() and one.image.max() <= 1
