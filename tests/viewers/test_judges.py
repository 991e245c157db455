"""What others say of what we write: dciodvfy and dcmqi of DICOM masks; BIDS' own validator and nnU-Net of data sets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segmend.cli import run
from segmend.core.image import Image, scale_affine
from segmend.core.session import PALETTE, Label
from segmend.datasets.folder import WRITERS
from segmend.datasets.writing import Entry
from segmend.io import images, read_mask, write_mask
from segmend.store import Store
from tests.io import dicoms
from tests.results.cases import annotate
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


RESERVED = [Label(1, "ignore", PALETTE[0]), Label(2, "background", PALETTE[1])]  # names that mean something to nnU-Net
NNUNET = {  # the images of a project, and what nnU-Net is to see in them
    "ct": (1, SHAPE, np.int16, scale_affine((3, 1, 1)), "CT", ["CTNormalization"]),
    "sequences": (2, SHAPE, np.float32, None, "MR", ["ZScoreNormalization"] * 2),
    "photographs": (3, (1, 24, 30), np.uint8, scale_affine((1, 1, 1)), "XC", ["ZScoreNormalization"] * 3),
    "radiographs": (1, (1, 24, 30), np.uint16, scale_affine((1, 2, 2)), "DX", ["ZScoreNormalization"]),
}


def oblique() -> np.ndarray:
    """Return the affine of a grid that lies askew, with steps of 3, 0.7 and 0.8 mm."""
    turned, _ = np.linalg.qr([[0.3, -0.2, 0.9], [-0.1, 0.9, 0.3], [0.95, 0.2, -0.2]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turned * (3, 0.7, 0.8), (-80.3, 12.7, 7)
    return affine


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """What nnU-Net says of the projects of a store that were written for it, and the folders."""
    home = need(VIEWERS / "nnunet", "nnU-Net")
    folder = tmp_path_factory.mktemp("nnunet")
    with Store.local(folder / "store") as store:
        for name, (channels, shape, dtype, affine, modality, _) in NNUNET.items():
            store.add_project(name)
            for number, split in enumerate(["train", "train", "val", "test"]):
                voxels = np.random.default_rng(number).integers(0, 200, (channels, *shape)).astype(dtype)
                image = Image(voxels, oblique() if affine is None else affine, axes="zyx")
                case = store.add_case(f"{name} {number}", image, project=name, modality=modality, split=split)
                values = np.zeros(shape, np.uint16)
                values[..., 2:9, 3:7], values[..., 5:8, 6:9] = 1, 2
                annotate(store, case, values, RESERVED if name == "sequences" else LABELS)
    sets = [folder / name / "Dataset001_Segmend" for name in NNUNET]
    for one in sets:
        words = ["export", "--project", one.parent.name, "--layout", "nnunet", "-o", str(one.parent)]
        assert run([*words, "--folder", str(folder / "store")]) == 0
    (folder / "prepared").mkdir()
    command = [sys.executable, str(Path(__file__).with_name("nnunet_judge.py")), folder / "prepared", *sets]
    environment = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (one, line) for name, one, line in zip(NNUNET, sets, lines, strict=True)}


@pytest.mark.parametrize("name", NNUNET)
def test_nnunet_takes_a_project_and_learns_from_all_but_its_test_cases(judged, name):
    folder, found = judged[name]
    channels, shape, _, affine, _, normalized = NNUNET[name]

    assert "refused" not in found, found
    assert found["cases"] == [f"{name}-{number}" for number in range(3)] and found["said"] == []
    assert sorted(path.name for path in (folder / "imagesTs").iterdir()) == [
        f"{name}-3_{channel:04d}.nii.gz" for channel in range(channels)
    ]
    assert [path.name for path in (folder / "labelsTs").iterdir()] == [f"{name}-3.nii.gz"]
    assert found["size"] == list(shape)
    pixel = (0.7, 0.8) if affine is None else (affine[1, 1], affine[0, 2])
    np.testing.assert_allclose(found["spacing"][1:], pixel)
    planned = {"2d": normalized} if shape[0] == 1 else {"2d": normalized, "3d_fullres": normalized}
    assert found["configurations"] == planned
