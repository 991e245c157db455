"""Whole-slide images taken in as cases: the file as it is, or with a pyramid made of it, and a picture of all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from segmend.core.image import Image
from segmend.io.slides import whole
from segmend.store.records import CaseRecord
from segmend.store.store import Store
from segmend.store.tables import DEFAULT_PROJECT

# DICOM's word for pictures of slides under a microscope.
MODALITY = "SM"
MADE = "The file had no levels, so a copy with levels was made of it; its pixels are the same."


def add_slide(
    store: Store,
    path: Path,
    name: str,
    *,
    project: str = DEFAULT_PROJECT,
    scratch: Path | None = None,
    read: Callable[[Path, Path], tuple[Image, Path]] = whole,
) -> CaseRecord:
    """Return the new case of a slide's file; one without a pyramid gets one, in a folder in `scratch` at first.

    `read` reads it as `io.slides.whole` does.
    """
    with TemporaryDirectory(dir=scratch) as folder:
        image, kept = read(path, Path(folder, path.name))
        notes = image.notes if kept == path else (*image.notes, MADE)
        image = replace(image, notes=notes, axes="zyx")
        return store.add_case(name, image, project=project, modality=MODALITY, slide=kept)
