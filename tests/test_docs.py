"""What the documentation shows is run: every Python block, every `segmend` command, every example, every link."""

import importlib.util
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segmend
from segmend import io
from segmend.cli import run
from segmend.core.masks import dice
from segmend.core.prompts import KINDS, check, from_json, kind_of, to_json
from segmend.methods import cards
from segmend.samples import Sample
from tools.show_examples import SHOWN, filled

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHOWN_ELSEWHERE = {path.read_text(encoding="utf-8") for path in EXAMPLES}  # run as files
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GOOD = 0.9  # the least Dice that a mask of an example may have with the sample's truth
STAYS = tuple(  # they serve, or compute for long; tested elsewhere
    f"segmend {verb}" for verb in ("adapt", "start", "train", "evaluate", "reproduce", "compare", "calibrate")
)


def blocks(page: Path, language: str) -> list[str]:
    """Return the page's code blocks of one language, without those that show a file of examples/, run by itself."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for kind, code in found if kind == language and code not in SHOWN_ELSEWHERE]


def commands(page: Path) -> list[str]:
    lines = "".join(blocks(page, "console")).splitlines()
    shown = [line.removeprefix("$ ") for line in lines if line.startswith("$ segmend ")]
    return [line for line in shown if not line.startswith(STAYS)]


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=relative)
def test_the_python_on_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}

    for code in blocks(page, "python"):
        exec(compile(code, relative(page), "exec"), names)
        if isinstance(names.get("sample"), Sample) and "mask" in names:
            assert best_dice(names["sample"].truth, names["mask"]) >= GOOD


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=relative)
def test_the_commands_on_a_page_run_in_order(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGMEND_FOLDER", str(tmp_path / "kept"))

    for line in commands(page):
        code = run(shlex.split(line)[1:])

        assert code == 0, f"{line}: {capsys.readouterr().err}"
        if line.startswith("segmend segment "):
            check_mask(shlex.split(line)[2:])


def check_mask(arguments: list[str]) -> None:
    """Check that a shown `segmend segment` found an object of a sample, and better than the mask that it mends."""
    image = Path(arguments[0])
    scan = io.read(image)
    truth = io.read_mask(image.parent.parent / "labels" / image.name, scan)
    options = dict(itertools.pairwise(arguments))
    found = best_dice(truth, io.read_mask(options["-o"], scan) > 0)

    assert found >= GOOD, (arguments, found)
    if "--start" in options:
        assert found > best_dice(truth, io.read_mask(options["--start"], scan) > 0), arguments


def best_dice(truth: np.ndarray, mask: np.ndarray) -> float:
    """Return the Dice of a mask with the object of a label map that it is nearest to."""
    return max(dice(truth == value, mask) for value in np.unique(truth) if value)


@pytest.mark.parametrize("example", EXAMPLES, ids=relative)
def test_an_example_runs(example, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}
    )

    assert done.returncode == 0, done.stderr
    steps = [float(value) for value in re.findall(r"Dice (\d\.\d+)", done.stdout)]
    assert all(value >= GOOD for value in steps), done.stdout
    assert all(later > earlier for earlier, later in itertools.pairwise(steps)), done.stdout
    assert ("segmend.answer(" in example.read_text("utf-8")) == bool(steps), "an example tells the Dice of its masks"


def test_the_prompts_shown_as_json_are_of_every_kind_and_read():
    (shown,) = blocks(ROOT / "docs" / "quick-start.md", "json")
    prompts = [from_json(values) for values in json.loads(shown)]

    assert {kind_of(prompt) for prompt in prompts} == set(KINDS)
    assert [to_json(prompt) for prompt in prompts] == json.loads(shown)
    for prompt in prompts:
        check(prompt, (1, 384, 512))


def test_every_example_is_shown_on_a_page():
    shown = {name for page in PAGES for name, _ in SHOWN.findall(page.read_text("utf-8"))}

    assert shown == {relative(example) for example in EXAMPLES}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_shows_an_example_as_it_is(page):
    text = page.read_text("utf-8")

    assert filled(text) == text  # else: python tools/show_examples.py
    assert "--8<--" not in text  # code hosts would show that line instead of the code


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_and_picture_of_a_page_is_there(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]

    assert missing == []


def test_the_pictures_of_coordinates_are_what_their_script_draws(tmp_path):
    script = ROOT / "tools" / "draw_coordinates.py"

    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)

    for drawn in sorted(tmp_path.iterdir()):
        kept = ROOT / "docs" / "images" / drawn.name
        numbers = re.compile(r"-?\d+\.\d+")  # the last digits differ between processors
        assert numbers.sub("n", drawn.read_text()) == numbers.sub("n", kept.read_text())


def test_the_threshold_method_of_the_docs_is_a_method_like_any_other(monkeypatch):
    spec = importlib.util.spec_from_file_location("threshold", ROOT / "examples" / "threshold.py")
    threshold = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "threshold", threshold)
    spec.loader.exec_module(threshold)
    voxels = np.zeros((1, 2, 6, 8), np.float32)
    voxels[0, :, 2:4, 3:7] = 100
    image = segmend.Image(voxels)
    empty = np.zeros(image.shape, bool)

    prompts = [segmend.Click((0, 2, 3)), segmend.Click((1, 3, 6), positive=False)]
    mask = segmend.answer(threshold.load().open(image), prompts, empty).over(empty)

    expected = voxels[0] > 50
    expected[1, 3, 6] = False
    assert np.array_equal(mask, expected)


def test_the_page_of_methods_says_what_the_cards_say():
    rows = [
        line.split("|") for line in (ROOT / "docs" / "methods.md").read_text().splitlines() if line.startswith("| `")
    ]
    told = {row[1].strip(" `"): (row[4].strip(), row[5].strip()) for row in rows}

    assert set(told) == {card.id for card in cards()}
    for card in cards():
        images, alone = told[card.id]
        assert [n for n in (2, 3) if f"{n}D" in images] == list(card.dimensions)
        assert [word for word in ("guess", "refine") if word in alone] == (
            ["guess"] * card.guesses + ["refine"] * card.refines
        )
