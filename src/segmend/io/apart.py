"""Files read in a process of their own that may fail alone.

What decodes a file is mostly code of others in C, and a file may be made to keep it busy for hours, to have it take all
memory, or to end the process. So a process reads it, with limits of memory and of time of the processor, where the
system has such limits; it writes voxels into a folder, where they are mapped from. What comes back is images and
sentences. What the two say to each other is in `reader`.

A server starts that process anew, which takes .3 s, for in a process with threads a copy of it may wait for ever for a
lock that no thread of its own holds. A command reads before it has any, so on Linux it makes a copy of itself (a fork),
which has imported all that it needs: that takes 6 ms, and as much again for the memory that both then write to. A
command that reads many files keeps such a copy for the next ones (`Kept`), until one of them is refused or ends it.
"""

from __future__ import annotations

import base64
import gc
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from threading import Lock, Timer
from typing import Any, NoReturn, Protocol, TextIO

import numpy as np

from segmend import errors
from segmend.core.image import Image, Index, LabelMap
from segmend.errors import FileError, LimitError, UserError
from segmend.io import reader
from segmend.io.anonymise import Anonymised, Patient, Profile
from segmend.io.dicomslides import SlideSeries
from segmend.io.series import SeriesInfo
from segmend.io.sizes import USUAL, Limits
from segmend.io.slides import Pixels, Slide
from segmend.runtime.memory import free_memory

# Seconds of a processor that reading may take for each megabyte of a file and once for its start.
READ_SECONDS = 5.0
# Seconds of a processor for each file of a folder, beside those for its size.
SECONDS_A_FILE = 0.02
# Seconds of a processor that a region of an open slide may take.
REGION_SECONDS = 30.0
# Seconds by the clock for each of the processor: others may want it, and the disk may be slow.
PATIENCE = 6
# Seconds by the clock for the start of a process.
STARTING_SECONDS = 60
# Bytes beside the voxels, and how often it holds these: packed, unpacked, in another order, as floats.
BESIDE, COPIES = 2**30, 4
# Files that one copy of a process reads before a new one takes its place.
MOST_FILES = 50
# Images that end the process, after which the others of a folder are given up.
MOST_ENDINGS = 5
# How variables of the environment begin that may hold tokens and passwords: reading needs none.
SECRET = ("SEGMEND_", "AWS_", "PG")


@dataclass(frozen=True)
class Found:
    """An image of a path, read, or a sentence on why it cannot be."""

    info: SeriesInfo
    image: Callable[[], Image]  # raises UserError


Affine = tuple[tuple[float, ...], ...]  # [4 4]
Pair = tuple[Image, LabelMap]


@dataclass(frozen=True)
class Saved:
    """An image that was read: its voxels in a file, which can be told to another process."""

    voxels: Path
    affine: Affine
    notes: tuple[str, ...]

    def image(self) -> Image:
        """Return the image; its voxels are mapped from the file."""
        mapped = sys.platform != "win32"  # where a file that is mapped could not be deleted
        voxels = np.load(self.voxels, mmap_mode="r" if mapped else None)
        return Image(voxels, np.array(self.affine), self.notes, axes="zyx")


class EndedError(Exception):
    """A process that ended before it answered; `alone` says that it was about one image, others may be read."""

    def __init__(self, error: UserError, *, alone: bool) -> None:
        super().__init__(str(error))
        self.error, self.alone = error, alone


