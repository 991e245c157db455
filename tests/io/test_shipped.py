"""Every file that pydicom ships as test data is read, with this shape, or refused for this reason.

highdicom ships none in its wheel. Nothing is downloaded.
"""

from __future__ import annotations

import warnings
from fnmatch import fnmatchcase
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, apply_rescale, pixel_array

from segmend import io
from segmend.core.image import Image
from segmend.errors import FileError, GeometryError

ROOT = Path(pydicom.__file__).parent / "data"
FILES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in ROOT.rglob("*")
    if p.is_file() and p.suffix not in (".py", ".pyc", ".json") and p.name != "py.typed"
)

READ: dict[str, tuple[int, int, int, int]] = {  # file: (c, z, y, x)
    "charset_files/chr[AFGR]*.dcm": (1, 1, 32, 32),
    "charset_files/chrH*.dcm": (1, 1, 32, 32),
    "charset_files/chrI2.dcm": (1, 1, 32, 32),
    "charset_files/chrX[12].dcm": (1, 1, 32, 32),
    "test_files/693_J2KI.dcm": (1, 1, 512, 512),
    "test_files/CT_small.dcm": (1, 1, 128, 128),
    "test_files/ExplVR_BigEnd.dcm": (3, 1, 60, 80),
    "test_files/GDCMJ2K_TextGBR.dcm": (3, 1, 400, 400),
    "test_files/J2K_pixelrep_mismatch.dcm": (1, 1, 512, 512),
    "test_files/JPEG-lossy.dcm": (1, 1, 1024, 256),
    "test_files/JPEG2000.dcm": (1, 1, 1024, 256),
    "test_files/JPEGLSNearLossless_08.dcm": (1, 1, 45, 10),
    "test_files/JPEGLSNearLossless_16.dcm": (1, 1, 50, 10),
    "test_files/JPGExtended.dcm": (1, 1, 1024, 256),
    "test_files/MR_small*.dcm": (1, 1, 64, 64),
    "test_files/SC_jpeg_no_color_transform*.dcm": (3, 1, 256, 256),
    "test_files/SC_rgb_dcmtk_*.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_gdcm_KY.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_jls_lossy_*.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_jpeg.dcm": (3, 1, 256, 256),
    "test_files/SC_rgb_jpeg_app14_dcmd.dcm": (3, 1, 256, 256),
    "test_files/SC_rgb_jpeg_dcmd.dcm": (3, 1, 256, 256),
    "test_files/SC_rgb_jpeg_dcmtk.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_jpeg_*gdcm.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_rle.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_rle_??bit.dcm": (3, 1, 100, 100),
    "test_files/SC_rgb_rle*_2frame.dcm": (3, 2, 100, 100),
    "test_files/SC_rgb_small_odd*.dcm": (3, 1, 3, 3),
    "test_files/SC_ybr_full_422_uncompressed.dcm": (3, 1, 100, 100),
    "test_files/dicomdirtests/[79]*/*": (1, 1, 16, 16),
    "test_files/examples_jpeg2k.dcm": (3, 1, 480, 640),
    "test_files/examples_overlay.dcm": (1, 1, 300, 484),
    "test_files/examples_palette.dcm": (3, 1, 350, 800),
    "test_files/examples_rgb_color.dcm": (3, 1, 240, 320),
    "test_files/examples_ybr_color.dcm": (3, 30, 240, 320),
    "test_files/image_dfl.dcm": (1, 1, 512, 512),
    "test_files/rtdose.dcm": (1, 15, 10, 10),
    "test_files/rtdose_expb.dcm": (1, 15, 10, 10),
    "test_files/rtdose_rle.dcm": (1, 15, 10, 10),
    "test_files/rtdose*_1frame.dcm": (1, 1, 10, 10),
}
UNKNOWN = "is no image that is known"
REFUSED: dict[str, str] = {  # file: words of the sentence
    "*/README": UNKNOWN,
    "*.md": UNKNOWN,
    "*.txt": UNKNOWN,
    "*.icc": UNKNOWN,
    "*.dump": UNKNOWN,
    "*.gz": UNKNOWN,  # a DICOM file packed by gzip, which the standard does not know
    "charset_files/chrJap*.dcm": r"claims 1 x 32 x 32 x 1 voxels \(2048 bytes\) but holds only 19[0-9]+ bytes",
    "charset_files/chrKoreanMulti.dcm": r"claims 1 x 32 x 32 x 1 voxels \(2048 bytes\) but holds only 1898 bytes",
    "charset_files/chrSQEncoding*.dcm": "is DICOM without an image",
    "palettes/*.dcm": "is DICOM without an image",
    "test_files/ExplVR_*NoMeta.dcm": "is DICOM of modality RTPLAN without an image",
    "test_files/JPEG2000-embedded-sequence-delimiter.dcm": "is damaged: a frame has shape .*, where its header says",
    "test_files/MR_truncated.dcm": r"bytes of pixel data is less than expected \(8130 vs 8192 bytes\)",
    "test_files/UN_sequence.dcm": "is DICOM without an image",
    "test_files/badVR.dcm": "has a damaged DICOM header: .*'1A'",  # as its number of frames
    "test_files/dicomdirtests/DICOMDIR*": "is a DICOMDIR, which lists other files; give the folder that they lie in",
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": "is a DICOMDIR, which lists other files",
    "test_files/dicomdirtests/TINY_ALPHA/PT*": "is DICOM of modality CT without an image",
    "test_files/empty_charset_LEI.dcm": "is DICOM without an image",
    "test_files/liver*_1frame.dcm": "is a DICOM segmentation, not an image; it is read as a mask of its image",
    "test_files/meta_missing_tsyntax.dcm": "is DICOM without an image",
    "test_files/nested_priv_SQ.dcm": "is DICOM without an image",
    "test_files/no_meta.dcm": UNKNOWN,  # its first tag is damaged: group 0820
    "test_files/no_meta_group_length.dcm": "is DICOM without an image",
    "test_files/priv_SQ.dcm": "is DICOM without an image",
    "test_files/reportsi*.dcm": "is DICOM of modality SR without an image",
    "test_files/rtplan*.dcm": "is DICOM of modality RTPLAN without an image",
    "test_files/rtstruct.dcm": "is a DICOM structure set, not an image; it is read as a mask of its image",
    "test_files/test-SR.dcm": "is DICOM of modality SR without an image",
    "test_files/waveform_ecg.dcm": "is DICOM of modality ECG without an image",
}


