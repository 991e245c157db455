"""Small sound files of every format that is read, to be damaged."""

from __future__ import annotations

import gzip
import io as streams
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import tifffile
from PIL import Image as Pillow
from pydicom import dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from tests.io.dicoms import enhanced, save, slices
from tests.slides import picture, write_slide

VOXELS = (np.arange(3 * 40 * 48).reshape(3, 40, 48) % 1999).astype(np.int16)
IMAGE = Image(VOXELS[None], scale_affine((3, 2, 1.5)))
MASK = np.zeros(VOXELS.shape, np.uint16)
MASK[:2, 5:30, 7:21] = 1
MASK[0, 9:12, 9:12] = 0
LABELS = [Label(1, "liver", (230, 75, 60))]
PLACES = np.array([(0.0, 0.0, h) for h in (6, 0, 3)])
GREY = VOXELS[0].astype(np.uint8)
Make = Callable[[Path], bytes]  # in a folder


def written(write: Callable[[Path], object]) -> Make:
    def make(folder: Path) -> bytes:
        write(folder / "file")
        return (folder / "file").read_bytes()

    return make


def image_as(suffix: str, image: Image = IMAGE) -> Make:
    def make(folder: Path) -> bytes:
        io.write_image(folder / f"file{suffix}", image)
        return (folder / f"file{suffix}").read_bytes()

    return make


def mask_as(suffix: str) -> Make:
    def make(folder: Path) -> bytes:
        io.write_mask(folder / f"file{suffix}", MASK, IMAGE, LABELS)
        return (folder / f"file{suffix}").read_bytes()

    return make


def nifti_2(path: Path) -> None:
    path.write_bytes(nibabel.Nifti2Image(VOXELS.T, np.eye(4)).to_bytes())


def nrrd_as(encoding: str) -> Make:
    """Return what writes an NRRD in an encoding that Segmend reads and does not write."""
    packed = {
        "raw": lambda data: data,
        "bzip2": lambda data: __import__("bz2").compress(data),
        "hex": lambda data: data.hex().encode(),
        "text": lambda data: " ".join(map(str, np.frombuffer(data, np.int16).tolist())).encode(),
    }[encoding]

    def make(_: Path) -> bytes:
        head = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 48 40 3\nspacings: 1 2 3\nencoding: {encoding}\n\n"
        return head.encode() + packed(VOXELS.tobytes())

    return make


def dicom_as(syntax: str) -> Make:
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
        elif syntax == ExplicitVRBigEndian:
            ds.file_meta.TransferSyntaxUID = syntax
            ds.PixelData = np.frombuffer(ds.PixelData, np.int16).astype(">i2").tobytes()
            dcmwrite(folder / "file", ds, implicit_vr=False, little_endian=False, force_encoding=True)
            return (folder / "file").read_bytes()
        elif syntax:
            ds.compress(syntax, generate_instance_uid=False)
        return save(ds, folder / "file").read_bytes()

    return make


def pages(path: Path) -> None:
    found = [Pillow.fromarray(page.astype(np.uint16)) for page in VOXELS]
    found[0].save(path, "TIFF", save_all=True, append_images=found[1:], compression="tiff_lzw")


def slide_as(**packing: object) -> Make:
    return written(lambda path: write_slide(path, picture(200, 240), levels=3, tile=64, **packing))


def tiff_as(**options: object) -> Make:
    return written(lambda path: tifffile.imwrite(path, VOXELS, photometric="minisblack", **options))


def zip_of_files(folder: Path) -> bytes:
    whole = streams.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, ds in enumerate(slices(VOXELS)):
            archive.writestr(f"{k}.dcm", save(ds, folder / "one").read_bytes())
    return whole.getvalue()


FILES: dict[str, Make] = {
    "nifti": image_as(".nii"),
    "nifti-2": written(nifti_2),
    "nifti-packed": lambda folder: gzip.compress(image_as(".nii")(folder), 1),
    "mgh": written(lambda p: p.write_bytes(nibabel.MGHImage(VOXELS.T, np.eye(4)).to_bytes())),
    "nrrd": image_as(".nrrd"),
    "nrrd-raw": nrrd_as("raw"),
    "nrrd-text": nrrd_as("text"),
    "nrrd-bzip2": nrrd_as("bzip2"),
    "seg-nrrd": mask_as(".seg.nrrd"),
    "metaimage": image_as(".mha"),
    "png": image_as(".png", Image(GREY[None, None])),
    "png-deep": written(
        lambda p: p.write_bytes(imagecodecs.png_encode(np.stack([VOXELS[0].astype(np.uint16)] * 3, -1)))
    ),
    "jpeg": written(lambda p: Pillow.fromarray(GREY).save(p, "JPEG")),
    "bmp": written(lambda p: Pillow.fromarray(GREY).save(p, "BMP")),
    "tiff": tiff_as(),
    "tiff-tiles": tiff_as(tile=(16, 16), compression="zlib", predictor=True),
    "tiff-big": tiff_as(bigtiff=True, rowsperstrip=8),
    "tiff-pages": written(pages),
    "tiff-imagej": mask_as(".tif"),
    "slide": slide_as(compression="zlib"),
    "slide-jpeg": slide_as(compression="jpeg", inner=False),
    "slide-lzw": slide_as(compression="lzw", predictor=True),
    "tiff-ome": tiff_as(ome=True, compression="zlib"),
    "dicom": dicom_as(""),
    "dicom-big-endian": dicom_as(ExplicitVRBigEndian),
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
# Which of them are masks alone.
MASKS = ("dicom-seg", "dicom-rtstruct", "seg-nrrd")


def with_sums(data: bytes) -> bytes:
    """Return a damaged PNG with the checksums that its parts need, so that damage gets past them.

    >>> part = b"\\x00\\x00\\x00\\x01abcdX" + bytes(4)
    >>> with_sums(b"\\x89PNG\\r\\n\\x1a\\n" + part)[-4:] == zlib.crc32(b"abcdX").to_bytes(4, "big")
    True
    """
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(out)


def repacked(data: bytes, damage: Callable[[bytes], bytes]) -> bytes:
    """Return a zip file with its members damaged, and sound around them."""
    whole = streams.BytesIO()
    with zipfile.ZipFile(streams.BytesIO(data)) as old, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, damage(old.read(name)))
    return whole.getvalue()


# Formats whose damage lies inside: under a packing, or under checksums.
INSIDE: dict[str, Callable[[bytes, Callable[[bytes], bytes]], bytes]] = {
    "nifti-packed": lambda data, damage: gzip.compress(damage(gzip.decompress(data)), 1),
    "png": lambda data, damage: with_sums(damage(data)),
    "png-deep": lambda data, damage: with_sums(damage(data)),
    "zip": repacked,
}
