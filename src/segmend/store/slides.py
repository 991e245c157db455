"""Whole-slide images taken in as cases: the file as it is, or with a pyramid made of it, and a picture of all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from segmend.core.image import Image
from segmend.io.slides import whole
from segmend.store.records import CaseRecord
from segmend.store.store import Store
from segmend.store.tables import DEFAULT_PROJECT

# DICOM's word for pictures of slides under a microscope.
MODALITY = "SM"


def add_slide(
    store: Store,
    path: Path,
    name: str,
    *,
    project: str = DEFAULT_PROJECT,
    patient: str = "",
    study_date: str = "",
    scratch: Path | None = None,
    read: Callable[[Path, Path], tuple[Image, Path]] = whole,
) -> CaseRecord:
    """Return the new case of a slide's file; one without a pyramid gets one, in a folder in `scratch` at first.

    `read` reads it as `io.slides.whole` does, or as `io.plainslides.whole_plain` without what names the patient.
    """
    with TemporaryDirectory(dir=scratch) as folder:
        image, kept = read(path, Path(folder, path.name))
        about = {"patient": patient, "study_date": study_date}
        return store.add_case(name, image, project=project, modality=MODALITY, slide=kept, **about)
