"""What others say of our DICOM masks: dciodvfy of their form, dcmqi of their voxels, and of the files we give out."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segmend.core.session import PALETTE, Label
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
