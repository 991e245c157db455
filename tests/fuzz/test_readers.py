"""Damaged files of every format: each is read, or refused in one sentence, and never with huge memory.

Valid files are cut, flipped bit by bit, and edited in their headers. Whatever comes out of a
reader that is not an image or a SegmendError fails the test, and so does a peak of memory
that the file's few kilobytes cannot justify.
"""

from __future__ import annotations

import gzip
import io as streams
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.errors import SegmendError
from segmend.io.sizes import FLOOR
from tests.io.dicoms import enhanced, save, slices

VOXELS = (np.arange(3 * 40 * 48).reshape(3, 40, 48) % 1999).astype(np.int16)
IMAGE = Image(VOXELS[None], scale_affine((3, 2, 1.5)))
MASK = np.zeros(VOXELS.shape, np.uint16)
MASK[:2, 5:30, 7:21] = 1
MASK[0, 9:12, 9:12] = 0
LABELS = [Label(1, "liver", (230, 75, 60))]
PEAK = 4 * FLOOR  # bytes


def written(write: Callable[[Path], object]) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        write(folder / "file")
        return (folder / "file").read_bytes()

    return make


def image_as(suffix: str, image: Image = IMAGE) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        io.write_image(folder / f"file{suffix}", image)
        return (folder / f"file{suffix}").read_bytes()

    return make


