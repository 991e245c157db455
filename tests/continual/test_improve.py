"""A site's cases improve the weights, or the weights stay: learned, checked, installed, undone, resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segmend import io, methods
from segmend.continual import improve as room
from segmend.continual.improve import LEARN, Outcome, cases_in, improve, survey
from segmend.continual.trial import MOMENTS, PairedScores, Rule, Trial, Trials
from segmend.core.image import Image, scale_affine
from segmend.datasets.case import Case, Example
from segmend.errors import FileError, ModelError, SettingsError
from segmend.learning import loop as train
from segmend.mend.learning import recipe as recipe
from segmend.runtime import versions
from segmend.server.sessions.workspaces import Workspaces
from segmend.solvers.finetune import Finetuned, Tuning, alternate

WIDTHS = {"widths": (4, 4, 4, 4, 4, 4), "light": (4, 4, 4, 4, 4, 4)}
FAST = {"batch": 2, "threads": 1, "workers": 0, "exam": 0}
SITE = {**FAST, "synthetic": 0.0, "regions": 0.0, "pasted": 0.0, "rate": 1e-2}
TAKE = Trial(
    tuple(PairedScores(f"case {i}", dict.fromkeys(MOMENTS, 0.5), dict.fromkeys(MOMENTS, 0.6)) for i in range(3))
)

WORSE = Trial(
    tuple(PairedScores(f"case {i}", dict.fromkeys(MOMENTS, 0.6), dict.fromkeys(MOMENTS, 0.5)) for i in range(3))
)

LEARNED = {**SITE, "steps": 40, "batch": 4}  # enough to learn what this site's objects look like
BEGUN = {**SITE, "steps": 1}

CHECKED = (0, 3, 8)  # cases that are checked on, by the hash of their images


@dataclass(frozen=True)
class Drawn(Case):
    """A striped disc on plain ground, as this site's objects look; or any pixels, for nonsense to learn from."""

    number: int
    nonsense: bool = False
    depth: int = 1

    def read(self) -> Example:
        rng = np.random.default_rng(self.number)
        z, y, x = np.ogrid[: self.depth, :48, :56]
        middle = rng.uniform(18, 30, 2)
        disc = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 + (2 * (z - self.depth // 2)) ** 2 < rng.uniform(8, 14) ** 2
        tones = np.where(disc, np.where((y + x) // 3 % 2 == 0, 220, 150), 60) + rng.normal(0, 6, disc.shape)
        truth = rng.random(disc.shape) < 0.3 if self.nonsense and self.number not in CHECKED else disc
        image = Image(tones[None].astype(np.float32), scale_affine((2, 1, 1)))
        return Example(image, image, truth.astype(np.uint16))


def site(count: int = 9, **differs: Any) -> list[Case]:
    return [Drawn(Path(), f"case {n}", n, **differs) for n in range(count)]


def untrained(folder: Path, dimensions: int = 2) -> Path:
    """Write networks that have learned nothing."""
    folder.mkdir(exist_ok=True)
    settings = recipe.Settings(
        dimensions=dimensions, **(WIDTHS if dimensions == 2 else {"widths": (4,) * 3, "light": (4,) * 3})
    )
    recipe.export(recipe.build(settings), settings, folder)
    return folder


def quiet(_: str) -> None:
    pass


def bytes_in_use(folder: Path) -> dict[str, bytes]:
    used = versions.in_use(folder)
    return {path.name: path.read_bytes() for path in (*used.glob("*.onnx"), *used.glob("*.npz"))}


def again(found: Outcome) -> dict[str, Any]:
    return {kind: (part["site"], part["drawn"]) for kind, part in found.report["parts"].items()}


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    make_scenes_few_and_small(monkeypatch)


def make_scenes_few_and_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("segmend.continual.trial.SCENES", {2: 2, 3: 2})
    patch.setattr("segmend.continual.trial.SCENE_SIDE", {2: 64, 3: 32})


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets that were learned from before."""
    folder = tmp_path_factory.mktemp("before")
    for name in ("first", "second"):
        write(folder / name, list("abc"))
        (folder / name / "split.json").write_text(json.dumps({"train": list("ab"), "val": list("c")}))
    return folder


def finetune_little(*given: Any, tuning: Tuning, **more: Any) -> Finetuned:
    """Fine-tune in a twentieth of the time, where it does not matter how good the masks are."""
    return alternate(*given, tuning=replace(tuning, rounds=1, steps=4), **more)


@pytest.fixture(scope="module")
def adapted(old: Path, before: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A folder whose weights have learned for a step and were played with, and nothing was held against them."""
    out = tmp_path_factory.mktemp("adapted") / "site"
    with pytest.MonkeyPatch.context() as patch:
        make_scenes_few_and_small(patch)
        patch.setattr(Rule, "against", lambda self, trials: ())
        patch.setattr("segmend.mend.plane_finetune.alternate", finetune_little)
        return out, improve(site(), out, weights=old, replay=before, options=BEGUN, log=quiet)


@pytest.fixture
def home(adapted: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(adapted[0], tmp_path / "home"))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """A round of one step, whose check finds the new weights better without playing."""
    monkeypatch.setattr(room, "check", lambda *_, **__: Trials(TAKE, TAKE))

    def done(out: Path, weights: Path | None, cases: Sequence[Case] | None = None, **more: Any) -> Outcome:
        options = {**SITE, "steps": 1, **more}
        return improve(site() if cases is None else cases, out, weights=weights, options=options, log=quiet)

    return done


@pytest.mark.long
def test_a_site_whose_objects_look_different_gets_better_weights(old: Path, tmp_path: Path) -> None:
    found = improve(site(), tmp_path / "site", weights=old, options=LEARNED, log=quiet)

    assert found.installed, found.said
    assert found.said.startswith("The new weights are better (mean Dice: pictures +0.")
    assert found.report["parts"]["pictures"]["site"]["gain"] > 0.1
    assert bytes_in_use(tmp_path / "site") != bytes_in_use(old)


def test_better_weights_are_installed_with_a_report_of_what_was_played(
    adapted: tuple[Path, Outcome], old: Path
) -> None:
    out, found = adapted

    assert found.installed, found.said
    assert found.said.startswith("The new weights are better (mean Dice: pictures ")
    played = found.report["parts"]["pictures"]["site"]
    assert len(played["cases"]) >= 3
    assert list(played["moments"]) == list(MOMENTS)
    assert bytes_in_use(out).keys() == bytes_in_use(old).keys()
    assert bytes_in_use(out) != bytes_in_use(old)
    assert methods.load("mend", out) is not methods.load("mend", old)
    text = (found.folder / "report.md").read_text()
    assert "| 5 clicks |" in text and "become version 1" in text and "checked on" in text
    assert (found.folder / "report.html").is_file()
    assert not list(found.folder.glob("*/*.onnx")) and not list(found.folder.glob("*/checkpoint.pt"))


def test_nothing_is_checked_on_what_it_learned_from(adapted: tuple[Path, Outcome]) -> None:
    _, found = adapted

    parts = {case["id"]: case["part"] for case in found.report["cases"]}
    checked = {pair["case"] for pair in found.report["parts"]["pictures"]["site"]["cases"]}

    assert checked == {name for name, part in parts.items() if part == "check"}
    assert len(parts) == 9


def test_weights_that_are_not_better_leave_the_old_ones_byte_for_byte(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes_in_use(home)
    monkeypatch.setattr(room, "check", lambda *_, **__: Trials(WORSE, WORSE))

    found = improve(site(), home, options={**SITE, "steps": 1, "rate": 3e-3}, log=quiet)

    assert not found.installed
    assert found.said.startswith("The old weights stay in use, for the new ones are not better. ")
    assert bytes_in_use(home) == before
    assert versions.read(home) == versions.Ledger(1, {0: None, 1: 0})
    assert json.loads((found.folder / "report.json").read_text()) == found.report


@pytest.mark.long
def test_labels_that_are_nonsense_leave_the_old_weights_byte_for_byte(home: Path) -> None:
    before = bytes_in_use(home)

    found = improve(site(nonsense=True), home, options={**SITE, "steps": 4, "rate": 3e-3}, log=quiet)

    assert not found.installed
    assert found.said.startswith("The old weights stay in use, for the new ones are not better. ")
    assert found.report["parts"]["pictures"]["because"]
    assert bytes_in_use(home) == before
    assert versions.read(home) == versions.Ledger(1, {0: None, 1: 0})
    assert json.loads((found.folder / "report.json").read_text()) == found.report


def test_undo_brings_the_old_weights_back(home: Path, old: Path) -> None:
    versions.undo(home)

    assert bytes_in_use(home) == bytes_in_use(old)


def test_a_server_that_runs_opens_images_with_the_weights_in_use(home: Path) -> None:
    image, opened = Drawn(Path(), "a", 0).read().image, Workspaces(10**9, {"mend": home})

    new = opened.open("a", "mend", lambda: image).inner.planes.windows.networks  # type: ignore[attr-defined]
    versions.undo(home)
    old = opened.open("b", "mend", lambda: image).inner.planes.windows.networks  # type: ignore[attr-defined]

    assert opened.open("a", "mend", lambda: image).inner.planes.windows.networks is new  # type: ignore[attr-defined]
    assert old is not new


def test_what_was_decided_is_not_done_again(home: Path, old: Path, before: Path) -> None:
    found = improve(site(), home, weights=old, replay=before, options=BEGUN, log=quiet)
    assert (found.installed, found.again) == (True, True)

    versions.undo(home)
    found = improve(site(), home, replay=before, options=BEGUN, log=quiet)
    assert (found.installed, found.again) == (False, True)
    assert "were better but were undone, so version 1 of" in found.said
    assert len(list((home / "rounds").iterdir())) == 1


@pytest.mark.long
def test_two_runs_decide_alike(old: Path, tmp_path: Path) -> None:
    runs = [improve(site(), tmp_path / name, weights=old, options={**SITE, "steps": 1}, log=quiet) for name in "ab"]

    assert again(runs[0]) == again(runs[1])
    assert bytes_in_use(tmp_path / "a") == bytes_in_use(tmp_path / "b")
    assert runs[0].folder.name == runs[1].folder.name


def test_a_run_killed_after_learning_goes_on(
    old: Path, tmp_path: Path, taken: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "check", killed)
        with pytest.raises(KeyboardInterrupt):
            taken(tmp_path, old)
    assert bytes_in_use(tmp_path) == bytes_in_use(old)
    said: list[str] = []

    found = improve(site(), tmp_path, weights=old, options={**SITE, "steps": 1}, log=said.append)

    assert found.installed and not found.again
    assert "resumed at step 1" in said


def test_a_run_killed_between_the_report_and_installing_installs(
    old: Path, tmp_path: Path, taken: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(versions, "install", killed)
        with pytest.raises(KeyboardInterrupt):
            taken(tmp_path, old)
    assert bytes_in_use(tmp_path) == bytes_in_use(old)
    with monkeypatch.context() as patch:
        patch.setattr(room, "learn", killed)

        found = taken(tmp_path, old)

    assert found.installed
    assert bytes_in_use(tmp_path) != bytes_in_use(old)


def test_a_case_stays_in_its_part_when_others_come() -> None:
    few, many = (survey(site(count), space=False) for count in (4, 12))

    parts = {one.image_hash: one.part for one in many.seen}
    assert all(parts[one.image_hash] == one.part for one in few.seen)
    assert {one.part for one in many.seen} == {"learn", "check"}


def test_the_same_image_twice_is_in_one_part() -> None:
    twice = [Drawn(Path(), name, 3) for name in ("a", "b")]

    assert len({one.part for one in survey(twice, space=False).seen}) == 1


def test_cases_that_cannot_be_used_are_left_out_and_named() -> None:
    @dataclass(frozen=True)
    class Broken(Case):
        def read(self) -> Example:
            raise FileError("The file is gone.")

    @dataclass(frozen=True)
    class Empty(Case):
        def read(self) -> Example:
            image = Image(np.zeros((1, 1, 5, 6)))
            return Example(image, image, np.zeros((1, 5, 6), np.uint16))

    found = survey([Broken(Path(), "a"), Empty(Path(), "b"), *site(1)], space=False)

    assert found.left_out == {"a": "The file is gone.", "b": "It holds no object that is large enough to measure."}
    assert len(found.seen) == 1


def test_too_few_cases_are_refused_before_anything_is_written(old: Path, tmp_path: Path) -> None:
    words = (
        r"^Adapting needs 3 accepted cases to learn from and 3 to check on, pictures or volumes, "
        r"which 12 cases of a kind mostly give; there are \d and \d pictures\.$"
    )
    with pytest.raises(SettingsError, match=words):
        improve(site(3), tmp_path / "out", weights=old, log=quiet)
    with pytest.raises(SettingsError, match=r"there are none\.$"):
        improve([], tmp_path / "out", weights=old, log=quiet)
    assert not (tmp_path / "out").exists()


def test_volumes_teach_the_networks_for_volumes_alone(tmp_path: Path, taken: Callable[..., Outcome]) -> None:
    both = untrained(untrained(tmp_path / "both"), 3)

    found = taken(tmp_path / "out", both, site(14, depth=9), batch=1, small=1.0)

    now, before = bytes_in_use(tmp_path / "out"), bytes_in_use(both)
    assert list(found.report["parts"]) == ["volumes"] and found.installed
    assert {name for name in before if now[name] != before[name]} >= {"mend3d_reader.onnx", "mend3d_refiner.onnx"}
    assert all(now[name] == before[name] for name in before if name.startswith("mend2d"))


@pytest.mark.long
def test_volumes_can_be_checked_with_a_robot(tmp_path: Path) -> None:
    one, two = untrained(tmp_path / "one", 3), untrained(tmp_path / "two", 3)

    seen = survey(site(3, depth=9), space=True).seen
    found = room.check(one, two, 3, seen, log=quiet)

    assert [pair.gain for pair in (*found.site.pairs, *found.drawn.pairs)] == [0.0] * 5
    assert Rule().against(found)


def test_data_sets_learned_from_before_are_kept_in_mind(adapted: tuple[Path, Outcome], before: Path) -> None:
    _, found = adapted

    assert len(room.replay_cases(before, 2)) == 2 * 1 + 2 * 1
    part = found.report["parts"]["pictures"]
    assert len(part["before"]["cases"]) == 2
    assert "Pictures of what was learned before" in (found.folder / "report.md").read_text()
    (run,) = found.folder.glob("pictures/run.json")
    assert json.loads(run.read_text())["cases"]["train"].keys() == {"accepted", "before"}


def test_minutes_become_a_number_of_steps_that_is_kept(
    old: Path, tmp_path: Path, taken: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_seconds_a_step", lambda plan, learned: 10.0)
    options = {name: value for name, value in SITE.items() if name != "steps"}

    found = improve(site(), tmp_path, weights=old, minutes=0.4, options=options, log=quiet)

    assert found.report["parts"]["pictures"]["settings"]["steps"] == 2
    assert json.loads((found.folder / "2-steps.json").read_text()) == {"steps": 2}
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match=f"needs a time above 0 minutes; got {wrong:g}"):
            improve(site(), tmp_path, minutes=wrong, log=quiet)


def test_a_step_takes_time(old: Path) -> None:
    seen = room._subjects(survey(site(3), space=False).seen, "accepted")
    plan = room.Plan.of(old, 2, {**SITE, "batch": 1})

    assert 0 < room._seconds_a_step(plan, seen, count=1) < 60


def test_weights_that_cannot_be_improved_are_refused(old: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"need mend2d_reader.onnx or mend3d_reader.onnx; .*empty has neither"):
        improve(site(), tmp_path / "out", weights=tmp_path / "empty", log=quiet)
    with pytest.raises(ModelError, match="There is no folder .* with weights of mend"):
        improve(site(), tmp_path / "out", weights=tmp_path / "gone", log=quiet)
    other = untrained(tmp_path / "other", 3)
    with pytest.raises(SettingsError, match=r"has weights of its own, .* leave out .*other or choose another folder"):
        improve(site(), home, weights=other, log=quiet)
    with pytest.raises(SettingsError, match="3 and 0 volumes|for which these weights have no network"):
        improve(site(), tmp_path / "out", weights=other, log=quiet)
    (tmp_path / "torn").mkdir()
    for name in ("reader", "refiner"):
        (tmp_path / "torn" / f"mend2d_{name}.onnx").write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"mend2d_reader.onnx do not say how wide their network is"):
        improve(site(), tmp_path / "out", weights=tmp_path / "torn", log=quiet)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": "there"}, "The setting start follows from the cases and weights"),
        ({"pace": 3}, "There is no setting 'pace'"),
        ({"rate": "high"}, "The setting rate needs a number; got 'high'"),
    ],
)
def test_settings_that_cannot_be_chosen_are_refused(old: Path, tmp_path: Path, options: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        improve(site(), tmp_path / "out", weights=old, options=options, log=quiet)
    assert not (tmp_path / "out").exists()


def test_a_task_is_not_adapted_for_its_first_masks_would_suffer(old: Path, tmp_path: Path) -> None:
    task = Path(shutil.copytree(old, tmp_path / "task"))
    (task / "mend2d_namer.onnx").write_bytes(b"")

    with pytest.raises(SettingsError, match=r"task are of a task, .* segmend train mend --task --data DIR"):
        improve(site(), tmp_path / "out", weights=task, log=quiet)


def test_nothing_is_trained_into_a_folder_that_keeps_versions(home: Path) -> None:
    with pytest.raises(SettingsError, match="keeps the versions of `segmend adapt`; train into another folder"):
        train.main("mend", home, home)


def test_a_damaged_report_is_named(home: Path, before: Path) -> None:
    (report,) = home.glob("rounds/*/report.json")
    report.write_text("[")

    with pytest.raises(FileError, match=r"report.json is damaged; move it away to do its round again"):
        improve(site(), home, replay=before, options=BEGUN, log=quiet)


def test_a_plain_folder_of_weights_begins_to_keep_versions(
    old: Path, tmp_path: Path, taken: Callable[..., Outcome]
) -> None:
    own = Path(shutil.copytree(old, tmp_path / "own"))

    found = taken(own, None)

    assert found.installed and versions.undo(own).current == 0
    assert bytes_in_use(own) == bytes_in_use(old)


def write(folder: Path, names: Sequence[str]) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        example = Drawn(folder, name, number).read()
        picture = Image(example.image.voxels.clip(0, 255).astype(np.uint8))
        io.write_image(folder / "images" / f"{name}.png", picture)
        io.write_mask(folder / "labels" / f"{name}.png", example.labels, picture, [])


def test_a_split_beside_the_cases_is_kept_to(tmp_path: Path) -> None:
    write(tmp_path / "told", ["a", "b", "c", "d"])
    (tmp_path / "told" / "split.json").write_text(json.dumps({"train": ["a"], "val": ["b"], "test": ["c"]}))
    write(tmp_path / "untold", ["e", "f"])

    parts = {case.name: getattr(case, "part", None) for case in cases_in(tmp_path)}

    assert parts == {"a": LEARN, "b": "check", "e": None, "f": None}
    assert {case.name for case in cases_in(tmp_path / "told")} == {"a", "b"}
    assert {one.title: one.part for one in survey(cases_in(tmp_path / "told"), space=False).seen} == {
        "a": LEARN,
        "b": "check",
    }
