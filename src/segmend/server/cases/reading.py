"""Files that come in, read in a process of their own that may fail alone, within the limits that are set.

How is told in `segmend.io.apart`; it is started for each upload. Where `read_apart` is off the same is done here, with
the limits that headers are held to.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from segmend import io
from segmend.core.image import Image, LabelMap
from segmend.errors import UserError
from segmend.io.anonymise import anonymise
from segmend.io.apart import Apart, Found, raising
from segmend.io.archive import unpack
from segmend.io.dicomslides import SlideSeries, may_be_whole_slide, slide_series, write_slide
from segmend.io.plainslides import whole_plain
from segmend.io.series import SeriesInfo
from segmend.io.sizes import FLOOR, RATIO, Limits, limited
from segmend.io.slides import Slide, SlideFile, is_slide, may_be_slide, whole
from segmend.runtime.memory import free_memory
from segmend.server.cases.scratch import scratch_folder
from segmend.server.settings import ServerSettings
from segmend.store.pseudonyms import Cleaned, Pseudonyms
from segmend.store.records import Project

# Bytes that a mask's voxel may take: layers of several segments, as numbers of 8 bytes.
MASK_BYTES = 64


class Reading:
    """Reads what comes in, a few files at a time, within the limits that are set and what is free."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._pseudonyms = Pseudonyms(settings.pseudonyms)
        self._apart = settings.read_apart and bool(sys.executable)  # a program that holds Python may have none
        self.turns = asyncio.Semaphore(settings.readers)  # taken before a thread is, which others need meanwhile

    def limits(self) -> Limits:
        """Return what may be taken now of one file: at most half of the memory and of the disk that is free."""
        free = min(free_memory(), shutil.disk_usage(self._settings.data).free)
        return Limits(min(self._settings.max_image_bytes, max(free // 2, FLOOR)), self._settings.max_unpacking)

    def unpack(self, path: Path, folder: Path) -> list[Path]:
        """Unpack an archive into a folder."""
        with limited(self.limits()):
            return unpack(path, folder, max_bytes=self._settings.max_upload_bytes)

    def images(self, place: Path) -> Iterator[Found]:
        """Yield all images that a path holds, each to be used before the next one is asked for, then what is none."""
        if not self._apart:
            yield from _read_here(place, self.limits())
            return
        with self._folder() as folder:
            yield from Apart(folder, self.limits, self._settings.read_seconds).images(place)

    @contextmanager
    def cleaned(self, place: Path, project: Project) -> Iterator[Cleaned]:
        """Give the files at a path as they may become cases of a project: anonymised where that is wanted."""
        profile = self._settings.profile_of(project)
        if profile is None:
            yield Cleaned(place)
            return
        key = self._pseudonyms.key
        target = scratch_folder(self._settings.data, "upload-")
        try:
            if self._apart:
                with self._folder() as folder:
                    apart = Apart(folder, self.limits, self._settings.read_seconds)
                    done = apart.anonymise(place, profile, key, target)
            else:
                done = anonymise(place, profile, key, target)
            self._pseudonyms.keep(done.patients)
            found = Cleaned(target, True, done.warnings, key) if done.patients else Cleaned(place, True)
            yield found
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def mask(self, path: Path, image: Image, *, layered: bool = False) -> tuple[LabelMap, dict[int, str]]:
        """Return the label map in a file, laid on an image's grid, and what its objects are called.

        With `layered` objects that share voxels stay whole, in maps [layer z y x].
        """
        room = FLOOR + MASK_BYTES * math.prod(image.shape)
        limits = Limits(min(self.limits().max_bytes, room), RATIO)
        if not self._apart:
            with limited(limits):
                return (io.read_maps if layered else io.read_mask)(path, image), io.mask_names(path)
        with self._folder() as folder:
            return Apart(folder, lambda: limits, self._settings.read_seconds).mask(path, image, layered=layered)

    def are_slides(self, paths: Sequence[Path]) -> list[bool]:
        """Say of each file whether it is a whole-slide image."""
        begun = [path for path in paths if may_be_slide(path)]  # so that most files need no process
        if not self._apart or not begun:
            return [path in begun and is_slide(path) for path in paths]
        with self._folder() as folder:
            found = dict(zip(begun, self._in(folder).are_slides(begun), strict=True))
        return [found.get(path, False) for path in paths]

    def slide_series(self, paths: Sequence[Path]) -> list[SlideSeries]:
        """Return the DICOM series of whole-slide images among some files."""
        begun = [path for path in paths if may_be_whole_slide(path)]
        if not self._apart or not begun:
            return slide_series(begun)
        with self._folder() as folder:
            return self._in(folder).slide_series(begun)

    def write_slide(self, series: SlideSeries, target: Path) -> None:
        """Write the levels of such a series as one slide."""
        if not self._apart:
            write_slide(series.paths, target)
            return
        with self._folder() as folder:
            self._in(folder).write_slide(series.paths, target)

    def whole_slide(self, path: Path, target: Path, *, plain: bool = False) -> tuple[Image, Path]:
        """Return what `io.slides.whole` does, or `io.plainslides.whole_plain`."""
        if not self._apart:
            return whole_plain(path, target) if plain else whole(path, target)
        with self._folder() as folder:
            image, kept = self._in(folder).whole(path, target, plain=plain)
            return replace(image, voxels=np.array(image.voxels)), kept  # those of a file are deleted with the folder

    def slide(self, path: Path) -> Slide:
        """Return an open slide, which a process of its own reads, with a folder for what it unpacks."""
        if not self._apart:
            return SlideFile(path)
        folder = scratch_folder(self._settings.data, "upload-", elsewhere=True)
        try:
            slide = self._in(folder).slide(path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(slide, shutil.rmtree, folder, ignore_errors=True)
        return slide

    def _in(self, folder: Path) -> Apart:
        return Apart(folder, self.limits, self._settings.read_seconds)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Give a folder for voxels; `upload-` marks what a killed server leaves."""
        folder = scratch_folder(self._settings.data, "upload-")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _read_here(place: Path, limits: Limits) -> Iterator[Found]:
    with limited(limits):
        try:
            for info, read in io.images(place, refused=True):
                yield Found(info, read)
        except UserError as error:
            yield Found(SeriesInfo(place.name, place.name, "", ""), raising(error))
