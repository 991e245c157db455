"""Damaged files of every format: each is read, or refused in one sentence, soon, and never with huge memory.

`make fuzz` tries the same for as long as one likes; here a fixed seed makes 10,000 files.
"""

from __future__ import annotations

import io as streams
import re
import tracemalloc
import warnings
from pathlib import Path
from random import Random

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmend import io
from tests.fuzz import readers
from tests.fuzz.damage import damaged
from tests.fuzz.files import FILES, IMAGE, MASK, MASKS, VOXELS
from tests.fuzz.readers import PEAK, fuzz, try_readers
from tests.fuzz.readers import sound as valid


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


# Files of each kind that are tried here, 10,000 in all: reading DICOM takes five times as long as the others.
COUNTS = {kind: 190 if kind.startswith("dicom") or kind == "zip" else 336 for kind in FILES}
SEED = 2026


@pytest.mark.parametrize("kind", list(FILES))
def test_damaged_files_are_read_or_refused_soon_and_in_little_memory(kind: str, folder: Path) -> None:
    found = fuzz(kind, range(COUNTS[kind]), SEED, folder)

    assert found.faults == []
    assert found.outcomes["refused"] > 0.05 * found.tried


def test_so_many_files_are_tried() -> None:
    assert sum(COUNTS.values()) >= 10_000


@pytest.mark.parametrize("kind", list(FILES))
def test_damage_that_once_claimed_hundreds_of_megabytes_is_refused(kind: str, folder: Path) -> None:
    data = valid(kind, folder)
    without_a_byte = data[:128] + data[129:]  # a tag of an OME-TIFF claimed 430 MB
    with_another = bytearray(data)
    with_another[int(0.3828125 * min(len(data), 700))] = 17  # a part of a PNG claimed 285 MB
    path = folder / "claims"

    for changed in (without_a_byte, bytes(with_another)):
        path.write_bytes(changed)
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try_readers(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < PEAK


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(
        [b"", b"NRRD0004\n", b"ObjectType = Image\nNDims = 3\n", b"II*\0", b"MM\0*", b"\x1f\x8b\x08", b"PK\x03\x04",
         b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM", b"\x08\0\x05\0",
         b"\x5c\x01\0\0" + bytes(340) + b"n+1\0"]
    ),
    rest=st.binary(max_size=600),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_noise_behind_a_magic_word_is_refused(start: bytes, rest: bytes, folder: Path) -> None:
    path = folder / "noise"
    path.write_bytes(start + rest)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try_readers(path)


@pytest.mark.parametrize("kind", [k for k in FILES if "jpeg" not in k and "ome" not in k])
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_anywhere_is_refused_or_whole_enough(kind: str, folder: Path) -> None:
    data = valid(kind, folder)
    path = folder / "cut"
    for part in (0.02, 0.1, 0.3, 0.6, 0.95):
        path.write_bytes(data[: int(len(data) * part)])
        try_readers(path)


@pytest.mark.parametrize("kind", ["nifti", "analyze"])
@pytest.mark.filterwarnings("ignore")
def test_a_pair_with_a_damaged_header_is_read_or_refused(kind: str, folder: Path) -> None:
    made = nibabel.Nifti1Pair if kind == "nifti" else nibabel.AnalyzeImage
    path = folder / "pair.hdr"
    (folder / "pair.img").write_bytes(VOXELS.tobytes())
    header = streams.BytesIO()
    made(VOXELS.T, np.eye(4)).header.write_to(header)

    for number in range(150):
        path.write_bytes(damaged(header.getvalue(), Random(number)))
        try_readers(path)


@pytest.mark.parametrize("kind", list(FILES))
def test_the_files_to_damage_are_sound(kind: str, folder: Path) -> None:
    path = folder / "sound"
    path.write_bytes(valid(kind, folder))

    if kind in MASKS:
        assert np.array_equal(io.read_mask(path, IMAGE), MASK)
    else:
        assert io.read(path).voxels.size


def test_a_traceback_and_much_memory_are_findings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> str:
        assert np.ones(PEAK // 4).any()  # twice as much as is allowed
        raise KeyError("a traceback")

    monkeypatch.setattr(readers, "try_readers", fail)
    found = fuzz("png", range(1), SEED, folder)

    assert found.outcomes == {"fault": 1}
    assert "png 0 2026: " in found.faults[0] and "KeyError" in found.faults[0]
    assert readers.peak() == 0 or re.fullmatch(r"png 0 2026: took \d+ MB.*", found.faults[1])
