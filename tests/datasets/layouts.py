"""The papers' public sets in miniature: folders laid out as the real ones are, with real files of their formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from segmend import io
from segmend.core.image import Image, scale_affine
from tests.io.dicoms import save, slices

SPACING = (3.0, 2.0, 0.5)
TRUTH = np.zeros((4, 9, 12), np.uint16)
TRUTH[1:3, 2:8, 3:11] = 1
TRUTH[2, 3:6, 4:8] = 2
BORDER = np.zeros((20, 30), bool)
BORDER[4:15, 6:26] = True


def volume(path: Path, offset: int = 0) -> None:
    """Write an image that is brighter where the label is higher."""
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write_image(path, Image((TRUTH[None] * 40 + 10 + offset).astype(np.int16), scale_affine(SPACING)))


def truth(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write_mask(path, TRUTH, Image(TRUTH[None], scale_affine(SPACING)), [])


def picture(path: Path, *, colour: bool = True) -> None:
    """Write a photograph of a dark lesion."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tones = np.where(BORDER, 70, 200).astype(np.uint8)
    Pillow.fromarray(np.stack([tones, tones // 2, tones // 3], axis=-1) if colour else tones).save(path)


def border(path: Path, mode: str = "L") -> None:
    """Write its border: "1" a bit a pixel, "L" grey, "RGB" in three colours alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(BORDER.astype(np.uint8) * 255).convert(mode).save(path)


def write_ircad(folder: Path, patients: int = 4) -> None:
    liver = TRUTH == 1
    for number in range(1, patients + 1):
        patient = folder / f"3Dircadb1.{number}"
        scan = slices((TRUTH * 40 + 10).astype(np.int16), frame="1.2.3")
        masks = slices(liver.astype(np.uint8) * 255, frame="1.2.3")
        for part, series in (("PATIENT_DICOM", scan), ("MASKS_DICOM/liver", masks), ("MASKS_DICOM/bone", masks)):
            (patient / part).mkdir(parents=True)
            for index, one in enumerate(series):
                save(one, patient / part / f"image_{index}")


def write_brats2015(folder: Path) -> None:
    for grade, names in (
        ("HGG", ("brats_2013_pat0001_1", "brats_tcia_pat105_0001")),
        ("LGG", ("brats_2013_pat0001_1",)),
    ):
        for name in names:
            for number, part in enumerate(("MR_Flair", "MR_T1", "MR_T1c", "MR_T2")):
                file = f"VSD.Brain.XX.O.{part}.{54512 + number}"
                volume(folder / grade / name / file / f"{file}.mha", offset=number)
            kind = "VSD.Brain_3more.XX.O.OT.54517"
            truth(folder / grade / name / kind / f"{kind}.mha")


def write_brats2018(folder: Path) -> None:
    for where in ("HGG/Brats18_2013_10_1", "LGG/Brats18_TCIA09_141_1", "HGG/Brats18_CBICA_AAB_1"):
        name = Path(where).name
        for number, part in enumerate(("flair", "t1", "t1ce", "t2")):
            volume(folder / where / f"{name}_{part}.nii.gz", offset=number)
        truth(folder / where / f"{name}_seg.nii.gz")


def write_btcv(folder: Path, images: str, labels: str) -> None:
    for number in (1, 2, 10):
        volume(folder / images / f"img{number:04d}.nii.gz")
        truth(folder / labels / f"label{number:04d}.nii.gz")


def write_decathlon(folder: Path) -> None:
    names = ["spleen_2", "spleen_3", "spleen_10"]
    for name in names:
        volume(folder / "imagesTr" / f"{name}.nii.gz")
        truth(folder / "labelsTr" / f"{name}.nii.gz")
    (folder / "imagesTr" / "._spleen_2.nii.gz").write_bytes(b"what a Mac leaves")
    pairs = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    told = {"name": "Spleen", "labels": {"0": "background", "1": "spleen"}, "training": pairs, "test": ["./imagesTs/x"]}
    (folder / "dataset.json").write_text(json.dumps(told))


def write_ph2(folder: Path) -> None:
    for name in ("IMD002", "IMD003", "IMD004"):
        picture(folder / "PH2 Dataset images" / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        border(folder / "PH2 Dataset images" / name / f"{name}_lesion" / f"{name}_lesion.bmp", "1")
    (folder / "PH2_dataset.xlsx").write_bytes(b"a table")


def write_isic2017(folder: Path, parts: tuple[str, ...] = ("Training", "Validation", "Test_v2")) -> None:
    for number, part in enumerate(parts):
        for name in (f"ISIC_000000{number}", f"ISIC_000001{number}"):
            picture(folder / f"ISIC-2017_{part}_Data" / f"{name}.jpg")
            (folder / f"ISIC-2017_{part}_Data" / f"{name}_superpixels.png").write_bytes(b"not looked at")
            border(folder / f"ISIC-2017_{part}_Part1_GroundTruth" / f"{name}_segmentation.png")


def write_pairs(folder: Path) -> None:
    picture(folder / "images" / "a.jpg")
    border(folder / "masks" / "a.png")
    picture(folder / "images" / "b.bmp", colour=False)
    border(folder / "masks" / "b_mask.bmp", "RGB")
    picture(folder / "images" / "c.v2.png")
    border(folder / "masks" / "c.v2_segmentation.tif", "RGB")
    (folder / "images" / "Thumbs.db").write_bytes(b"what Windows leaves")
