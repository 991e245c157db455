"""One case's result in every form that it can be written as, read back by what others read it with."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import dcmread

from segmend import __version__, io
from segmend.core.prompts import Click
from segmend.core.session import Defined, Label, Prompted, Session, Undone
from segmend.errors import FileError, SettingsError
from segmend.results.case_result import CaseResult, newest_result
from segmend.results.kinds import KINDS, kind_of, suffix_of, write_result
from segmend.results.pdf import Page
from segmend.results.provenance import origins_of
from tests.results.cases import GREEN, RED, fill, kidney_map, photograph, volume


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with fill(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def results(store) -> dict[str, CaseResult]:
    found = {case.name: newest_result(store, case.id) for case in store.cases()[:2]}
    return {name: result for name, result in found.items() if result is not None}


@pytest.fixture
def kidney(results) -> CaseResult:
    return results["CT, abdomen"]


@pytest.fixture
def mole(results) -> CaseResult:
    return results["mole"]


def written(result: CaseResult, suffix: str, folder: Path, **options: bool) -> Path:
    write_result(folder / f"one{suffix}", result, suffix, **options)
    return folder / f"one{suffix}"


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".dcm", ".rtstruct.dcm"])
def test_masks_come_back(kidney, tmp_path, suffix):
    path = written(kidney, suffix, tmp_path)

    assert (io.read_mask(path, volume()) == kidney_map()).all()


def test_a_segmentation_says_what_made_each_segment(kidney, tmp_path):
    log = json.loads(written(kidney, ".provenance.json", tmp_path).read_text())
    for segment, label in zip(dcmread(written(kidney, ".dcm", tmp_path)).SegmentSequence, log["labels"], strict=True):
        [made] = segment.SegmentationAlgorithmIdentificationSequence
        assert (made.AlgorithmName, made.AlgorithmVersion) == ("Segmend", __version__)
        assert made.AlgorithmParameters == f"marks=1,marks-sha256={label['marks_sha256']}"
        [event] = [one["event"] for one in log["events"] if one["event"].get("label") == label["value"]]
        line = json.dumps(event, sort_keys=True, separators=(",", ":")) + "\n"
        assert hashlib.sha256(line.encode()).hexdigest() == label["marks_sha256"]


def test_the_origin_of_a_label_is_its_own_marks_that_are_in_effect():
    def put(session: Session, label: int, method: str, *index: int) -> Session:
        return session.add(Prompted(Click(index), label, method))

    session = Session((1, 4, 4)).add(Defined(Label(1, "one", RED))).add(Defined(Label(2, "two", GREEN)))
    first = put(put(session, 1, "mend", 0, 1, 1), 1, "graphcut", 0, 2, 2)
    with_another = put(first, 2, "mend", 0, 3, 3)
    taken_back = put(with_another, 1, "geos", 0, 0, 0).add(Undone())
    origin = origins_of(first)[1]

    assert (origin.methods, origin.marks) == (("mend", "graphcut"), 2)
    assert origins_of(with_another)[1] == origins_of(taken_back)[1] == origin
    assert origins_of(first)[2].marks == 0 and origins_of(with_another)[2].methods == ("mend",)
    assert origins_of(first.add(Undone()))[1] not in (origin, origins_of(put(session, 1, "mend", 0, 1, 2))[1])


def test_a_pictures_masks_are_seen_over_it_pixel_by_pixel(mole, tmp_path):
    seen = np.asarray(Pillow.open(written(mole, ".overlay.png", tmp_path)))

    rgb = np.moveaxis(photograph().voxels[:, 0], 0, -1)
    assert seen.shape == (20, 30, 3)
    assert (seen[:4] == rgb[:4]).all()
    assert (seen[5, 8] == GREEN).all() and (seen[14, 19] == GREEN).all()  # the outline
    tinted = rgb[9, 12] + 0.3 * (np.asarray(GREEN) - rgb[9, 12])
    assert np.abs(seen[9, 12] - tinted).max() <= 1


def test_a_volumes_overlay_shows_three_planes_in_proportion(kidney, tmp_path):
    seen = np.asarray(Pillow.open(written(kidney, ".overlay.png", tmp_path)))

    # 24 mm high, 18 mm deep, 12 mm wide: each plane's longer side has 720 pixels
    assert seen.shape == (720, 720 * 12 // 18 + 720 * 12 // 24 + 720 * 18 // 24 + 16, 3)
    assert (seen == RED).all(axis=-1).sum() > 500 and (seen == GREEN).all(axis=-1).sum() > 100


def test_the_table_has_a_row_a_label_and_no_formula(kidney, tmp_path):
    with written(kidney, ".csv", tmp_path).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["label"] for row in rows] == ["Left kidney", "'=stone"]
    assert [row["voxels"] for row in rows] == ["132", "8"]
    assert float(rows[1]["volume_ml"]) == pytest.approx(0.064)
    assert rows[1]["unit"] == "mm" and rows[0]["status"] == "done"
    inside = volume().voxels[0][kidney_map() == 3]
    assert float(rows[1]["mean"]) == pytest.approx(inside.mean()) and float(rows[1]["max"]) == inside.max()
    assert "patient" not in rows[0] and "DOE" not in (tmp_path / "one.csv").read_text()
    assert "DOE^JANE 77" in written(kidney, ".csv", tmp_path, anonymous=False).read_text()


def streams(pdf: bytes) -> list[bytes]:
    return [zlib.decompress(data) for data in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)]


def test_the_report_is_one_page_with_three_planes_of_each_label(kidney, tmp_path):
    pdf = written(kidney, ".pdf", tmp_path).read_bytes()

    assert pdf.startswith(b"%PDF-1.4") and pdf.count(b"/Type /Page ") == 1
    places = [int(place) for place in re.findall(rb"(\d{10}) 00000 n", pdf)]
    assert all(pdf[place:].startswith(f"{number} 0 obj".encode()) for number, place in enumerate(places, 1))
    start = int(re.search(rb"startxref\n(\d+)", pdf)[1])
    assert pdf[start:].startswith(b"xref")
    assert pdf.count(b"/Subtype /Image") == 6
    sizes = [(int(w), int(h)) for w, h in re.findall(rb"/Width (\d+) /Height (\d+)", pdf)]
    page, *pictures = streams(pdf)
    assert [len(picture) for picture in pictures] == [3 * w * h for w, h in sizes]
    for words in (b"(CT, abdomen)", b"(Left kidney)", b"(0.064 ml)", b"accepted by bert", b"seen twice", b"by anna"):
        assert words in page, words
    assert b"DOE" not in page
    assert b"DOE^JANE 77" in streams(written(kidney, ".pdf", tmp_path, anonymous=False).read_bytes())[0]


def test_a_report_on_a_photograph_has_one_picture_and_pixels(mole, tmp_path):
    pdf = written(mole, ".pdf", tmp_path).read_bytes()

    assert pdf.count(b"/Subtype /Image") == 1 and b"(120 px)" in streams(pdf)[0]


def test_letters_that_the_page_has_not_do_not_break_it():
    page = Page("\u809d\u81d3")
    page.text(10, 10, "Gr\xf6\xdfe (\u809d) \\")

    pdf = page.to_bytes()

    assert b"/Title (??)" in pdf and b"(Gr\xf6\xdfe \\(?\\) \\\\)" in streams(pdf)[0]


def test_the_log_says_who_did_what_when_and_hides_the_patient(kidney, tmp_path):
    log = json.loads(written(kidney, ".provenance.json", tmp_path).read_text())

    assert [entry["event"]["event"] for entry in log["events"]] == ["defined", "prompted", "defined", "prompted"]
    assert {entry["user"] for entry in log["events"]} == {"anna"} and log["events"][0]["time"].startswith("20")
    assert log["in_effect"] == [0, 1, 2, 3] and [one["voxels"] for one in log["labels"]] == [132, 8]
    assert len(log["mask"]["sha256"]) == len(log["image"]["sha256"]) == 64
    assert "DOE" not in json.dumps(log)
    assert json.loads(written(kidney, ".provenance.json", tmp_path, anonymous=False).read_text())["case"]["patient"]


def test_what_does_not_fit_is_refused(kidney, mole, tmp_path):
    with pytest.raises(FileError, match="A surface needs a volume; this image is a single slice"):
        written(mole, ".stl", tmp_path)
    with pytest.raises(FileError, match="A surface cannot keep its patient"):
        written(kidney, ".glb", tmp_path, anonymous=False)
    with pytest.raises(FileError, match="slice"):
        written(kidney, ".png", tmp_path)
    with pytest.raises(SettingsError, match=r"A result can be written as \.nii\.gz.*; got '\.docx'"):
        kind_of(".docx")
    with pytest.raises(FileError, match=r"one\.docx needs a name that ends in \.nii\.gz"):
        suffix_of(Path("one.docx"))
    assert list(tmp_path.iterdir()) == []


def test_every_kind_says_what_it_can_be_made_of(kidney, mole, tmp_path):
    for result in (kidney, mole):
        for suffix, kind in KINDS.items():
            if kind.fits(flat=result.image.flat):
                assert written(result, suffix, tmp_path).stat().st_size > 0
