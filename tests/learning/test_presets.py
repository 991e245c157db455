"""Presets: the paper's own schedule and what trains here, printed and kept beside the weights."""

import json

import numpy as np
import pytest

from segmend.errors import SettingsError
from segmend.learning.loop import main, run
from segmend.learning.recipe import preset_of, recipe
from segmend.papers.bifseg.recipe import SMALL_3D
from tests.datasets.test_folder import flat_labels, write_case, write_split
from tests.learning import recipe_of_halves
from tests.learning.test_loop import bright_disc


@pytest.mark.parametrize("method", ["bifseg", "deepigeos", "dextr", "editing", "iunet", "quality", "refinenet"])
def test_every_paper_has_both_presets_and_neither_clips_in_the_papers(method):
    how = recipe(method)
    small, paper = (preset_of(how, name, {}) for name in ("small", "paper"))

    assert small[0] == how.Settings() and not small[1]
    assert paper[0] == how.PAPER != small[0]
    assert paper[1]["clip"] == 0


def test_quality_trains_for_epochs_with_patience_and_bifseg_in_volumes_is_another_small_one():
    assert preset_of(recipe("quality"), "paper", {})[1] == {
        "epochs": 1000, "patience": 50, "clip": 0.0, "schedule": "constant",
    }  # fmt: skip
    assert preset_of(recipe("bifseg"), "small", {"dimensions": 3})[0] == SMALL_3D


def test_a_preset_there_is_not_is_said():
    with pytest.raises(SettingsError, match="mend is of no paper, so it has no preset 'paper'; there is small"):
        preset_of(recipe("mend"), "paper", {})
    with pytest.raises(SettingsError, match="needs to be paper or small; got 'large'"):
        preset_of(recipe("mend"), "large", {})


def test_what_a_run_was_told_is_printed_and_kept_and_epochs_become_steps(tmp_path):
    folder, told = tmp_path / "cells", []
    for name in ("a", "b", "c"):
        write_case(folder, name, flat_labels())
    write_split(folder, train=["a", "b", "c"], val=["c"])

    main(
        "quality", folder, tmp_path / "out", log=told.append, preset="paper", epochs=2, batch=2, cells=32,
        widths=(2, 2), dense=2, exam=1, workers=0, threads=1,
    )  # fmt: skip

    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert next(line for line in told if line.startswith("preset paper: steps 4, ")).endswith("schedule constant")
    assert (about["settings"]["steps"], about["settings"]["rate"], about["settings"]["patience"]) == (4, 1e-4, 50)
    assert about["loop"] | {"exam": 1} == about["loop"]
    assert {k: about["loop"][k] for k in ("preset", "epochs", "clip", "schedule", "every")} == {
        "preset": "paper", "epochs": 2, "clip": 0.0, "schedule": "constant", "every": 2,
    }  # fmt: skip


def test_a_pass_of_iunet_is_over_the_slices_of_every_object(tmp_path):
    folder, told = tmp_path / "organs", []
    labels = np.zeros((5, 40, 40), np.uint16)
    labels[:4, 5:15, 5:15], labels[2:, 20:30, 20:30] = 1, 2
    for name in ("a", "b"):
        write_case(folder, name, labels, suffix=".nii.gz")
    write_split(folder, train=["a", "b"], val=["b"])

    main(
        "iunet", folder, tmp_path / "out", log=told.append, preset="paper", epochs=2, batch=4, cells=16, widths=(2, 2),
        exam=1, workers=0, threads=1,
    )  # fmt: skip

    assert any(line.startswith("preset paper: steps 8, ") for line in told)  # 2 times 14 slices in batches of 4


def test_validations_before_the_step_that_a_recipe_names_do_not_count_for_patience(tmp_path):
    class Late(type(recipe_of_halves)):
        pass

    how = Late(recipe_of_halves.__name__)
    how.__dict__.update({k: v for k, v in vars(recipe_of_halves).items() if not k.startswith("__")})
    how.patience_from = lambda settings: 6
    how.validate = lambda network, samples: {"right": 0.5}  # never better than at first
    cases = [bright_disc(), bright_disc()]

    done = run(
        how, cases, cases[:1], how.Settings(steps=12), tmp_path, log=lambda _: None, workers=0, every=2, exam=1,
        threads=1, patience=2,
    )  # fmt: skip

    assert done.steps == 12


@pytest.mark.parametrize("wrong", [{"schedule": "steep"}, {"clip": -1.0}])
def test_a_schedule_or_a_clip_there_is_not_is_said(wrong, tmp_path):
    cases = [bright_disc()]
    with pytest.raises(SettingsError, match="A schedule needs to be own or constant and a clip 0 or more"):
        run(recipe_of_halves, cases, cases, recipe_of_halves.Settings(), tmp_path, log=lambda _: None, **wrong)