@dataclass(frozen=True)
class Apart:
    """Reads files within limits, each time in a process of its own; voxels lie in its folder while they are used."""

    folder: Path
    limits: Callable[[], Limits] = lambda: USUAL  # asked for each process: what is free changes
    seconds: float = READ_SECONDS  # of a processor, for each megabyte and for the start
    forked: bool = False  # a copy of this process, which has no threads
    region_seconds: float = REGION_SECONDS
    kept: Kept | None = None  # a copy that reads one file after the other

    def images(self, place: Path) -> Iterator[Found]:
        """Yield all images that a path holds, each to be used before the next one is asked for.

        Where an image ends the process, another one goes on behind it.
        """
        skip = endings = 0
        while True:
            with self._process(place, read=str(place), skip=skip) as process:
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
                    yield Found(info, raising(ended.error))
                    if not ended.alone or endings == MOST_ENDINGS:
                        return
                except UserError as error:  # of the place as a whole
                    yield Found(SeriesInfo(name, name, "", ""), raising(error))
                    return

    def image(self, place: Path, *, series: str | None = None, fourth: str = "channels", frame: int = 0) -> Image:
        """Return what `io.read` does; nothing of it stays in the folder."""
        saved = self.saved(place, series=series, fourth=fourth, frame=frame)
        image = saved.image()
        saved.voxels.unlink()  # what is mapped stays until it is used no longer
        return image

    def saved(self, place: Path, *, series: str | None = None, fourth: str = "channels", frame: int = 0) -> Saved:
        """Return what `io.read` does as a file in the folder, for another process; the next one replaces it."""
        choice = {"series": series, "fourth": fourth, "frame": frame}
        return _saved(self._reply(place, one=str(place), choice=choice))

    def saved_mask(self, path: Path, shape: Index, affine: Affine) -> Path:
        """Return a file in the folder with the label map that `io.read_mask` reads for a grid, for `np.load`."""
        return Path(self._reply(path, mask=str(path), grid=[shape, affine])["map"])

    def series(self, place: Path) -> tuple[SeriesInfo, ...]:
        """Return what `io.series` does."""
        return tuple(SeriesInfo(*values) for values in self._reply(place, series=str(place))["found"])

    def mask(self, path: Path, image: Image, *, layered: bool = False) -> tuple[LabelMap, dict[int, str]]:
        """Return the label map in a file, laid on an image's grid, and what its objects are called.

        With `layered` it is what `io.read_maps` reads.
        """
        grid = [image.shape, image.affine.tolist()]
        reply = self._reply(path, mask=str(path), grid=grid, layered=layered)
        return np.load(reply["map"]), {int(value): str(name) for value, name in reply["names"].items()}

    def anonymise(self, place: Path, profile: Profile, key: bytes, target: Path) -> Anonymised:
        """Do what `anonymise.anonymise` does."""
        reply = self._reply(place, anonymise=str(place), profile=profile, key=key.hex(), into=str(target))
        return Anonymised(tuple(Patient(*values) for values in reply["patients"]), tuple(reply["warnings"]))

    def pair(self, name: str, read: Callable[[], Pair], paths: Sequence[Path]) -> Pair:
        """Return an image and its label map as a function reads them from some paths; it is sent pickled."""
        reply = self._reply(*paths, name=name, pair=base64.b64encode(pickle.dumps(read)).decode())
        saved, labels = _saved(reply), Path(reply["map"])
        found = saved.image(), np.load(labels)
        saved.voxels.unlink()
        labels.unlink()
        return found

    def are_slides(self, paths: Sequence[Path]) -> list[bool]:
        """Say of each file whether it is a slide; one that ends the process is none."""
        found: list[bool] = []
        while len(found) < len(paths):
            left = paths[len(found) :]
            with self._process(*left, slides=[str(path) for path in left]) as process:
                try:
                    found.extend(process.reply(path.name)["is"] for path in left)
                except EndedError:
                    found.append(False)
        return found

    def slide_series(self, paths: Sequence[Path]) -> list[SlideSeries]:
        """Return what `dicomslides.slide_series` does."""
        found = self._reply(*paths, slide_series=[str(path) for path in paths])["found"]
        return [SlideSeries(str(name), tuple(map(Path, files)), *about) for name, files, *about in found]

    def write_slide(self, paths: Sequence[Path], target: Path) -> None:
        """Do what `dicomslides.write_slide` does."""
        self._reply(*paths, slide_levels=[str(path) for path in paths], target=str(target))

    def whole(self, path: Path, target: Path, *, plain: bool = False) -> tuple[Image, Path]:
        """Return what `slides.whole` does, or `plainslides.whole_plain`."""
        reply = self._reply(path, whole=str(path), target=str(target), plain=plain)
        return _saved(reply).image(), Path(reply["kept"])

    def slide(self, path: Path) -> SlideApart:
        """Return an open slide, which a process of its own reads until it is closed."""
        start = partial(self._process, path, slide=str(path), region_seconds=self.region_seconds)
        return SlideApart(path, start, self.region_seconds)

    def _reply(self, *places: Path, name: str = "", **request: Any) -> dict[str, Any]:
        """Return the one answer to a request."""
        name, request, seconds = name or places[0].name, *self._request(places, request)
        if self.kept is not None:
            return self.kept.reply(request, seconds, name)
        with _Process(request, seconds, _Copy if self.forked else _started) as process:
            try:
                return process.reply(name)
            except EndedError as ended:
                raise ended.error from None

    def _process(self, *places: Path, **request: Any) -> _Process:
        return _Process(*self._request(places, request), _Copy if self.forked else _started)

    def _request(self, places: Sequence[Path], request: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Return a request with its limits, and the seconds that it may take."""
        limits = self.limits()
        memory = min(BESIDE + COPIES * limits.max_bytes, max(free_memory(), BESIDE))
        seconds = self._seconds(places)
        common = {"folder": str(self.folder), "limits": astuple(limits), "memory": memory, "seconds": seconds}
        return request | common, seconds

    def _seconds(self, places: Iterable[Path]) -> float:
        """Return the seconds of a processor that reading some paths may take."""
        files = [file for place in places for file in _files_of(place)]
        megabytes = sum(_size(path) for path in files) / 2**20
        return self.seconds * (1 + megabytes) + SECONDS_A_FILE * len(files)


def _files_of(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [Path(root, name) for root, _, names in os.walk(place) for name in names]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def raising(error: UserError) -> Callable[[], Image]:
    """Return what refuses an image with this sentence."""

    def refuse() -> Image:
        raise error

    return refuse


def _image_of(reply: dict[str, Any]) -> Callable[[], Image]:
    """Return what opens the image in a reply: its voxels are mapped from a file."""
    if "error" in reply:
        return raising(_error_of(reply))
    image = _saved(reply).image()
    return lambda: image


def _saved(reply: dict[str, Any]) -> Saved:
    return Saved(Path(reply["voxels"]), tuple(tuple(row) for row in reply["affine"]), tuple(reply["notes"]))


def _error_of(reply: dict[str, Any]) -> UserError:
    name, sentence = reply["error"]
    kind = getattr(errors, name, FileError)
    return kind(sentence) if isinstance(kind, type) and issubclass(kind, UserError) else FileError(sentence)


class _Child(Protocol):
    """A process that reads, and the pipes to it."""

    stdin: Any
    stdout: Any

    def kill(self) -> None: ...

    def wait(self) -> int: ...


def _started(folder: str) -> _Child:
    """Return a new process, which imports what it needs."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(SECRET)}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    places = ("TMPDIR", "TEMP", "TMP")  # what it unpacks lies in the folder that is deleted with it
    environment |= dict.fromkeys(places, folder)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from segmend.io.reader import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libraries quote names and values of files there
        env=environment,
    )


