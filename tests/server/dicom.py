"""A small CT series, written with pydicom."""

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def slices(folder, *, planes, rows, columns):
    """Return the files of a CT series of this size, 2.5 mm apart."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for plane in range(planes):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        file = pydicom.Dataset()
        file.file_meta = meta
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID = study, series, frame
        file.PatientName, file.PatientID, file.Modality = "Doe^Jane", "12345", "CT"
        file.PatientBirthDate, file.PatientSex = "19700101", "F"
        file.StudyID, file.StudyDate, file.StudyTime, file.AccessionNumber = "1", "20240101", "120000", ""
        file.ReferringPhysicianName = ""
        file.SeriesNumber, file.InstanceNumber = 1, plane + 1
        file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 2.5 * plane], [1, 0, 0, 0, 1, 0]
        file.PixelSpacing, file.SliceThickness = [0.7, 0.6], 2.5
        file.Rows, file.Columns, file.SamplesPerPixel = rows, columns, 1
        file.PhotometricInterpretation = "MONOCHROME2"
        file.BitsAllocated = file.BitsStored = 16
        file.HighBit, file.PixelRepresentation, file.RescaleSlope, file.RescaleIntercept = 15, 0, 1, -1024
        file.PixelData = np.full((rows, columns), 1000 + plane, np.uint16).tobytes()
        paths.append(folder / f"slice{plane}.dcm")
        file.save_as(paths[-1], enforce_file_format=True)
    return paths
