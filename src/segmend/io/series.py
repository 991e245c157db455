"""What a folder, an archive or a file holds, before anything of it is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SeriesInfo:
    """One image that can be read from a path; `uid` is what `read(series=...)` takes.

    >>> str(SeriesInfo("1.2.3", "Abdomen", "CT", "512 x 512, 120 slices"))
    '1.2.3 (Abdomen, CT, 512 x 512, 120 slices)'
    """

    uid: str  # of DICOM the series, with #1, #2 where one series holds several volumes; else the file's name
    name: str
    modality: str  # DICOM's code, empty for other files
    description: str  # size in words
    patient: str = ""  # name and id, as DICOM files say
    study_date: str = ""  # YYYY-MM-DD
    study: str = ""  # what DICOM files call the study
    frame: str = ""  # DICOM's frame of reference: images of one share their millimetres

    def __str__(self) -> str:
        about = ", ".join(part for part in (self.name, self.modality, self.description) if part)
        return printable(f"{self.uid} ({about})")


def printable(text: str) -> str:
    r"""Return what a file says as it may stand in a sentence: without line breaks and other control characters.

    >>> printable("CT\n\x08of  1999")
    'CT of 1999'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
