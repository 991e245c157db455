"""Files that come in, read in a process of their own that may fail alone.

What decodes a file is mostly code of others in C, and a file may be made to keep it busy for hours, to have it take all
memory, or to end the process. So a process is started for each upload, with limits of memory and of time of the
processor, where the system has such limits; it writes voxels beside the upload, where they are mapped from. What comes
back is images and sentences. Where `read_apart` is off the same is done here, with the limits that headers are held to.

What the two say to each other is in `reader`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from segmend import errors, io
from segmend.core.image import Image, LabelMap
from segmend.errors import FileError, LimitError, UserError
from segmend.io.archive import unpack
from segmend.io.series import SeriesInfo
from segmend.io.sizes import FLOOR, RATIO, Limits, limited
from segmend.runtime.memory import free_memory
from segmend.server.scratch import scratch_folder
from segmend.server.settings import ServerSettings

# Seconds of a processor for each file of a folder, beside those for its size.
SECONDS_A_FILE = 0.02
# Seconds by the clock for each of the processor: others may want it, and the disk may be slow.
PATIENCE = 6
# Seconds by the clock for the start of a process.
STARTING_SECONDS = 60
# Bytes beside the voxels, and how often it holds these: packed, unpacked, in another order, as floats.
BESIDE, COPIES = 2**30, 4
# Bytes that a mask's voxel may take: layers of several segments, as numbers of 8 bytes.
MASK_BYTES = 64
# Images that end the process, after which the others of a folder are given up.
MOST_ENDINGS = 5
# How variables of the environment begin that may hold tokens and passwords: reading needs none.
SECRET = ("SEGMEND_", "AWS_", "PG")


@dataclass(frozen=True)
class Found:
    """An image of a path, read, or a sentence on why it cannot be."""

    info: SeriesInfo
    image: Callable[[], Image]  # raises UserError


class Reading:
    """Reads what comes in, a few files at a time, within the limits that are set and what is free."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
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
        """Yield all images that a path holds, each to be used before the next one is asked for."""
        if not self._apart:
            yield from _read_here(place, self.limits())
            return
        with self._folder() as folder:
            yield from self._read_apart(place, folder)

    def mask(self, path: Path, image: Image) -> tuple[LabelMap, dict[int, str]]:
        """Return the label map in a file, laid on an image's grid, and what its objects are called."""
        room = FLOOR + MASK_BYTES * math.prod(image.shape)
        limits = Limits(min(self.limits().max_bytes, room), RATIO)
        if not self._apart:
            with limited(limits):
                return io.read_mask(path, image), io.mask_names(path)
        with self._folder() as folder:
            grid = [image.shape, image.affine.tolist()]
            request = self._request(path, folder, limits) | {"mask": str(path), "grid": grid}
            with _Process(request, self._seconds(path)) as process:
                try:
                    reply = process.reply(path.name)
                except EndedError as ended:
                    raise ended.error from None
            names = {int(value): str(name) for value, name in reply["names"].items()}
            return np.load(reply["map"]), names

    def _read_apart(self, place: Path, folder: Path) -> Iterator[Found]:
        """Yield what a process reads; where an image ends it, another one goes on behind that."""
        skip = endings = 0
        while True:
            request = self._request(place, folder, self.limits()) | {"read": str(place), "skip": skip}
            with _Process(request, self._seconds(place)) as process:
                name = place.name
                try:
                    while not (reply := process.reply(name)).get("done"):
                        if "info" in reply:
                            info = SeriesInfo(*reply["info"])
                            name = info.name or info.uid
                            skip += 1
                        else:
                            yield Found(info, _image_of(reply))
                            process.go_on()
                    return
                except EndedError as ended:
                    info = SeriesInfo(name, name, "", "")
                    endings += 1
                    yield Found(info, _raising(ended.error))
                    if not ended.alone or endings == MOST_ENDINGS:
                        return
                except UserError as error:  # of the place as a whole
                    yield Found(SeriesInfo(name, name, "", ""), _raising(error))
                    return

    def _request(self, path: Path, folder: Path, limits: Limits) -> dict[str, Any]:
        memory = min(BESIDE + COPIES * limits.max_bytes, max(free_memory(), BESIDE))
        seconds = self._seconds(path)
        return {"folder": str(folder), "limits": astuple(limits), "memory": memory, "seconds": seconds}

    def _seconds(self, place: Path) -> float:
        """Return the seconds of a processor that reading a path may take."""
        files = (
            [place] if place.is_file() else [Path(root, name) for root, _, names in os.walk(place) for name in names]
        )
        megabytes = sum(_size(path) for path in files) / 2**20
        return self._settings.read_seconds * (1 + megabytes) + SECONDS_A_FILE * len(files)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Give a folder for voxels; `upload-` marks what a killed server leaves."""
        folder = scratch_folder(self._settings.data, "upload-")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _raising(error: UserError) -> Callable[[], Image]:
    def refuse() -> Image:
        raise error

    return refuse


def _image_of(reply: dict[str, Any]) -> Callable[[], Image]:
    """Return what opens the image in a reply: its voxels are mapped from a file."""
    if "error" in reply:
        return _raising(_error_of(reply))
    voxels = np.load(reply["voxels"], mmap_mode="r")
    image = Image(voxels, np.array(reply["affine"]), tuple(reply["notes"]), axes="zyx")
    return lambda: image


def _error_of(reply: dict[str, Any]) -> UserError:
    name, sentence = reply["error"]
    kind = getattr(errors, name, FileError)
    return kind(sentence) if isinstance(kind, type) and issubclass(kind, UserError) else FileError(sentence)


def _read_here(place: Path, limits: Limits) -> Iterator[Found]:
    with limited(limits):
        try:
            for info, read in io.images(place):
                yield Found(info, read)
        except UserError as error:
            yield Found(SeriesInfo(place.name, place.name, "", ""), _raising(error))


class EndedError(Exception):
    """A process that ended before it answered; `alone` says that it was about one image, others may be read."""

    def __init__(self, error: UserError, *, alone: bool) -> None:
        super().__init__(str(error))
        self.error, self.alone = error, alone


class _Process:
    """One process that reads."""

    def __init__(self, request: dict[str, Any], seconds: float) -> None:
        self._seconds = seconds
        self._announced = False
        environment = {name: text for name, text in os.environ.items() if not name.startswith(SECRET)}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        places = ("TMPDIR", "TEMP", "TMP")  # what it unpacks lies in the folder that is deleted with it
        environment |= dict.fromkeys(places, request["folder"])
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from segmend.server.reader import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries quote names and values of files there
            env=environment,
            text=True,
        )
        self._timed_out = False
        self._send(request)

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()

    def go_on(self) -> None:
        """Let the process read the next image."""
        self._send({})

    def reply(self, name: str) -> dict[str, Any]:
        """Return its next answer; UserError when that is a refusal, EndedError when it came to no answer."""
        assert self._process.stdout is not None
        timer = Timer(STARTING_SECONDS + PATIENCE * self._seconds, self._stop)
        timer.daemon = True
        timer.start()  # while it is waited for, and not while it waits for the store
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise EndedError(self._ending(name), alone=self._announced)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply and not self._announced:
            raise _error_of(reply)
        self._announced = "info" in reply
        return reply

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, which its silence will tell
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def _stop(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _ending(self, name: str) -> UserError:
        code = self._process.wait()
        if self._timed_out or code == -getattr(signal, "SIGPROF", math.inf):
            return LimitError(
                f"{name} could not be read within {self._seconds:.3g} seconds of a processor; it may be damaged."
            )
        if code in (-9, 137):
            return LimitError(f"{name} needs more memory to be read than there is.")
        return FileError(f"{name} is damaged: what reads it ended without an answer.")
