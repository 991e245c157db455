"""What others say of what we write: dciodvfy and dcmqi of DICOM masks, BIDS' own validator of data sets."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.session import PALETTE, Label
from segmend.datasets.folder import WRITERS
from segmend.datasets.writing import Entry
from segmend.io import images, read_mask, write_mask
from tests.io import dicoms
from tests.viewers.clients import VIEWERS, need, python_of

SHAPE = (6, 12, 10)
LABELS = [Label(1, "liver", PALETTE[0]), Label(2, "something else", PALETTE[1])]
GRIDS = {
    "axial": {},
    "oblique": {"row": (0.8, 0.6, 0), "column": (-0.36, 0.48, 0.8), "step": (1.44, -1.92, 1.8)},
    "coronal": {"row": (1, 0, 0), "column": (0, 0, -1), "step": (0, 2, 0)},
}


@pytest.fixture(scope="module", params=GRIDS)
def written(request, tmp_path_factory):
    """Masks of a series, as a segmentation and a structure set."""
    folder = tmp_path_factory.mktemp(request.param)
    voxels = np.random.default_rng(0).integers(0, 2000, SHAPE, np.int16)
    source = dicoms.save_all(dicoms.slices(voxels, **GRIDS[request.param]), folder / "series")
    ((_, found),) = images(source)
    image = found()
    masks = np.zeros(SHAPE, np.uint16)
    masks[1:4, 2:9, 3:7], masks[3:6, 5:8, 6:9], masks[0, 0, 0] = 1, 2, 2
    for name in ("mask.dcm", "mask.rtstruct.dcm"):
        write_mask(folder / name, masks, image, LABELS, source=source, anonymous=False)
    return folder, image, masks


@pytest.mark.parametrize("name", ["mask.dcm", "mask.rtstruct.dcm"])
def test_their_form_is_what_the_standard_says(written, name):
    judge = need(VIEWERS / "dicom3tools/usr/bin/dciodvfy", "dciodvfy")
    run = subprocess.run([judge, written[0] / name], capture_output=True, text=True, check=False)
    said = (run.stdout + run.stderr).splitlines()

    assert [line for line in said if line.startswith("Error")] == []
    assert any("Segmentation" in line or "RTStructureSet" in line for line in said), said


def test_another_reader_finds_the_same_voxels(written, tmp_path):
    folder, image, masks = written
    home = need(VIEWERS / "dcmqi", "dcmqi")
    program = Path(python_of(home)).with_name("segimage2itkimage")
    command = [program, "--inputDICOM", folder / "mask.dcm", "--outputDirectory", tmp_path]
    subprocess.run([*command, "--outputType", "nrrd"], check=True, capture_output=True)

    said = json.loads((tmp_path / "meta.json").read_text())
    names = [one["SegmentLabel"] for (one,) in said["segmentAttributes"]]
    assert names == ["liver", "something else"]
    for value in (1, 2):
        np.testing.assert_array_equal(read_mask(tmp_path / f"{value}.nrrd", image) > 0, masks == value)


def test_bids_validator_finds_no_error_in_a_data_set_nor_in_its_masks(tmp_path):
    home = need(VIEWERS / "bids", "BIDS' validator")
    program = Path(python_of(home)).with_name("bids-validator-deno")
    writer = WRITERS["bids"](tmp_path / "set")
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:4, 2:9, 3:7], labels[5, 5:8, 6:9] = 1, 2
    cases = [("sub-01_ses-1_T1w", "MR", 1), ("sub-01_ses-1_FLAIR", "MR", 1), ("lung 7", "CT", 1), ("two", "MR", 2)]
    for name, modality, channels in cases:
        voxels = np.random.default_rng(0).integers(0, 2000, (channels, *SHAPE), np.int16)
        entry = Entry(
            name, Image(voxels, scale_affine((3, 1, 1))), labels, {1: "Liver", 2: "Tumour"}, "train", modality
        )
        writer.add(entry)
    writer.finish()

    for folder, subjects in (
        (writer.folder, {"01"}),  # what BIDS knows; the others are in .bidsignore
        (writer.folder / "derivatives" / "segmend", {"01", "sub01ses1FLAIR", "lung7", "two"}),
    ):
        environment = {**os.environ, "HOME": str(tmp_path), "NO_COLOR": "1"}
        run = subprocess.run([program, "--json", folder], capture_output=True, text=True, check=False, env=environment)
        said = json.loads(run.stdout)
        assert [issue for issue in said["issues"]["issues"] if issue["severity"] == "error"] == []
        assert set(said["summary"]["subjects"]) == subjects
