"""Images as files, from which every process maps the same memory: an image is written at most once, and never sent.

The voxels of a case in a local folder lie in such a file already. Others are written into a folder, where they stay as
long as somebody in this process holds the image.
"""

from __future__ import annotations

import os
import shutil
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import DISK_FULL
from segmend.core.image import Image
from segmend.errors import DiskFullError, StoreError
from segmend.server.processes.messages import ImageFile

# Seconds after which the folder is touched again: one that is not, for an hour, is taken for a killed server's.
TOUCH_SECONDS = 600.0


class ImageFiles:
    """The files of images; the folder for those that have none is made when it is needed."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._make_folder = folder
        self._folder: Path | None = None
        self._written: dict[int, ImageFile] = {}  # by the image's id
        self._gone: deque[int] = deque()  # images that are no more; a collector may say so at any moment
        self._count = 0
        self._touched = time.monotonic()
        self._lock = Lock()

    def of(self, image: Image) -> ImageFile:
        """Return the file that an image's voxels are in, written now if there is none."""
        mapped = _mapped(image)
        if mapped is not None:
            return mapped
        self.tidy()
        with self._lock:
            found = self._written.get(id(image))
            if found is None:
                found = self._written[id(image)] = self._write(image)
                weakref.finalize(image, self._gone.append, id(image)).atexit = False
            return found

    def tidy(self) -> None:
        """Delete the files of images that nobody holds any longer, and show that the others are in use."""
        if self._folder is not None and time.monotonic() - self._touched > TOUCH_SECONDS:
            self._touched = time.monotonic()
            with suppress(OSError):
                os.utime(self._folder)
        if not self._gone:
            return
        with self._lock:
            while self._gone:
                written = self._written.pop(self._gone.popleft(), None)
                if written is not None:
                    with suppress(OSError):  # Windows keeps one that is mapped; it goes with the folder
                        written.path.unlink()

    def close(self) -> None:
        """Delete all of them."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, image: Image) -> ImageFile:
        if self._folder is None:
            self._folder = self._make_folder()
        self._count += 1
        path = self._folder / f"{self._count}.raw"
        voxels = image.voxels
        try:
            with path.open("wb") as file:
                for volume in voxels:
                    for plane in volume:
                        file.write(np.ascontiguousarray(plane).data.cast("B"))
        except OSError as error:
            path.unlink(missing_ok=True)
            full = DiskFullError if error.errno in DISK_FULL else StoreError
            raise full("There is no room for an image that another process is to answer.") from None
        return _file(image, path, 0)


def _mapped(image: Image) -> ImageFile | None:
    """Return where an image's voxels are mapped from; None where they are in memory, or not one after the other."""
    voxels, array = image.voxels, image.voxels
    while not isinstance(array, np.memmap) and isinstance(array.base, np.ndarray):
        array = array.base
    if not isinstance(array, np.memmap) or array.filename is None or not voxels.flags.c_contiguous:
        return None
    inside = _address(voxels) - _address(array)
    if not (0 <= inside and inside + voxels.nbytes <= array.nbytes and array.flags.c_contiguous):
        return None
    return _file(image, Path(array.filename), int(array.offset) + inside)


def _address(array: NDArray[np.generic]) -> int:
    return int(array.__array_interface__["data"][0])


def _file(image: Image, path: Path, offset: int) -> ImageFile:
    affine = tuple(tuple(row) for row in image.affine.tolist())
    return ImageFile(path, offset, image.voxels.dtype.str, image.voxels.shape, affine, tuple(image.notes))
