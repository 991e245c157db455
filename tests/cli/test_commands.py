"""Every command as a person runs it: its result, its JSON, its help, and one sentence when it refuses."""

import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest

from segmend import io
from segmend.cli import COMMANDS, commands, run
from segmend.cli.start import address_to_open, limits_of, start
from segmend.core import segmenter
from segmend.core.edits import EDITS, edit_from_json, edit_to_json
from segmend.core.image import Image, bounds, scale_affine
from segmend.core.prompts import KINDS, Mask, from_json, to_json
from segmend.core.session import Defined, Label, Patch, Prompted
from segmend.editing import edit_map
from segmend.errors import SettingsError
from segmend.samples import make, write_folder
from segmend.server.settings import ServerSettings
from segmend.store import Store
from tests.io.dicoms import NAME, save_all, slices

SHAPES = {"abdomen": (12, 48, 56), "head": (1, 96, 80), "skin": (1, 96, 128)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_folder(folder, cases=2, shapes=SHAPES)
    return folder


@pytest.fixture
def skin(images):
    return images / "skin" / "images" / "skin_000.png"


@pytest.fixture
def said(capsys):
    """Run a command in this process and return its exit code, output and errors."""

    def call(*arguments: object):
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def box_of(truth: np.ndarray) -> str:
    inner = bounds(truth)
    low, high = inner.grown((0, 4, 4)).clipped(truth.shape).low, inner.grown((0, 4, 4)).clipped(truth.shape).high
    return ":".join(",".join(map(str, corner)) for corner in (low, high))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_helps_with_an_example(said, name):
    code, out, _ = said(name, "--help")

    assert code == 0
    assert re.search(rf"Example.*:\n +segmend {name}", out), out


@pytest.mark.parametrize(
    "name", [*sorted(set(COMMANDS) - {"start", "receive", "user"}), "user add", "user list", "user token"]
)
def test_every_command_that_answers_also_does_so_in_json(said, name):
    assert "--json" in said(*name.split(), "--help")[1]


def test_without_a_command_the_help_is_shown(said):
    code, out, err = said()

    assert "Commands:" in out + err
    assert code == 2


def test_the_version_is_told(said):
    import segmend

    assert said("--version") == (0, f"segmend {segmend.__version__}\n", "")


def test_methods_are_listed_as_programs_want_them(said):
    code, out, _ = said("methods", "--json")

    cards = json.loads(out)
    assert code == 0
    assert {"mend", "graphcut"} <= {card["id"] for card in cards}
    for card in cards:
        shown = {
            "id",
            "title",
            "paper",
            "prompts",
            "dimensions",
            "weights",
            "refines",
            "guesses",
            "labels",
            "finetunes",
            "calibrated",
            "intervals",
            "good_for",
            "robot",
            "variants",
        }
        assert set(card) == shown


def test_methods_are_listed_as_people_want_them(said):
    _, out, _ = said("methods")

    assert re.search(r"^graphcut +Graph cut \(2D and 3D; weights: none needed\)", out, re.MULTILINE)


def test_a_photograph_is_segmented(said, skin, images, tmp_path):
    truth = io.read_mask(images / "skin" / "labels" / skin.name, io.read(skin)) > 0
    out = tmp_path / "mask.png"

    code, printed, _ = said("segment", skin, "--box", box_of(truth), "--method", "graphcut", "-o", out, "--json")

    mask = io.read_mask(out, io.read(skin)) > 0
    values = json.loads(printed)
    assert code == 0
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
    assert (values["voxels"], values["method"]) == (mask.sum(), "graphcut")
    assert values["seconds"]["answer"] > 0


def test_the_shipped_model_segments_a_photograph(said, skin, images, tmp_path):
    truth = io.read_mask(images / "skin" / "labels" / skin.name, io.read(skin)) > 0
    out = tmp_path / "mask.nii.gz"

    code, _, err = said("segment", skin, "--box", box_of(truth), "-o", out)

    mask = io.read_mask(out, io.read(skin)) > 0
    assert (code, err) == (0, "")
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8


def test_a_volume_is_segmented_and_every_mark_holds(said, images, tmp_path):
    path = images / "abdomen" / "images" / "abdomen_000.nii.gz"
    image = io.read(path)
    truth = io.read_mask(images / "abdomen" / "labels" / path.name, image) == 1
    inside, outside = (np.argwhere(part)[len(np.argwhere(part)) // 2] for part in (truth, ~truth))
    out = tmp_path / "liver.seg.nrrd"

    code, printed, _ = said(
        "segment", path, "--method", "graphcut", "--box", box_of(truth), "--label", "liver", "-o", out,
        "--click", ",".join(map(str, inside)), "--negative", ",".join(map(str, outside)),
    )  # fmt: skip

    mask = io.read_mask(out, image) > 0
    assert code == 0
    assert mask[tuple(inside)]
    assert not mask[tuple(outside)]
    assert re.match(r".*liver\.seg\.nrrd: \d+ voxels, [\d.e+]+ ml.*, in \d+\.\d\d s\.$", printed)


@pytest.mark.parametrize(
    ("spacing", "told", "area"),
    [((1, 1, 1), r"\d+ pixels, ", None), ((1, 0.5, 0.1), r"\d+ pixels, [\d.]+ mm², ", 0.05)],
)
def test_a_picture_is_measured_in_pixels_and_areas(said, tmp_path, spacing, told, area):
    path = tmp_path / "picture.png"
    voxels = np.full((1, 1, 40, 60), 20, np.uint8)
    voxels[0, 0, 10:30, 10:50] = 200
    io.write_image(path, Image(voxels, scale_affine(spacing)))
    asked = ("segment", path, "--click", "0,20,30", "--method", "graphcut")

    _, printed, _ = said(*asked, "-o", tmp_path / "a.png")
    _, values, _ = said(*asked, "-o", tmp_path / "b.png", "--json")

    found = json.loads(values)
    assert re.search(f"a.png: {told}in ", printed)
    assert found["millilitres"] is None
    assert found["labels"][0]["millilitres"] is None
    assert found["square_millimetres"] == (None if area is None else pytest.approx(found["voxels"] * area))


def test_a_mask_can_be_mended_further(said, skin, images, tmp_path):
    image = io.read(skin)
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    truth = io.read_mask(images / "skin" / "labels" / skin.name, image) > 0
    said("segment", skin, "--box", box_of(truth), "--method", "graphcut", "-o", first)

    code, _, _ = said(
        "segment", skin, "--start", first, "--negative", "0,2,2", "--method", "graphcut", "-o", second, "--json"
    )

    assert code == 0
    assert not io.read_mask(second, image)[0, 2, 2]


@pytest.mark.parametrize(("method", "told"), [("mend", True), ("graphcut", True), ("iunet", False)])
def test_methods_that_take_masks_are_told_that_one_is_from_elsewhere(
    said, skin, images, tmp_path, monkeypatch, method, told
):
    asked = []
    answer = segmenter.answer

    def spied(workspace, prompts, previous, **new):
        asked.append(list(prompts))
        return answer(workspace, prompts, previous, **new)

    monkeypatch.setattr("segmend.editing.steps.answer", spied)
    start = images / "skin" / "labels" / skin.name

    marks = ("--click", "0,2,2", "--click", "0,4,4")
    code, _, _ = said("segment", skin, "--start", start, *marks, "--method", method, "-o", tmp_path / "a.png")

    assert code == 0
    (prompts,) = asked
    assert [isinstance(prompt, Mask) for prompt in prompts] == [True, False, False] if told else [False, False]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "A segmentation needs at least one prompt, for example --click 0,120,80; got none."),
        (("--click", "1"), "A voxel needs three whole numbers z,y,x, or y,x in a flat image; got '1'."),
        (
            ("--click", "0,9000,3", "--method", "graphcut"),
            "The click reaches (0, 9000, 3), outside the image of shape (1, 96, 128).",
        ),
        (("--click", "0,5,5", "--method", "magic"), "There is no method 'magic'; there are "),
    ],
)
def test_what_cannot_be_segmented_is_said_in_one_sentence(said, skin, tmp_path, arguments, sentence):
    code, out, err = said("segment", skin, "-o", tmp_path / "mask.png", *arguments)

    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1
    assert not (tmp_path / "mask.png").exists()