class _Copy:
    """A copy of this process that reads."""

    def __init__(self, _folder: str) -> None:
        requests, written = os.pipe()
        read, replies = os.pipe()
        self.stdin, self.stdout = os.fdopen(written, "wb"), os.fdopen(read, "rb")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: libraries may have some that wait
            self._number = os.fork()
        if not self._number:
            self.stdin.close()
            self.stdout.close()
            _read_as_a_copy(os.fdopen(requests, encoding="utf-8"), os.fdopen(replies, "w", encoding="utf-8"))
        os.close(requests)
        os.close(replies)
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            os.kill(self._number, signal.SIGKILL)

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._number, 0)[1])
        return self._code


def _read_as_a_copy(requests: TextIO, replies: TextIO) -> NoReturn:
    """Be the copy: answer, and end without anything that this process would do at its own end."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the other side, which ends this one
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        gc.freeze()  # looking through what was there before would copy all of it
        while reader.answer(requests, replies):
            pass
        code = 0
    finally:
        os._exit(code)


class _Process:
    """One process that reads, and what it says."""

    def __init__(self, request: dict[str, Any], seconds: float, start: Callable[[str], _Child]) -> None:
        self._seconds = seconds
        self._announced = False
        self._timed_out = False
        self._process = start(request["folder"])
        self._send(request)

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()

    def go_on(self) -> None:
        """Let the process read the next image."""
        self._send({})

    def ask(self, seconds: float, **request: Any) -> None:
        """Ask for something more, which may take so many seconds of a processor."""
        self.again(request, seconds)

    def again(self, request: dict[str, Any], seconds: float) -> None:
        """Send another request, which may take so many seconds of a processor."""
        self._seconds = seconds
        self._send(request)

    def reply(self, name: str) -> dict[str, Any]:
        """Return its next answer; UserError when that is a refusal, EndedError when it came to no answer."""
        line: bytes = self._in_time(self._process.stdout.readline)
        if not line:
            raise EndedError(self._ending(name), alone=self._announced)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply and not self._announced:
            raise _error_of(reply)
        self._announced = "info" in reply
        return reply

    def read(self, count: int, name: str) -> bytes:
        """Return the bytes that it sends behind an answer."""
        found: bytes = self._in_time(partial(self._process.stdout.read, count))
        if len(found) < count:
            raise EndedError(self._ending(name), alone=True)
        return found

    def _in_time(self, read: Callable[[], bytes]) -> bytes:
        """Return what is read from it, and end it where it is silent for too long."""
        timer = Timer(STARTING_SECONDS + PATIENCE * self._seconds, self._stop)
        timer.daemon = True
        timer.start()  # while it is waited for, and not while it waits for the store
        try:
            return read()
        finally:
            timer.cancel()

    def _send(self, request: dict[str, Any]) -> None:
        with suppress(OSError):  # it has ended, which its silence will tell
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
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


class Kept:
    """A copy of this process that reads one file after the other, for one thread; `end` ends it.

    The copy is a new one after a file that it refused or that ended it, and after `MOST_FILES`, so what a file may have
    left behind in it reaches few others. Each file has its own seconds; the limit of memory is the first one's.
    """

    def __init__(self) -> None:
        self._process: _Process | None = None
        self._files = 0

    def reply(self, request: dict[str, Any], seconds: float, name: str) -> dict[str, Any]:
        """Return the answer to a request for one file; UserError where it is refused or there is none."""
        if self._process is None:
            self._process, self._files = _Process(request, seconds, _Copy), 0
        else:
            self._process.again(request, seconds)
        self._files += 1
        try:
            reply = self._process.reply(name)
        except BaseException as error:
            self.end()
            if isinstance(error, EndedError):
                raise error.error from None
            raise
        if self._files == MOST_FILES:
            self.end()
        return reply

    def end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class SlideApart(Slide):
    """A slide that a process of its own reads; where it ends, another one is started for the next region."""

    def __init__(self, path: Path, start: Callable[[], _Process], region_seconds: float) -> None:
        self._start, self._region_seconds = start, region_seconds
        self._lock = Lock()
        self._closed = False
        self._process: _Process | None = None
        self.name = path.name
        said = self._open()
        (height, width), um = said["size"], said["um"]
        super().__init__(path.name, height, width, None if um is None else (um[0], um[1]), tuple(said["notes"]))

    def read_inside(self, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        with self._lock:
            if self._closed:
                raise FileError(f"{self.name} was closed.")
            if self._process is None:
                self._open()
            assert self._process is not None
            try:
                self._process.ask(self._region_seconds, region=[level, y, x, height, width])
                found = self._process.read(self._process.reply(self.name)["pixels"], self.name)
            except EndedError as ended:
                self._end()
                raise ended.error from None
            return np.frombuffer(found, np.uint8).reshape(height, width, 3)

    def forget(self) -> None:
        """End the process; another one is started for whoever still reads, and ends with the slide."""
        with self._lock:
            self._end()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._end()

    def _open(self) -> dict[str, Any]:
        """Start the process, and return what it says of the slide."""
        process = self._start()
        self._ending = weakref.finalize(self, process.end)
        try:
            said = process.reply(self.name)
        except EndedError as ended:
            self._ending()
            raise ended.error from None
        except BaseException:
            self._ending()
            raise
        self._process = process
        return said

    def _end(self) -> None:
        if self._process is not None:
            self._process = None
            self._ending()
