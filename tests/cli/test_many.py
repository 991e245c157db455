"""`segmend segment` of many images: what is written, what is said, what is left alone, and what survives a kill."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from segmend import io
from segmend.batch.cases import BatchCase
from segmend.batch.job import Job
from segmend.batch.run import outcomes, reading_apart, shares_of
from segmend.cli import run
from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Click
from segmend.core.session import Label
from segmend.runtime.cores import usable_cores

SPACING = (3.0, 2.0, 1.0)
LABELS = [Label(1, "block", (230, 75, 60))]


def block(number: int, *, flat: bool = True) -> Image:
    """A dark image with a bright block, which lies elsewhere in each."""
    voxels = np.full((1, 1 if flat else 4, 24, 32), 20, np.uint8)
    voxels[..., 6 + number : 16 + number, 8:22] = 200
    return Image(voxels, scale_affine(SPACING))


def truth(number: int) -> np.ndarray:
    return (block(number).voxels[0] > 100).astype(np.uint16)


@pytest.fixture
def said(capfd):
    """Run `segmend segment` and return its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["segment", *map(str, arguments)])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Pictures, a volume in a folder below, a damaged file, and a table of points for all but one of them."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "in" / "deep").mkdir(parents=True)
    for number in range(3):
        io.write_image(folder / "in" / f"p{number}.png", block(number))
    io.write_image(folder / "in" / "deep" / "v.nii.gz", block(0, flat=False))
    (folder / "in" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = ["p0.png,0,10,14,1", "p0.png,0,1,1,0", "p1,0,12,14,1", "p1,0,1,1,0", "damaged,0,1,1,1"]
    rows += ["deep/v,2,10,14,1", "deep/v,2,1,1,0", "elsewhere,9,9,9,1"]
    (folder / "points.csv").write_text("case,z,y,x,positive\n" + "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def done(scans) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """What a person gets of all of them."""
    command = [sys.executable, "-m", "segmend", "segment", str(scans / "in"), "-o", str(scans / "out"), "--json"]
    command += ["--prompts", str(scans / "points.csv"), "--method", "graphcut", "--label", "block"]
    return scans / "out", subprocess.run(command, capture_output=True, text=True, timeout=120)


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_bad_cases_stop_no_other_one_and_are_listed_at_the_end(done):
    out, process = done

    assert process.returncode == 1
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "deep/v.nii.gz", "p0.png", "p1.png", "results.csv", "results.jsonl",
    ]  # fmt: skip
    *_, head, first, second = process.stderr.splitlines()
    assert head == "2 of 5 cases failed:"
    assert first.startswith("  damaged: damaged.png is damaged") or "damaged.png" in first
    assert second == "  p2: It has no prompts, and the method finds nothing without one."
    assert "Traceback" not in process.stderr


def test_a_line_of_json_says_what_came_of_each(done):
    out, process = done
    *lines, summary = map(json.loads, process.stdout.splitlines())

    assert summary == {"cases": 5, "done": 3, "skipped": 0, "failed": 2, "table": str(out / "results.csv")}
    assert {line["case"]: line["status"] for line in lines} == {
        "damaged": "failed", "deep/v": "done", "p0": "done", "p1": "done", "p2": "failed",
    }  # fmt: skip
    assert lines == [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    [volume] = [line for line in lines if line["case"] == "deep/v"]
    assert volume["shape"] == [4, 24, 32] and volume["seconds"].keys() == {"read", "open", "answer", "write"}
    [label] = volume["labels"]
    assert (label["name"], label["voxels"]) == ("block", 4 * 140)
    assert label["millilitres"] == pytest.approx(4 * 140 * 6 / 1000)


def test_the_table_has_a_row_a_label_and_one_for_what_failed(done):
    rows = table(done[0])

    assert list(rows) == ["damaged", "p0", "p1", "p2", "deep/v"]
    assert (rows["deep/v"]["status"], rows["deep/v"]["label"], rows["deep/v"]["volume_ml"]) == ("done", "block", "3.36")
    assert rows["p0"]["area_mm2"] == "" or float(rows["p0"]["area_mm2"]) > 0
    assert float(rows["p0"]["seconds"]) >= 0 and rows["p0"]["error"] == ""
    assert rows["p2"]["status"] == "failed" and rows["p2"]["error"].startswith("It has no prompts")


def test_each_mask_is_the_one_that_the_image_gets_alone(done, scans, said, tmp_path):
    alone = tmp_path / "alone.png"

    marks = ("--click", "10,14", "--negative", "1,1", "--method", "graphcut")
    assert said(scans / "in" / "p0.png", *marks, "-o", alone)[0] == 0

    image = block(0)
    assert np.array_equal(io.read_mask(done[0] / "p0.png", image), io.read_mask(alone, image))
    assert np.array_equal(io.read_mask(alone, image), truth(0))


def test_masks_that_are_there_stay_or_are_written_over_as_it_is_said(done, scans, said, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("p0.png", "results.jsonl"):
        (out / name).write_bytes((done[0] / name).read_bytes())
    (out / "p0.png").write_bytes(b"mine")
    pictures = [scans / "in" / f"p{number}.png" for number in range(2)]
    marks = ("--prompts", scans / "points.csv", "--method", "graphcut", "-o", out)

    code, printed, err = said(*pictures, *marks)
    assert (code, printed) == (2, "")
    assert err == (
        f"The file {out / 'p0.png'} is there already; go on without it by --skip-existing, or write over it with "
        "--force.\n"
    )
    code, printed, err = said(*pictures, *marks, "--skip-existing")
    assert (code, err) == (0, "")
    assert printed.splitlines()[-1].startswith("1 mask written, 1 were there already; ")
    assert (out / "p0.png").read_bytes() == b"mine" and (out / "p1.png").is_file()
    assert table(out)["p0"]["status"] == "done" and table(out)["deep/v"]["status"] == "done"  # as was known before

    nothing = said(*pictures, *marks, "--skip-existing", "--json")
    assert json.loads(nothing[1].splitlines()[-1])["skipped"] == 2 and nothing[0] == 0

    assert said(*pictures, *marks, "--force")[0] == 0
    assert np.array_equal(io.read_mask(out / "p0.png", block(0)), truth(0))


def test_channels_of_one_case_are_one_image(said, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(2):
        io.write_image(tmp_path / "in" / f"a_{number:04d}.nii.gz", block(0, flat=False))
        io.write_image(tmp_path / "in" / f"b_{number:04d}.nii.gz", block(0, flat=number == 1))

    code, printed, err = said(
        tmp_path / "in", "-o", tmp_path / "out", "--click", "1,10,14", "--negative", "1,1,1", "--method", "graphcut",
        "--format", "seg.nrrd", "--json",
    )  # fmt: skip

    a, b, _ = sorted(
        map(json.loads, printed.splitlines()), key=lambda line: line.get("case", "z") if "status" in line else "z"
    )
    assert code == 1 and "  b: The images of one case need one grid" in err
    assert [Path(path).name for path in a["image"]] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert a["out"].endswith("out/a.seg.nrrd") and a["labels"][0]["voxels"] == 560
    assert b["status"] == "failed"


def test_given_masks_are_refined(said, scans, tmp_path):
    (tmp_path / "masks").mkdir()
    rough = np.zeros((1, 24, 32), np.uint16)
    rough[0, 8:13, 10:19] = 1
    for number in range(2):
        io.write_mask(tmp_path / "masks" / f"p{number}_mask.png", rough, block(number), LABELS)
    pictures = [scans / "in" / f"p{number}.png" for number in range(2)]

    code, _, err = said(
        *pictures, "--start", tmp_path / "masks", "--refine", "--method", "graphcut", "-o", tmp_path / "out"
    )

    assert (code, err) == (0, "")
    for number in range(2):
        assert np.array_equal(io.read_mask(tmp_path / "out" / f"p{number}.png", block(number)), truth(number))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "A segmentation needs at least one prompt, or weights of a task"),
        (("--click", "1,1", "--refine", "--method", "mend"), "Mend makes no mask better without a prompt"),
        (("--refine", "--method", "graphcut"), "--refine needs masks to make better: --start"),
        (("--click", "1,1", "--force", "--skip-existing"), "Masks that are there stay (--skip-existing) or are"),
        (("--click", "1,1", "--format", "stl"), "mask.stl needs a name that ends in .nii.gz"),
        (("--click", "1,1", "--series", "1.2"), "--series is for one image"),
        (("--click", "1,1", "--weights", "none"), "There is no folder none with weights of mend"),
        (("--click", "1,1", "--layout", "msd"), "is not laid out as msd"),
        (("--prompts", "none.csv"), "There is no file or folder none.csv with prompts."),
        (("--extremes", "1,1:2,2:3,3:4,4", "--method", "iunet"), "IU-Net takes"),
    ],
)
def test_what_no_case_could_be_answered_with_is_said_at_once(said, scans, tmp_path, options, sentence):
    code, printed, err = said(scans / "in", "-o", tmp_path / "out", *options)

    assert (code, printed, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_many_images_need_a_folder(said, scans, tmp_path):
    for inputs in ((scans / "in" / "p0.png", scans / "in" / "p1.png"), (f"{scans}/in/*.png",), (scans / "points.csv",)):
        code, _, err = said(*inputs, "--click", "1,1", "-o", tmp_path / "mask.png")

        assert code == 2 and err == f"Masks of many images need a folder, such as -o masks/; got {tmp_path}/mask.png.\n"


def test_masks_never_take_the_place_of_images(said, tmp_path):
    io.write_image(tmp_path / "a.png", block(0))
    before = (tmp_path / "a.png").read_bytes()

    for given in (tmp_path, tmp_path / "*.png", tmp_path / "a.png"):
        code, _, err = said(given, "-o", tmp_path, "--method", "graphcut", "--click", "12,14", "--force")

        assert code == 2
        assert err == (
            f"The mask of a would be written over the image {tmp_path / 'a.png'}; name another folder for masks.\n"
        )
        assert (tmp_path / "a.png").read_bytes() == before


def test_a_voxel_without_z_is_for_pictures_alone(said, scans, tmp_path):
    code, _, err = said(
        scans / "in" / "p0.png", scans / "in" / "deep" / "v.nii.gz", "--click", "10,14", "--method", "graphcut",
        "-o", tmp_path,
    )  # fmt: skip

    assert code == 1
    assert "deep/v: In a volume of shape (4, 24, 32) a voxel needs three numbers z,y,x; got '10,14'." in err
    assert (tmp_path / "p0.png").is_file()


def test_a_task_finds_its_labels_in_many_pictures(said, tmp_path):
    voxels = np.full((1, 1, 48, 48), 30, np.uint8)
    for number in range(2):
        io.write_image(tmp_path / f"{number}.png", Image(voxels + np.uint8(number)))
    weights = Path(__file__).parents[1] / "trained" / "mend_task"

    code, printed, err = said(tmp_path, "--weights", weights, "-o", tmp_path / "out", "--json")

    lines = [json.loads(line) for line in printed.splitlines()]
    assert (code, err) == (0, "")
    assert [[label["name"] for label in line["labels"]] for line in lines[:2]] == [["square", "disc"]] * 2


def cases_of(folder: Path, count: int) -> list[BatchCase]:
    return [BatchCase(f"p{number % 3}-{number}", (folder / "in" / f"p{number % 3}.png",)) for number in range(count)]


def test_a_process_that_ends_costs_its_case_alone(scans, tmp_path):
    found, cases = [], cases_of(scans, 3)
    with reading_apart(tmp_path, 5.0) as apart:
        all_of_them = outcomes(
            cases, Job("graphcut", tmp_path), apart, shared=[Click((0, 12, 14)), Click((0, 1, 1), False)]
        )
        found.append(next(all_of_them))
        [process] = multiprocessing.active_children()
        os.kill(process.pid, signal.SIGSTOP)  # so that it does not answer the next one
        threading.Timer(0.5, os.kill, (process.pid, signal.SIGKILL)).start()
        found += all_of_them

    assert [(one.case, one.status) for one in found] == [("p0-0", "done"), ("p1-1", "failed"), ("p2-2", "done")]
    assert found[1].error.startswith("The process that answered it ended by signal 9;")
    assert not list(apart.folder.parent.glob(apart.folder.name))


def test_after_a_kill_no_half_mask_is_left_and_the_rest_follows(scans, tmp_path):
    names = [f"{case.name},{case.images[0]}" for case in cases_of(scans, 12)]
    (tmp_path / "list.csv").write_text("name,image\n" + "\n".join(names) + "\n")
    command = [sys.executable, "-m", "segmend", "segment", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out")]
    command += ["--click", "12,14", "--negative", "1,1", "--method", "graphcut", "--skip-existing"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}

    again = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert again.returncode == 0, again.stderr
    assert before and all(path.read_bytes() == data for path, data in before.items())
    rows = table(tmp_path / "out")
    assert len(rows) == 12 and {row["status"] for row in rows.values()} <= {"done", "skipped"}
    for number in range(12):
        mask = io.read_mask(tmp_path / "out" / f"p{number % 3}-{number}.png", block(number % 3))
        assert np.array_equal(mask, truth(number % 3))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")
def test_ended_by_a_cluster_it_leaves_a_table_and_no_voxels(scans, tmp_path):
    names = [f"{case.name},{case.images[0]}" for case in cases_of(scans, 200)]
    (tmp_path / "list.csv").write_text("name,image\n" + "\n".join(names) + "\n")
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, "-m", "segmend", "segment", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out")]
    command += ["--click", "12,14", "--negative", "1,1", "--method", "graphcut"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.terminate()
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said.strip()) == (130, "Interrupted.")
    assert list((tmp_path / "scratch").iterdir()) == []
    masks = {path.stem for path in (tmp_path / "out").glob("*.png")}
    known = set(table(tmp_path / "out"))
    assert known and known <= masks and len(masks - known) <= 1 and len(masks) < 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_it_in_a_sentence(said, scans, tmp_path):
    (tmp_path / "results.jsonl").symlink_to("/dev/full")

    code, _, err = said(scans / "in/p0.png", scans / "in/p1.png", "-o", tmp_path, "--method", "graphcut",
                        "--click", "12,14", "--negative", "1,1")  # fmt: skip

    assert code == 2
    assert err == f"{tmp_path / 'results.jsonl'} could not be written: No space left on device.\n"


def test_a_file_where_a_folder_is_needed_and_bad_cases_alone_are_sentences(said, scans, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "s1").write_text("")
    (tmp_path / "list.csv").write_text(f"name,image\ns1/a,{scans / 'in/p0.png'}\nnone,none.png\n")

    code, _, err = said(tmp_path / "list.csv", "-o", tmp_path / "out", "--method", "graphcut", "--click", "12,14",
                        "--negative", "1,1")  # fmt: skip

    assert code == 1 and "Traceback" not in err
    assert f"s1/a: The folder {tmp_path / 'out' / 's1'} could not be made: File exists.\n" in err
    (tmp_path / "list.csv").write_text("name,image\nnone,none.png\n")
    code, _, err = said(tmp_path / "list.csv", "-o", tmp_path / "out", "--method", "graphcut", "--click", "12,14")
    assert code == 1 and err.count("\n") == 3 and "Traceback" not in err


def test_a_mask_that_is_there_after_all_is_no_failure_in_the_table(said, scans, tmp_path):
    shutil.copy(scans / "in" / "p0.png", tmp_path / "p0.png")
    (tmp_path / "out").mkdir()
    line = {"case": "p0", "status": "failed", "image": ["p0.png"], "method": "graphcut", "error": "It was killed."}
    (tmp_path / "out" / "results.jsonl").write_text(json.dumps(line) + "\n")
    shutil.copy(scans / "in" / "p0.png", tmp_path / "out" / "p0.png")

    options = ["--method", "graphcut", "--click", "12,14", "--skip-existing"]
    assert said(tmp_path / "p0.png", "-o", tmp_path / "out", *options)[0] == 0
    assert table(tmp_path / "out")["p0"]["status"] == "skipped"


def test_several_processes_share_the_processor():
    shares = shares_of(2)

    assert len(shares) == 2 and shares_of(1) == [()]
    cores = usable_cores()
    assert {*shares[0], *shares[1]} <= {*cores} and len(shares[0]) == max(1, len(cores) // 2)