def mask_as(suffix: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        io.write_mask(folder / f"file{suffix}", MASK, IMAGE, LABELS)
        return (folder / f"file{suffix}").read_bytes()

    return make


def dicom_as(syntax: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        ds = slices(np.tile(VOXELS[:1], (1, 2, 2)))[0]
        if syntax == JPEGLosslessSV1:
            stored = np.ascontiguousarray(np.tile(VOXELS[0], (2, 2))).view(np.uint16)
            ds.PixelData = encapsulate([imagecodecs.jpeg_encode(stored, lossless=True, predictor=1, bitspersample=16)])
            ds["PixelData"].is_undefined_length = True
            ds.file_meta.TransferSyntaxUID = syntax
        elif syntax == JPEGExtended12Bit:
            stored = np.ascontiguousarray(np.tile(VOXELS[0], (2, 2))).view(np.uint16)
            ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
            ds.PixelData = encapsulate([imagecodecs.jpeg_encode(stored, level=95, bitspersample=12)])
            ds["PixelData"].is_undefined_length = True
            ds.file_meta.TransferSyntaxUID = syntax
        elif syntax == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = syntax
        elif syntax:
            ds.compress(syntax, generate_instance_uid=False)
        return save(ds, folder / "file").read_bytes()

    return make


def zip_of_files(folder: Path) -> bytes:
    whole = streams.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, ds in enumerate(slices(VOXELS)):
            archive.writestr(f"{k}.dcm", save(ds, folder / "one").read_bytes())
    return whole.getvalue()


PLACES = np.array([(0.0, 0.0, h) for h in (6, 0, 3)])
GREY = VOXELS[0].astype(np.uint8)
FILES: dict[str, Callable[[Path], bytes]] = {
    "nifti": image_as(".nii"),
    "nifti-packed": lambda folder: gzip.compress(image_as(".nii")(folder), 1),
    "mgh": written(lambda p: p.write_bytes(nibabel.MGHImage(VOXELS.T, np.eye(4)).to_bytes())),
    "nrrd": image_as(".nrrd"),
    "seg-nrrd": mask_as(".seg.nrrd"),
    "metaimage": image_as(".mha"),
    "png": image_as(".png", Image(GREY[None, None])),
    "png-deep": written(
        lambda p: p.write_bytes(imagecodecs.png_encode(np.stack([VOXELS[0].astype(np.uint16)] * 3, -1)))
    ),
    "jpeg": written(lambda p: Pillow.fromarray(GREY).save(p, "JPEG")),
    "tiff": written(lambda p: tifffile.imwrite(p, VOXELS, photometric="minisblack")),
    "tiff-imagej": mask_as(".tif"),
    "tiff-ome": written(lambda p: tifffile.imwrite(p, VOXELS, ome=True, photometric="minisblack", compression="zlib")),
    "dicom": dicom_as(""),
    "dicom-rle": dicom_as(RLELossless),
    "dicom-jpeg-lossless": dicom_as(JPEGLosslessSV1),
    "dicom-jpeg-twelve-bits": dicom_as(JPEGExtended12Bit),
    "dicom-jpeg-ls": dicom_as(JPEGLSLossless),
    "dicom-jpeg-2000": dicom_as(JPEG2000Lossless),
    "dicom-deflated": dicom_as(DeflatedExplicitVRLittleEndian),
    "dicom-enhanced": written(lambda p: save(enhanced(VOXELS, PLACES), p)),
    "dicom-seg": mask_as(".dcm"),
    "dicom-rtstruct": mask_as(".rtstruct.dcm"),
    "zip": zip_of_files,
}


@cache
def valid(kind: str, folder: Path) -> bytes:
    return FILES[kind](folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, float, int]]:
    """Draw a few changes: what, where as a part of the file, and how."""
    kinds = st.sampled_from(["cut", "flip", "head", "head", "number", "gap", "double"])
    change = st.tuples(kinds, st.floats(0, 1, exclude_max=True), st.integers(0, 2**32 - 1))
    return draw(st.lists(change, min_size=1, max_size=4))


def damaged(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    out = bytearray(data)
    for what, where, how in changes:
        if not out:
            break
        at = int(where * len(out))
        near = int(where * min(len(out), 700))  # most that can go wrong stands at the start
        match what:
            case "cut":
                del out[at:]
            case "flip":
                out[at] ^= 1 << how % 8
            case "head":
                out[near] = how % 256
            case "number":
                out[near : near + 4] = how.to_bytes(4, "little")
            case "gap":
                del out[near : near + how % 9]
            case "double":
                out[at:at] = out[at : at + how % 64]
    return bytes(out)


def read_all(path: Path) -> None:
    """Read a file in every way there is; only an image, a mask or a SegmendError may come out."""
    for ask in (io.series, io.read, lambda p: io.read_mask(p, IMAGE)):
        try:
            result = ask(path)
        except SegmendError as refused:
            result = str(refused)
            assert result
            assert "\n" not in result
        if isinstance(result, Image):
            assert result.voxels.dtype.kind in "uif"
            assert np.isfinite(result.voxels).all()


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.filterwarnings("ignore")  # libraries warn of damage before they refuse it
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=damage())
@example(changes=[("gap", 0.18359375, 1)])  # an OME-TIFF whose tag then claimed 430 MB
@example(changes=[("head", 0.3828125, 17)])  # a PNG a part of which then claimed 285 MB
def test_a_damaged_file_is_read_or_refused(kind: str, changes: list[tuple[str, float, int]], folder: Path) -> None:
    path = folder / "damaged"
    path.write_bytes(damaged(valid(kind, folder), changes))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracemalloc.start()
        try:
            read_all(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
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
        read_all(path)


@pytest.mark.parametrize("kind", [k for k in FILES if "jpeg" not in k and "ome" not in k])
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_anywhere_is_refused_or_whole_enough(kind: str, folder: Path) -> None:
    data = valid(kind, folder)
    path = folder / "cut"
    for part in (0.02, 0.1, 0.3, 0.6, 0.95):
        path.write_bytes(data[: int(len(data) * part)])
        read_all(path)


@pytest.mark.parametrize("kind", ["nifti", "analyze"])
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=damage())
def test_a_pair_with_a_damaged_header_is_read_or_refused(
    kind: str, changes: list[tuple[str, float, int]], folder: Path
) -> None:
    made = nibabel.Nifti1Pair if kind == "nifti" else nibabel.AnalyzeImage
    path = folder / "pair.hdr"
    (folder / "pair.img").write_bytes(VOXELS.tobytes())
    header = streams.BytesIO()
    made(VOXELS.T, np.eye(4)).header.write_to(header)
    path.write_bytes(damaged(header.getvalue(), changes))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_all(path)


@pytest.mark.parametrize("kind", list(FILES))
def test_the_files_to_damage_are_sound(kind: str, folder: Path) -> None:
    path = folder / "sound"
    path.write_bytes(valid(kind, folder))

    if kind in ("dicom-seg", "dicom-rtstruct", "seg-nrrd"):
        assert np.array_equal(io.read_mask(path, IMAGE), MASK)
    else:
        assert io.read(path).voxels.size
