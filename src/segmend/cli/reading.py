"""Files that a person named, read in a process of their own: a damaged one ends with a sentence, never with a hang.

It is a copy of this process (a fork) on Linux, which costs a command some milliseconds, and a new one elsewhere.
Where no folder for temporary files can be had, they are read here, held to what their headers claim.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from segmend import io
from segmend.core.image import Image, LabelMap
from segmend.datasets.case import Case
from segmend.io.apart import READ_SECONDS, Apart


def read_image(path: str | Path, *, series: str | None = None, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image in a file or a folder, as `io.read` does."""
    with reading_apart() as apart:
        read = io.read if apart is None else apart.image
        return read(Path(path), series=series, fourth=fourth, frame=frame)


def read_series(path: str | Path) -> tuple[io.SeriesInfo, ...]:
    """Return what a path holds, as `io.series` does."""
    with reading_apart() as apart:
        return (io.series if apart is None else apart.series)(Path(path))


def read_images(path: Path) -> Iterator[tuple[io.SeriesInfo, Callable[[], Image]]]:
    """Yield all images that a path holds, each to be read before the next one is asked for."""
    with reading_apart() as apart:
        if apart is None:
            yield from io.images(path)
            return
        for found in apart.images(path):
            yield found.info, found.image


def read_mask(path: str | Path, image: Image, *, layered: bool = False) -> LabelMap:
    """Return the label map in a file, laid on an image's grid, as `io.read_mask` or `io.read_maps` does."""
    with reading_apart() as apart:
        if apart is None:
            return (io.read_maps if layered else io.read_mask)(path, image)
        return apart.mask(Path(path), image, layered=layered)[0]


def read_case(case: Case, *, layered: bool = False) -> tuple[Image, LabelMap]:
    """Return the image of a data set's case and its label map, or maps of it with `layered`."""
    with reading_apart() as apart:
        read = partial(_image_and_labels, case, layered=layered)
        # Masks are no larger than images, and a case may have them in another folder.
        return read() if apart is None else apart.pair(case.name, read, [*case.image_files] * 2 or [case.folder])


def _image_and_labels(case: Case, *, layered: bool) -> tuple[Image, LabelMap]:
    example = case.read()
    return example.image, case.label_maps(example) if layered else example.labels


@contextmanager
def reading_apart() -> Iterator[Apart | None]:
    """Give what reads files in a process of its own; None where nothing can be written for it."""
    try:
        folder = TemporaryDirectory(prefix="segmend-")
    except OSError:
        yield None
        return
    with folder as name:
        yield Apart(Path(name), seconds=READ_SECONDS, forked=sys.platform == "linux")