def rows(file: str) -> list[str]:
    return [pattern for pattern in (*READ, *REFUSED) if fnmatchcase(file, pattern)]


def test_every_file_has_one_row() -> None:
    assert {file: found for file in FILES if len(found := rows(file)) != 1} == {}
    assert [pattern for pattern in (*READ, *REFUSED) if not any(fnmatchcase(f, pattern) for f in FILES)] == []


@pytest.mark.parametrize("file", [f for f in FILES if rows(f)[0] in READ])
@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in them
def test_an_image_is_read_and_pydicom_sees_the_same_numbers(file: str) -> None:
    image = io.read(ROOT / file)

    assert image.voxels.shape == READ[rows(file)[0]]
    assert np.allclose(image.voxels, expected(ROOT / file), rtol=1e-6, atol=0)


def expected(path: Path) -> np.ndarray:
    """Return [c z y x] by pydicom alone; by imagecodecs what pydicom cannot decode."""
    ds = pydicom.dcmread(path)
    if ds.file_meta.TransferSyntaxUID == pydicom.uid.JPEGExtended12Bit:
        values = imagecodecs.jpeg_decode(next(generate_frames(ds.PixelData)))
    else:
        values = pixel_array(ds)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        values = 2**ds.BitsStored - 1 - values
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, ds) >> 8
    if "DoseGridScaling" in ds:
        values = values * float(ds.DoseGridScaling)
    elif ds.SamplesPerPixel == 1 and values.ndim == 2:
        values = apply_rescale(values, ds)
    if values.ndim == 4 or (values.ndim == 3 and values.shape[-1] == 3):
        return np.moveaxis(values.reshape(-1, *values.shape[-3:]), -1, 0)
    return values.reshape(1, -1, *values.shape[-2:])


@pytest.mark.parametrize("file", [f for f in FILES if rows(f)[0] in REFUSED])
def test_a_file_without_an_image_is_refused_in_one_sentence(file: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FileError, match=REFUSED[rows(file)[0]]) as refused:
            io.read(ROOT / file)

    assert str(refused.value).startswith(Path(file).name)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("liver_1frame.dcm", "says it has 1 frames but describes 3"),
        ("liver_expb_1frame.dcm", "says it has 1 frames but describes 3"),
        ("rtstruct.dcm", "has a contour that lies in no slice of the image"),
        ("rtplan.dcm", "is DICOM of modality RTPLAN without an image"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_as_masks_they_are_refused(file: str, words: str) -> None:
    with pytest.raises((FileError, GeometryError), match=words):
        io.read_mask(ROOT / "test_files" / file, Image(np.zeros((1, 2, 3, 4), np.int16)))


def test_whoever_gives_the_folder_of_a_dicomdir_gets_its_series() -> None:
    found = io.series(ROOT / "test_files" / "dicomdirtests" / "98892003")

    assert sum(int(info.description.split(", ")[1].split()[0]) for info in found) == 17
    assert {info.modality for info in found} == {"MR"}
