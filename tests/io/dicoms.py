"""DICOM files for the tests, drawn with pydicom alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

NAME = "Doe^Jane"


def _base(series: str, study: str, frame: str, modality: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = NAME, "ID-4711", "19600102", "F"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
    ds.StudyID, ds.AccessionNumber, ds.StudyDate, ds.StudyTime = "9", "ACC-17", "20200203", "101112"
    ds.ReferringPhysicianName = "Ref^Doc"
    ds.SeriesNumber, ds.SeriesDescription, ds.Modality = 3, "Abdomen", modality
    return ds


def set_pixels(ds: Dataset, values: np.ndarray) -> None:
    """Put [y x], [y x c] or [frame y x] numbers into a data set, unpacked."""
    bits = values.dtype.itemsize * 8
    colour = values.ndim == 3 and values.shape[-1] == 3 and "NumberOfFrames" not in ds
    ds.Rows, ds.Columns = values.shape[-3:-1] if colour else values.shape[-2:]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    ds["PixelData"].VR = "OW" if bits == 16 else "OB"


def save(ds: Dataset, path: Path) -> Path:
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)
    return path


def slices(
    voxels: np.ndarray,  # [z y x] as stored
    *,
    spacing: Sequence[float] = (2.0, 0.5),  # down a column, along a row
    row: Sequence[float] = (1, 0, 0),
    column: Sequence[float] = (0, 1, 0),
    step: Sequence[float] = (0, 0, 3),
    origin: Sequence[float] = (-10, 20, 30),
    positions: np.ndarray | None = None,
    series: str | None = None,
    study: str | None = None,
    frame: str | None = None,
    modality: str = "CT",
    **tags: Any,
) -> list[Dataset]:
    """Return one data set a slice; `tags` are set on each."""
    series, study, frame = (uid or generate_uid() for uid in (series, study, frame))
    out = []
    for k, values in enumerate(voxels):
        ds = _base(series, study, frame, modality)
        ds.SOPInstanceUID = generate_uid()
        ds.InstanceNumber = k + 1
        place = positions[k] if positions is not None else np.array(origin, float) + k * np.array(step, float)
        ds.ImagePositionPatient = [f"{v:.10g}"[:16] for v in place]
        ds.ImageOrientationPatient = [f"{v:.10g}"[:16] for v in (*row, *column)]
        ds.PixelSpacing = [f"{v:.10g}" for v in spacing]
        ds.SliceThickness = 3
        set_pixels(ds, values)
        for tag, value in tags.items():
            setattr(ds, tag, value)
        out.append(ds)
    return out


def save_all(datasets: Sequence[Dataset], folder: Path, *, prefix: str = "") -> Path:
    """Save data sets under names that sort against their order, and return the folder."""
    folder.mkdir(exist_ok=True)
    for k, ds in enumerate(datasets):
        save(ds, folder / f"{prefix}{len(datasets) - k:03d}.dcm")
    return folder


def enhanced(voxels: np.ndarray, positions: np.ndarray, *, scales: Sequence[tuple[float, float]] = ()) -> Dataset:
    """Return one enhanced MR data set with a frame a slice, axial, in the order given."""
    ds = _base(generate_uid(), generate_uid(), generate_uid(), "MR")
    ds.SOPClassUID, ds.SOPInstanceUID, ds.InstanceNumber = EnhancedMRImageStorage, generate_uid(), 1
    ds.NumberOfFrames = len(voxels)
    set_pixels(ds, voxels)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [2, 0.5], 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k, place in enumerate(positions):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [float(v) for v in place]
        group.PlanePositionSequence = [position]
        if scales:
            scale = Dataset()
            scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = *scales[k], "US"
            group.PixelValueTransformationSequence = [scale]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return ds


def without_preamble(ds: Dataset, path: Path) -> Path:
    """Save an old file: no preamble, no file meta, implicit little endian."""
    bare = Dataset(ds)
    bare.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert ImplicitVRLittleEndian and path.read_bytes()[128:132] != b"DICM"
    return path