@pytest.mark.parametrize("content", [None, b"", b"not an image"])
def test_a_file_that_is_no_image_is_said_in_one_sentence(said, tmp_path, content):
    path = tmp_path / "scan.nii.gz"
    if content is not None:
        path.write_bytes(content)

    code, out, err = said("segment", path, "--click", "0,1,1", "-o", tmp_path / "mask.png")

    assert (code, out) == (2, "")
    assert "scan.nii.gz" in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_a_photograph_needs_no_z_and_a_volume_does(said, skin, images, tmp_path):
    with_z, without = tmp_path / "with.png", tmp_path / "without.png"
    volume = images / "abdomen" / "images" / "abdomen_000.nii.gz"

    said("segment", skin, "--box", "0,20,30:1,70,100", "--click", "0,45,60", "--method", "graphcut", "-o", with_z)
    said("segment", skin, "--box", "20,30:70,100", "--click", "45,60", "--method", "graphcut", "-o", without)
    code, _, err = said("segment", volume, "--click", "5,6", "-o", tmp_path / "liver.nii.gz")

    assert with_z.read_bytes() == without.read_bytes()
    assert (code, err) == (2, "In a volume of shape (12, 48, 56) a voxel needs three numbers z,y,x; got '5,6'.\n")


def test_every_kind_of_mark_has_an_option(said, skin, images, tmp_path):
    truth = io.read_mask(images / "skin" / "labels" / skin.name, io.read(skin)) > 0
    (_, top, left), (_, bottom, right) = bounds(truth).low, bounds(truth).high
    middle = ((top + bottom) // 2, (left + right) // 2)
    sides = [(top, int(truth[0, top].argmax())), (int(truth[0, :, left].argmax()), left)]
    sides += [(bottom - 1, int(truth[0, bottom - 1].argmax())), (int(truth[0, :, right - 1].argmax()), right - 1)]
    extremes = ":".join(f"{y},{x}" for y, x in sides)
    lassos = [[[0, 30, 40], [0, 30, 80], [0, 60, 80], [0, 60, 40]], [[0, 2, 2], [0, 2, 20], [0, 20, 20], [0, 20, 2]]]
    forms = [{"kind": "lasso", "points": points, "positive": n == 0} for n, points in enumerate(lassos)]
    (tmp_path / "lassos.json").write_text(json.dumps(forms))
    masks = {}
    for name, options in {
        "extremes": ["--extremes", extremes],
        "line": ["--stroke", f"{middle[0]},{middle[1]}:{middle[0]},{middle[1] + 4}", "--negative-stroke", "2,2:2,90"],
        "lasso": ["--lasso", "30,40:30,80:60,80:60,40", "--negative-lasso", "2,2:2,20:20,20:20,2"],
        "as json": ["--prompts", tmp_path / "lassos.json"],
    }.items():
        assert said("segment", skin, *options, "-o", tmp_path / f"{name}.png")[0] == 0
        masks[name] = io.read_mask(tmp_path / f"{name}.png", io.read(skin))[0] > 0
    larger = ["--start", tmp_path / "extremes.png", "--adjust", "0.2"]
    assert said("segment", skin, *larger, "-o", tmp_path / "larger.png")[0] == 0

    assert 2 * (masks["extremes"] & truth[0]).sum() / (masks["extremes"].sum() + truth.sum()) > 0.8
    assert not masks["line"][2, 2:91].any()
    assert masks["lasso"].any()
    assert np.array_equal(masks["lasso"], masks["as json"])
    assert (io.read_mask(tmp_path / "larger.png", io.read(skin)) > 0).sum() > masks["extremes"].sum()


def test_edits_among_the_prompts_are_taken_in_turn(said, skin, tmp_path):
    scan = io.read(skin)
    start = np.zeros(scan.shape, np.uint16)
    start[0, 20:40, 30:60] = 1
    io.write_mask(tmp_path / "start.png", start, scan, [Label(1, "spot", (230, 75, 60))])
    edits = [{"kind": "grow", "mm": 2}, {"kind": "paint", "points": [[0, 5, 5]], "radius": 2, "axis": 0}]
    (tmp_path / "edits.json").write_text(json.dumps(edits))
    (tmp_path / "mixed.json").write_text(json.dumps([*edits, {"kind": "click", "index": [0, 30, 45]}]))
    shared = ["--start", tmp_path / "start.png", "--method", "graphcut"]

    code, _, err = said("segment", skin, *shared, "--prompts", tmp_path / "edits.json", "-o", tmp_path / "edited.png")
    assert code == 0, err
    code, _, err = said("segment", skin, *shared, "--prompts", tmp_path / "mixed.json", "-o", tmp_path / "mixed.png")
    assert code == 0, err

    wanted = start
    for edit in edits:
        wanted = edit_map(wanted, edit_from_json(edit), scan)
    assert np.array_equal(io.read_mask(tmp_path / "edited.png", scan) > 0, wanted > 0)
    assert io.read_mask(tmp_path / "mixed.png", scan)[0, 5, 5] > 0  # far from the click


def test_the_help_shows_every_kind_of_prompt_as_it_is_read(said):
    _, out, _ = said("segment", "--help")
    shown = re.findall(r"^ +(\{.*\})$", out, re.MULTILINE)

    kinds = {}
    for text in shown:
        words = text.replace("[z, y, x], ...", "[0, 1, 2], [0, 5, 2], [0, 5, 9]").replace("[z, y, x]", "[0, 1, 2]")
        values = json.loads(words)
        kinds[values["kind"]] = values
    kinds["mask"] |= {"shape": [1, 1, 8], "bits": to_json(Mask(np.ones((1, 1, 8), bool)))["bits"]}

    kinds["drawn"] |= {"shape": [1, 1, 8], "bits": kinds["mask"]["bits"]}
    for kind in {*kinds} & {*EDITS}:
        assert edit_to_json(edit_from_json(kinds[kind])).items() >= kinds.pop(kind).items()

    assert set(kinds) == set(KINDS)
    for values in kinds.values():
        assert set(to_json(from_json(values))) == set(values)


def test_files_that_are_there_are_written_over_only_by_force(said, skin, images, tmp_path, monkeypatch):
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    (tmp_path / "summary.json").write_text("{}")
    monkeypatch.setattr("segmend.methods._loaded", None)  # nothing is computed
    commands = [
        ("segment", skin, "--click", "45,60", "-o", taken),
        ("convert", skin, taken),
        ("export", "abc", "-o", taken, "--folder", tmp_path),
        ("evaluate", "--data", images, "--method", "graphcut", "--out", tmp_path),
        ("samples", images),
    ]

    for command in commands:
        code, out, err = said(*command)
        assert (code, out) == (2, "")
        assert re.match(r"The file .* is there already; choose another one, or write over it with --force\.\n$", err)
    assert taken.read_bytes() == b"mine"
    assert said("convert", skin, taken, "--force")[0] == 0
    assert taken.read_bytes() != b"mine"


def test_samples_that_are_there_can_be_kept(said, tmp_path):
    said("samples", tmp_path, "--kind", "skin")
    first = tmp_path / "skin" / "images" / "skin_000.png"
    first.write_bytes(b"mine")

    code, out, _ = said("samples", tmp_path, "--kind", "skin", "--cases", 2, "--skip-existing")

    assert code == 0
    assert out == f"{tmp_path / 'skin' / 'images' / 'skin_001.png'}\n"
    assert first.read_bytes() == b"mine"
    assert json.loads((tmp_path / "skin" / "split.json").read_text())["val"] == ["skin_001"]


def test_a_wrong_option_ends_with_2(said):
    code, _, err = said("segment", "--nonsense")

    assert code == 2
    assert "No such option" in err


def test_samples_are_written(said, tmp_path):
    code, out, _ = said("samples", tmp_path / "demo", "--kind", "head", "--cases", 2, "--json")

    assert code == 0
    assert [io.read(path).shape for path in json.loads(out)] == [(1, 320, 288)] * 2


def test_an_image_is_converted_and_lands_on_the_same_millimetres(said, images, tmp_path):
    source, target = images / "abdomen" / "images" / "abdomen_000.nii.gz", tmp_path / "abdomen.nrrd"

    code, out, _ = said("convert", source, target)

    before, after = io.read(source), io.read(target)
    corner = before.to_mm((0, 0, 0))
    assert code == 0
    assert out == f"{target}: {' x '.join(map(str, before.shape))} voxels.\n"
    assert before.voxels[0, 0, 0, 0] == after.voxels[0][tuple(np.rint(after.to_index(corner)).astype(int))]


def test_a_mask_is_converted_with_its_names(said, images, tmp_path):
    image = images / "abdomen" / "images" / "abdomen_000.nii.gz"
    mask = images / "abdomen" / "labels" / image.name
    target = tmp_path / "organs.seg.nrrd"

    code, out, _ = said("convert", mask, target, "--mask", image, "--label", "liver", "--json")

    assert code == 0
    assert json.loads(out)["labels"] == 4
    assert b"liver" in target.read_bytes()
    assert np.array_equal(io.read_mask(target, io.read(image)), io.read_mask(mask, io.read(image)))


def test_what_a_source_holds_is_listed(said, skin):
    code, out, _ = said("convert", skin, "--json")

    (only,) = json.loads(out)
    assert code == 0
    assert only["uid"] == skin.name


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """A folder with a small CT series: dark, with a bright block."""
    voxels = np.zeros((3, 24, 32), np.int16)
    voxels[:, 6:18, 8:24] = 900
    return save_all(slices(voxels, study="1.2"), tmp_path_factory.mktemp("dicom") / "ct")


@pytest.mark.parametrize("ending", [".dcm", ".rtstruct.dcm"])
@pytest.mark.parametrize("patient", ["anonymous", "keep", None])
def test_whoever_asks_gets_the_patient_into_a_dicom_mask(said, ct, tmp_path, ending, patient):
    options = () if patient is None else ("--patient", patient)
    made, converted = tmp_path / f"made{ending}", tmp_path / f"converted{ending}"

    marks = ("--click", "1,12,16", "--negative", "1,2,2", "--method", "graphcut")
    assert said("segment", ct, *marks, "-o", made, *options)[::2] == (0, "")
    assert said("convert", made, converted, "--mask", ct, "--label", "block", *options)[::2] == (0, "")

    for path in (made, converted):
        written = pydicom.dcmread(path)
        assert written.StudyInstanceUID == "1.2"
        assert (written.PatientName, written.PatientID) == ((NAME, "ID-4711") if patient == "keep" else ("", ""))


def test_a_dicom_segmentation_says_what_made_it(said, ct, skin, tmp_path):
    marks = ("--click", "1,12,16", "--negative", "1,2,2", "--method", "graphcut")
    assert said("segment", ct, *marks, "-o", tmp_path / "one.dcm")[::2] == (0, "")
    assert said("segment", skin, "--click", "12,16", "--method", "geos", "-o", tmp_path, "--format", "dcm")[0] == 0

    def made(name):
        [segment] = pydicom.dcmread(tmp_path / name).SegmentSequence
        [algorithm] = segment.SegmentationAlgorithmIdentificationSequence
        return algorithm.AlgorithmName, algorithm.AlgorithmParameters

    lines = '{"index":[1,12,16],"kind":"click","positive":true}\n{"index":[1,2,2],"kind":"click","positive":false}\n'
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert made("one.dcm") == ("Segmend graphcut", f"marks=2,marks-sha256={digest}")
    assert made("skin_000.dcm")[0] == "Segmend geos" and made("skin_000.dcm")[1].startswith("marks=1,")
    assert said("convert", tmp_path / "one.dcm", tmp_path / "again.dcm", "--mask", ct)[::2] == (0, "")
    assert made("again.dcm") == made("one.dcm")


@pytest.mark.parametrize("ending", [".dcm", ".rtstruct.dcm"])
def test_a_dicom_mask_of_another_image_has_identifiers_of_its_own(said, skin, tmp_path, ending):
    code, _, err = said("segment", skin, "--click", "0,40,60", "--method", "graphcut", "-o", tmp_path / f"m{ending}")

    assert (code, err) == (0, "")
    assert "ReferencedSeriesSequence" not in pydicom.dcmread(tmp_path / f"m{ending}")


@pytest.mark.parametrize(
    ("out", "options", "sentence"),
    [
        ("m.dcm", ("--patient", "keep"), "A mask with its patient needs the DICOM series that its image came from"),
        ("m.nii.gz", ("--patient", "keep"), "Only a DICOM mask (.dcm, .rtstruct.dcm) can keep its patient; got m.nii"),
        ("m.stl", (), "m.stl needs a name that ends in"),
        ("gone/m.nii", (), "m.nii could not be written: No such file or directory."),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_computed(
    said, skin, tmp_path, monkeypatch, out, options, sentence
):
    monkeypatch.setattr("segmend.methods.load", None)  # a method that were asked for would fail otherwise

    code, _, err = said("segment", skin, "--click", "0,40,60", "-o", tmp_path / out, *options)

    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(sentence)


def test_only_masks_keep_a_patient(said, ct, tmp_path):
    assert said("convert", ct, tmp_path / "ct.nii.gz", "--patient", "keep") == (
        2, "", "--patient keep is for masks: name the image with --mask.\n",
    )  # fmt: skip


@pytest.mark.parametrize("patient", ["anonymous", "keep"])
def test_a_session_leaves_with_its_patient_or_without(said, ct, tmp_path, patient):
    image = io.read(ct)
    after = (image.voxels[0] > 0).astype(np.uint16)
    with Store.local(tmp_path / "data") as store:
        record = store.add_session(store.add_case("CT", image, modality="CT", source=ct).id)
        store.append(record.id, 0, Defined(Label(1, "block", (230, 75, 60))))
        store.append(record.id, 1, Prompted(bounds(after), 1, "graphcut"))
        store.answer(record.id, 1, Patch.between(np.zeros_like(after), after))
    out = tmp_path / "mask.dcm"

    assert said("export", record.id, "-o", out, "--folder", tmp_path / "data", "--patient", patient)[0] == 0

    written = pydicom.dcmread(out)
    assert written.PatientName == (NAME if patient == "keep" else "")
    assert written.StudyInstanceUID == "1.2"
    assert np.array_equal(io.read_mask(out, image), after)


def test_a_session_is_listed_and_exported(said, tmp_path):
    sample = make("head", shape=SHAPES["head"])
    after = (sample.truth == 1).astype(np.uint16)
    with Store.local(tmp_path / "data") as store:
        case = store.add_case("A head", sample.image)
        record = store.add_session(case.id)
        store.append(record.id, 0, Defined(sample.labels[0]))
        inner = bounds(after)
        store.append(record.id, 1, Prompted(inner, 1, "graphcut"))
        store.answer(record.id, 1, Patch.between(np.zeros_like(after), after))
    out = tmp_path / "tumour.nii.gz"

    listed = said("export", "--folder", tmp_path / "data", "--json")
    code, printed, err = said("export", record.id, "-o", out, "--folder", tmp_path / "data")

    assert [entry["session"] for entry in json.loads(listed[1])] == [record.id]
    assert (code, printed, err) == (0, f"{out}: tumour.\n", "")
    assert np.array_equal(io.read_mask(out, sample.image), after)


def test_an_export_without_a_file_or_of_nothing_is_said(said, tmp_path):
    assert said("export", "--folder", tmp_path)[1] == "Nothing is annotated yet.\n"
    assert said("export", "abc", "--folder", tmp_path)[::2] == (
        2,
        "An export needs a file to write, for example -o masks.nii.gz; got none.\n",
    )

    code, _, err = said("export", "abc", "-o", tmp_path / "x.nii.gz", "--folder", tmp_path)

    assert code == 2
    assert "abc" in err


def test_the_doctor_tells_what_the_machine_is(said, tmp_path):
    code, out, _ = said("doctor", "--folder", tmp_path, "--json")

    values = json.loads(out)
    assert code == 0
    assert values["processor"]["cores"] >= 1
    assert values["interaction"]["median_ms"] > 0


def test_a_method_is_evaluated_with_a_robot(said, images, tmp_path):
    code, out, err = said(
        "evaluate", "--data", images, "--method", "graphcut", "--user", "box", "--interactions", 3,
        "--limit", 1, "--out", tmp_path / "report", "--json",
    )  # fmt: skip

    values = json.loads(out)
    assert code == 0
    assert (values["method"], values["user"]) == ("graphcut", "box")
    assert set(values["sets"]) == {"abdomen", "head", "skin"}
    assert set(values["sets"]["head"]) == {
        "cases", "objects", "dice", "nsd", "noc", "failures", "seconds_per_interaction", "seconds_to_open",
        "lowered", "worse_at_last", "quality_error", "quality_r", "peak_mb",
    }  # fmt: skip
    assert values["sets"]["head"]["dice"]["3"] > 0.7
    assert {"summary.json", "sets.csv", "dice.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert "Playing box" in err or err == ""  # a bar is drawn for people only


def test_an_evaluation_is_shown_as_a_table(said, images):
    code, out, _ = said(
        "evaluate", "--data", images / "head", "--method", "graphcut", "--user", "box", "--interactions", 2
    )

    assert code == 0
    assert re.match(r"set +cases +objects +dice@1 +dice@2 +seconds\nhead +1 +2 +0\.\d{3} +0\.\d{3} +", out)


@pytest.mark.parametrize("command", [("evaluate", "--method"), ("compare", "--methods")])
def test_without_matplotlib_the_table_is_printed_all_the_same(said, images, tmp_path, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    code, out, err = said(
        command[0], "--data", images / "skin", command[1], "graphcut", "--interactions", 1, "--out", tmp_path / "out"
    )

    assert code == 0
    assert "graphcut" in out or out.startswith("set ")
    assert str(tmp_path / "out") in out
    assert err.startswith("Plots need matplotlib: pip install 'segmend[report]'")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--user", "nobody"), "nobody"), (("--method", "magic"), "magic"), (("--split", "exam"), "exam")],
)
def test_an_evaluation_that_cannot_be_is_said(said, images, arguments, word):
    code, out, err = said("evaluate", "--data", images, "--method", "graphcut", *arguments)

    assert (code, out) == (2, "")
    assert word in err.splitlines()[-1]


def test_training_refuses_a_method_that_does_not_learn(said, tmp_path):
    code, _, err = said("train", "graphcut", "--data", tmp_path, "--out", tmp_path / "run")

    assert code == 2
    assert "graphcut" in err
    assert err.count("\n") == 1


def test_a_method_there_is_not_is_said_before_torch_is_missed(said, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "segmend.learning.loop", None)

    code, _, err = said("train", "bogus", "--data", tmp_path)

    assert code == 2
    assert err.startswith("The method 'bogus' cannot be trained; those that learn are ")


def test_training_refuses_a_setting_there_is_not(said, tmp_path):
    code, _, err = said("train", "mend", "--data", tmp_path, "--out", tmp_path / "run", "--set", "tempo=3")

    assert code == 2
    assert err.count("\n") == 1


def test_a_network_is_trained_and_its_weights_are_written(said, images, tmp_path):
    small = ["--set", "steps=1", "--set", "batch=1", "--set", "exam=2", "--set", "widths=[4, 4, 4, 4, 4, 4]"]

    code, out, err = said("train", "mend", "--data", images / "head", "--out", tmp_path / "run", *small, "--json")

    values = json.loads(out)
    assert code == 0
    parts = [tmp_path / "run" / name for name in ("mend2d_reader.onnx", "mend2d_refiner.onnx", "mend2d_head.npz")]
    assert all(part.is_file() for part in parts)
    assert values["weights"] == [str(part) for part in parts]
    assert values["steps"] == 1
    assert "step 1/1" in err


def test_starting_on_a_taken_port_is_said(said, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        code, _, err = said("start", "--no-browser", "--no-samples", "--port", port, "--folder", tmp_path)

    assert code == 2
    assert re.fullmatch(rf"The server cannot listen at 127\.0\.0\.1:{port}: .*\n", err)


@pytest.fixture
def started(tmp_path):
    """Start the annotator for real, with a method that is loaded at once; a browser notes what it was told to open."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "segmend", "start", "--port", "0", "--folder", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*command, "--method", "graphcut"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BROWSER": str(browser)},
    )
    line = process.stdout.readline()
    yield process, line, opened
    process.kill()
    process.communicate()


def test_start_opens_the_annotator_with_samples_and_ends_on_interrupt(started):
    process, line, opened = started
    address = re.match(r"Segmend is at (http://\S+) ", line)[1]
    bare, token = address.split("?token=")

    with urllib.request.urlopen(f"{bare}api/cases?token={token}", timeout=60) as reply:
        cases = json.load(reply)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert {tuple(case["shape"]) for case in cases} == {(64, 256, 256), (1, 320, 288), (1, 384, 512)}
    assert opened.read_text().strip() == bare  # the command line of a browser is for everybody to read
    assert "Traceback" not in err
    assert process.returncode in (0, 130, -signal.SIGINT)


def test_a_token_that_was_given_is_in_no_log(tmp_path):
    command = [sys.executable, "-m", "segmend", "start", "--port", "0", "--folder", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--no-browser", "--no-samples", "--method", "graphcut"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "SEGMEND_TOKEN": "correct-horse"},
    )
    address = re.match(r"Segmend is at (http://\S+) ", process.stdout.readline())[1]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{address}api/cases", timeout=60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)

    assert address.endswith("/") and "horse" not in said


def test_a_browser_is_led_to_a_token_by_a_page_that_others_cannot_read(tmp_path):
    settings = ServerSettings(tmp_path, token="correct&horse")

    opened = address_to_open("http://localhost:8765/?token=correct%26horse", settings)

    page = Path(urlsplit(opened).path)
    assert opened.startswith("file:///") and "horse" not in opened
    assert 'content="0;url=http://localhost:8765/?token=correct%26horse"' in page.read_text()
    assert page.parent == tmp_path and page.stat().st_mode & 0o777 == 0o600
    nowhere = ServerSettings(tmp_path / "none", token="correct&horse")
    assert address_to_open("http://localhost:8765/?token=correct%26horse", nowhere) == "http://localhost:8765/"


def test_an_interrupted_command_says_so(said, monkeypatch):
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "main", interrupted)

    assert said("methods") == (130, "", "Interrupted.\n")


def test_limits_of_a_server_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("SEGMEND_LIMIT", "max_upload_bytes=4e9 readers=3")
    given = start.make_context("start", []).params["limits"]
    assert limits_of(given) == {"max_upload_bytes": 4 * 10**9, "readers": 3}


def test_limits_of_a_server_are_set_by_name():
    assert limits_of(("max_image_bytes=4e9", "read_seconds=0.5")) == {"max_image_bytes": 4 * 10**9, "read_seconds": 0.5}
    for wrong in ("host=3", "readers", "readers=many", "readers=inf"):
        with pytest.raises(SettingsError, match="--limit needs NAME=NUMBER with a name among max_upload_bytes, "):
            limits_of((wrong,))
    with pytest.raises(SettingsError, match="The limit readers needs a number above 0; got 0"):
        limits_of(("readers=0",))


def test_what_claims_gigabytes_is_refused_in_a_sentence_before_it_is_unpacked(said, tmp_path):
    def part(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = part(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0))
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + part(b"fill", bytes(1_600_000)))

    code, out, err = said("convert", tmp_path / "photo.png", tmp_path / "photo.nii.gz")

    assert (code, out) == (2, "")
    assert err == "photo.png has 40000 x 40000 pixels; at most 178956970 are read of one picture.\n"


def test_a_store_is_verified(said, tmp_path):
    with Store.local(tmp_path) as store:
        case = store.add_case("head", make("head", shape=(1, 40, 40)).image).id
        store.add_session(case)
    assert said("check", "--folder", tmp_path)[:2] == (
        0,
        "1 cases, 1 blobs (0.0 MB), 1 sessions.\nNothing is damaged.\n",
    )
    path = tmp_path / "blobs" / "cases" / case / "image.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    code, out, err = said("check", "--folder", tmp_path, "--json")

    assert code == 1 and err == "1 thing is damaged; `segmend check --mend` mends what can be.\n"
    (damage,) = json.loads(out)["damage"]
    assert f"cases/{case}/image.npy is damaged: it has" in damage
    code, out, err = said("check", "--folder", tmp_path, "--mend")
    assert code == 2 and err == "1 thing is lost; see above.\n"
    assert said("verify", "--folder", tmp_path)[0] == 1  # its former name
    assert "Nothing else that is kept tells it; name a backup with --from" in out


def test_a_store_of_before_gets_checksums(said, tmp_path):
    folder = shutil.copytree(Path(__file__).parents[1] / "landed" / "store", tmp_path / "store")
    begun = said("check", "--folder", folder)[1]
    added = said("check", "--folder", folder, "--add")[1]
    after = said("check", "--folder", folder)[1]

    assert "3 blobs are of an older Segmend and have no checksums." in begun
    assert "3 blobs are of an older Segmend and now have checksums." in added
    assert "older" not in after and after.endswith("Nothing is damaged.\n")
