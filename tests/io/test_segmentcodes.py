"""Every code of the table is the DICOM standard's, and names find theirs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

from segmend import io
from segmend.core.image import Image
from segmend.core.session import Label
from segmend.io.segmentcodes import BOTH, CATEGORIES, LEFT, RIGHT, TABLE, UNKNOWN, codes_of, structures

GROUPS = {"structure": (7192, 8134), "tissue": (7191,), "abnormality": (7194,), "substance": (7197,)}  # by category


def standard(*groups: int) -> set[tuple[str, str]]:
    """Return SNOMED CT's codes in context groups, each with its meanings, by pydicom's copy of the standard."""
    keywords = {keyword for group in groups for keyword in cid_concepts[group].get("SCT", [])}
    return {(code, meaning) for k in keywords for code, (meaning, _) in concepts["SCT"][k].items()}


def table() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_code_is_of_the_context_group_of_its_category() -> None:
    wrong = [row for row in table() if (row["code"], row["meaning"]) not in standard(*GROUPS[row["category"]])]

    assert wrong == []
    assert {(c.value, c.meaning) for c in CATEGORIES.values()} <= standard(7150)
    assert {(c.value, c.meaning) for c in (LEFT, RIGHT, BOTH)} <= standard(244)


def test_every_name_is_there_once_and_finds_its_code() -> None:
    names = [(name, row) for row in table() for name in row["names"].split("; ")]

    assert {name for name, row in names if codes_of(name).type.value != row["code"]} == set()
    assert len({name for name, _ in names}) == len(names)
    assert len({row["code"] for row in table()}) == len(table())


@pytest.mark.parametrize(
    ("name", "meaning", "side"),
    [
        ("Liver", "Liver", None),
        ("LIVERS ", "Liver", None),
        ("kidney_left", "Kidney", LEFT),
        ("Kidney, R", "Kidney", RIGHT),
        ("L kidney", "Kidney", LEFT),
        ("Left and right lungs", "Lung", BOTH),
        ("both kidneys", "Kidney", BOTH),
        ("lung_upper_lobe_left", "Upper lobe of lung", LEFT),
        ("rib_left_7", "Rib", LEFT),
        ("vertebrae_L5", "L5 vertebra", None),
        ("L 5", None, None),
        ("Left ventricle", "Left ventricle", None),
        ("heart_atrium_right", "Right atrium", None),
        ("lateral ventricle, left", "Lateral Ventricle", LEFT),
        ("tumour 2", "Neoplasm", None),
        ("oesophagus", "Esophagus", None),
        ("Head of femur", None, None),
        ("label 3", None, None),
        ("object", None, None),
        ("left", None, None),
        ("liver tumour", None, None),
        ("", None, None),
        ("печень", None, None),
    ],
)
def test_names_find_their_code_and_others_are_tissue(name: str, meaning: str | None, side: object) -> None:
    found = codes_of(name)

    if meaning is None:
        assert found == UNKNOWN
    else:
        assert (found.type.meaning, found.side) == (meaning, side)


@pytest.mark.parametrize("suffix", [".dcm", ".rtstruct.dcm"])
def test_a_dicom_mask_carries_the_codes(suffix: str, tmp_path: Path) -> None:
    mask = np.zeros((2, 3, 4), np.uint16)
    mask[0, 1, :3] = (1, 2, 3)
    labels = [Label(1, "kidney_left", (9, 9, 9)), Label(2, "lesion", (99, 9, 9)), Label(3, "thing", (9, 99, 9))]

    io.write_mask(tmp_path / f"m{suffix}", mask, Image(np.zeros((1, 2, 3, 4), np.int16)), labels)

    ds = dcmread(tmp_path / f"m{suffix}")
    if suffix == ".dcm":
        parts = [(s.SegmentedPropertyCategoryCodeSequence[0], s.SegmentedPropertyTypeCodeSequence[0])
                 for s in ds.SegmentSequence]  # fmt: skip
    else:
        parts = [(o.SegmentedPropertyCategoryCodeSequence[0], o.RTROIIdentificationCodeSequence[0])
                 for o in ds.RTROIObservationsSequence[:2]]  # fmt: skip
        assert "RTROIIdentificationCodeSequence" not in ds.RTROIObservationsSequence[2]
        parts.append((None, None))
    kidney, lesion, thing = parts
    assert [c.CodeValue for c in kidney] == ["91723000", "64033007"]
    assert kidney[1].CodingSchemeDesignator == "SCT"
    assert kidney[1].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert [c.CodeMeaning for c in lesion] == ["Morphologically Abnormal Structure", "Lesion"]
    assert "SegmentedPropertyTypeModifierCodeSequence" not in lesion[1]
    if suffix == ".dcm":
        assert [c.CodeMeaning for c in thing] == ["Tissue", "Tissue"]


def test_a_search_finds_beginnings_of_words_and_says_the_side() -> None:
    assert {one.name for one in structures("")} == {one.name for one in structures("", 50)}
    assert len(structures("", 500)) == len(table())
    assert [one.name for one in structures("liv")][:1] == ["Liver"]
    [kidney] = [one for one in structures("right kidn") if one.codes.type.meaning == "Kidney"]
    assert kidney.name == "Right kidney" and kidney.codes == codes_of(kidney.name)
    assert structures("left ventricle")[0].codes.side is None
    assert structures("nothing of the kind") == []
    assert structures("left lung")[0].name == "Left lung"
    assert structures("both lungs") == [] and structures("both lung")[0].codes.side == BOTH


def test_a_labels_own_code_is_written_whatever_it_is_called(tmp_path: Path) -> None:
    label_map = np.ones((1, 4, 5), np.uint16)
    io.write_mask(
        tmp_path / "a.dcm",
        label_map,
        Image(np.zeros((1, 1, 4, 5))),
        [Label(1, "GTV", (1, 2, 3), codes=codes_of("left kidney"))],
    )

    kind = dcmread(tmp_path / "a.dcm").SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodeMeaning) == ("64033007", "Kidney")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
