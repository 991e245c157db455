"""DICOM masks that are cut short anywhere: refused, never read as the outlines or frames that are left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.errors import FileError

IMAGE = Image(np.zeros((1, 3, 8, 9), np.int16), scale_affine((3, 2, 1.5)))
MASK = np.zeros(IMAGE.shape, np.uint16)
MASK[:2, 1:6, 2:7] = 1
MASK[0, 3, 4] = 0
MASK[2, 4:8, 3:5] = 2
LABELS = [Label(1, "liver", (230, 75, 60)), Label(2, "spleen", (60, 160, 230))]


def as_it_is(_: Dataset) -> dict[str, object]:
    return {}


def without_lengths(data: Dataset) -> dict[str, object]:
    """Give sequences, and the sequences in them, no length of their own, as many programs write them."""
    for element in data:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                without_lengths(item)
    return {}


def encoded(syntax: str) -> Callable[[Dataset], dict[str, object]]:
    def change(data: Dataset) -> dict[str, object]:
        data.file_meta.TransferSyntaxUID = syntax
        return {"implicit_vr": False, "little_endian": syntax != ExplicitVRBigEndian, "force_encoding": True}

    return change


FORMS: dict[str, tuple[str, Callable[[Dataset], dict[str, object]]]] = {
    "structures": (".rtstruct.dcm", as_it_is),
    "structures-without-lengths": (".rtstruct.dcm", without_lengths),
    "structures-explicit": (".rtstruct.dcm", encoded(ExplicitVRLittleEndian)),
    "structures-big-endian": (".rtstruct.dcm", encoded(ExplicitVRBigEndian)),
    "structures-deflated": (".rtstruct.dcm", encoded(DeflatedExplicitVRLittleEndian)),
    "segmentation": (".dcm", as_it_is),
    "segmentation-without-lengths": (".dcm", without_lengths),
}


@pytest.mark.filterwarnings("ignore")  # pydicom's on what is missing
@pytest.mark.parametrize("form", list(FORMS))
def test_a_dicom_mask_that_is_cut_is_refused(form: str, tmp_path: Path) -> None:
    suffix, change = FORMS[form]
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    io.write_mask(whole, MASK, IMAGE, LABELS)
    data = dcmread(whole)
    dcmwrite(whole, data, **change(data))
    content = whole.read_bytes()

    assert np.array_equal(io.read_mask(whole, IMAGE), MASK)
    for length in range(len(content) - 1, 0, -max(1, len(content) // 150)):
        cut.write_bytes(content[:length])
        found = None
        with suppress(FileError):
            found = io.read_mask(cut, IMAGE)
        assert found is None or np.array_equal(found, MASK), f"cut at byte {length} of {len(content)}"


@pytest.mark.filterwarnings("ignore")
def test_a_cut_structure_set_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mask.rtstruct.dcm"
    io.write_mask(path, MASK, IMAGE, LABELS)
    content = path.read_bytes()
    outlines = content.index(b"\x06\x30\x39\x00")  # ROIContourSequence, (3006,0039)

    path.write_bytes(content[: outlines + 60])
    with pytest.raises(FileError, match=r"is cut short: [0-9]+ bytes are needed at byte [0-9]+, and there are"):
        io.read_mask(path, IMAGE)
    path.write_bytes(content[:outlines])
    with pytest.raises(FileError, match="is cut short: a structure set has outlines, and this one ends before them"):
        io.read_mask(path, IMAGE)
    path.write_bytes(content[: outlines - 10])
    with pytest.raises(FileError, match="is cut short"):
        io.mask_names(path)


def test_a_structure_set_may_end_in_zeros(tmp_path: Path) -> None:
    path = tmp_path / "mask.rtstruct.dcm"
    io.write_mask(path, MASK, IMAGE, LABELS)
    path.write_bytes(path.read_bytes() + bytes(5))

    assert np.array_equal(io.read_mask(path, IMAGE), MASK)
