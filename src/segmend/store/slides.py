"""Whole-slide images taken in as cases: the file as it is, or with a pyramid made of it, and a picture of all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from segmend.io.slides import Slide, has_pyramid, make_pyramid
from segmend.store.records import CaseRecord
from segmend.store.store import Store
from segmend.store.tables import DEFAULT_PROJECT

# DICOM's word for pictures of slides under a microscope.
MODALITY = "SM"
MADE = "The file had no levels, so a copy with levels was made of it; its pixels are the same."


def add_slide(
    store: Store, path: Path, name: str, *, project: str = DEFAULT_PROJECT, scratch: Path | None = None
) -> CaseRecord:
    """Return the new case of a slide's file; one without a pyramid gets one, in a folder in `scratch` at first."""
    if has_pyramid(path):
        return _add(store, path, name, project)
    with TemporaryDirectory(dir=scratch) as folder:
        made = Path(folder, path.name)
        make_pyramid(path, made)
        return _add(store, made, name, project, MADE)


def _add(store: Store, path: Path, name: str, project: str, *notes: str) -> CaseRecord:
    slide = Slide(path)
    try:
        top = slide.levels - 1
        image = slide.image(top, (0, 0), slide.shape(top))
        whole = replace(image, notes=(*slide.notes, *notes), axes="zyx")
    finally:
        slide.close()
    return store.add_case(name, whole, project=project, modality=MODALITY, slide=path)
