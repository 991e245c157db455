"""The process that reads files for another one, and ends with it; `apart` starts it and listens to it.

It is asked with one line of JSON and answers with lines:

    {"read": path, "skip": n, "folder": path, "limits": [...], "memory": bytes, "seconds": s}
    {"one": path, "choice": {"series": uid, "fourth": "channels", "frame": 0}, ...}
    {"mask": path, "grid": [shape, affine], "layered": true or false, ...}
    {"series": path, ...}
    {"anonymise": path, "profile": name, "key": hexadecimal, "into": path, ...}
    {"slides": [path], ...}, {"whole": path, "target": path, "plain": true or false, ...}
    {"slide_series": [path], ...}, {"slide_levels": [path], "target": path, ...}
    {"slide": path, "region_seconds": s, ...}
    {"pair": text, ...}         a pickled function in base64 that returns an image and its label map
    {"info": [...]}             what will be read now
    {"voxels": path, "affine": [...], "notes": [...]}, {"map": path, "names": {...}}, {"found": [...]},
    {"is": true} for each of the slides, {"size": [height, width], "um": ..., "notes": [...]} of the slide,
    {"patients": [[...]], "warnings": [...]},
    those of an image with the "map" beside them, or {"error": [class, sentence]}
    {"done": true}

Voxels are written into the folder. Behind each image of a "read" it waits for a line before it goes on, so that one at
a time lies there. A slide stays open: each further line {"region": [level, y, x, height, width]} is answered with
{"pixels": n} and that many bytes behind the line, so that it can be looked at while the disk is full. This process
imports no more than it needs, for a server starts it for each upload.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image
from segmend.errors import LimitError, UserError
from segmend.io import dicomslides, files, plainslides, slides
from segmend.io.anonymise import anonymise
from segmend.io.sizes import Limits, limited


def main() -> None:
    """Be a process of its own: take the request from standard input, and answer on standard output."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    answer(sys.stdin, replies)


def answer(requests: TextIO, replies: TextIO) -> bool:
    """Read what one line asks for; False where there is no further line."""
    line = requests.readline()
    if not line:
        return False
    request = json.loads(line)
    tempfile.tempdir = request["folder"]  # what it unpacks lies in the folder that is deleted with it
    _limit(int(request["memory"]), float(request["seconds"]))
    with limited(Limits(*request["limits"])):
        try:
            if "mask" in request:
                _answer_mask(request, replies)
            elif "one" in request:
                _answer_image(request, replies)
            elif "pair" in request:
                _answer_pair(request, replies)
            elif "slide" in request:
                _answer_slide(request, requests, replies)
            elif "slides" in request:
                for path in request["slides"]:
                    _say(replies, **{"is": slides.is_slide(Path(path))})
            elif "slide_series" in request:
                found = dicomslides.slide_series([Path(path) for path in request["slide_series"]])
                told = [[one.name, [str(path) for path in one.paths], one.patient, one.study_date] for one in found]
                _say(replies, found=told)
            elif "slide_levels" in request:
                dicomslides.write_slide([Path(path) for path in request["slide_levels"]], Path(request["target"]))
                _say(replies, done=True)
            elif "whole" in request:
                read = plainslides.whole_plain if request.get("plain", False) else slides.whole
                image, kept = read(Path(request["whole"]), Path(request["target"]))
                _say_image(image, request, replies, kept=str(kept))
            elif "anonymise" in request:
                _answer_anonymised(request, replies)
            elif "series" in request:
                _say(replies, found=[astuple(info) for info in files.series(request["series"])])
            else:
                _answer_images(request, requests, replies)
        except UserError as error:
            _say_error(error, replies)
    _allow(0)
    return True


def _limit(memory: int, seconds: float) -> None:
    """Hold this process to so many bytes beside what it has, and to so many seconds of a processor."""
    try:
        import resource
    except ImportError:  # Windows: the other side still has a clock
        return
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow(seconds)


def _allow(seconds: float) -> None:
    """End this process when it has taken so many more seconds of a processor; 0 for as many as it likes."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _say_error(error: UserError, replies: TextIO) -> None:
    _say(replies, error=[type(error).__name__, str(error)])


def _say(replies: TextIO, **values: Any) -> None:
    replies.write(json.dumps(values) + "\n")
    replies.flush()


def _answer_anonymised(request: dict[str, Any], replies: TextIO) -> None:
    key = bytes.fromhex(request["key"])
    done = anonymise(Path(request["anonymise"]), request["profile"], key, Path(request["into"]))
    _say(replies, patients=[astuple(patient) for patient in done.patients], warnings=list(done.warnings))


def _answer_images(request: dict[str, Any], requests: TextIO, replies: TextIO) -> None:
    for number, (info, read) in enumerate(files.images(request["read"], refused=True)):
        if number < request["skip"]:
            continue
        _say(replies, info=astuple(info))
        try:
            path = _say_image(read(), request, replies)
        except UserError as error:
            path = None
            _say_error(error, replies)
        requests.readline()
        if path is not None:
            path.unlink(missing_ok=True)
    _say(replies, done=True)


def _answer_image(request: dict[str, Any], replies: TextIO) -> None:
    _say_image(files.read(request["one"], **request["choice"]), request, replies)


def _say_image(image: Image, request: dict[str, Any], replies: TextIO, **beside: Any) -> Path:
    path = Path(request["folder"], "voxels.npy")
    _save(path, image.voxels)
    _say(replies, voxels=str(path), affine=image.affine.tolist(), notes=image.notes, **beside)
    return path


def _answer_pair(request: dict[str, Any], replies: TextIO) -> None:
    image, labels = pickle.loads(base64.b64decode(request["pair"]))()  # noqa: S301 - by the process that started this
    path = Path(request["folder"], "map.npy")
    _save(path, labels)
    _say_image(image, request, replies, map=str(path))


def _answer_slide(request: dict[str, Any], requests: TextIO, replies: TextIO) -> None:
    slide = slides.SlideFile(Path(request["slide"]))
    _say(replies, size=[slide.height, slide.width], um=slide.um, notes=slide.notes)
    _allow(0)
    while line := requests.readline():
        _allow(request["region_seconds"])
        try:
            pixels = slide.read_inside(*json.loads(line)["region"])
            _say(replies, pixels=pixels.nbytes)
            replies.buffer.write(np.ascontiguousarray(pixels).data)
            replies.buffer.flush()
        except UserError as error:
            _say_error(error, replies)
        _allow(0)


def _answer_mask(request: dict[str, Any], replies: TextIO) -> None:
    shape, affine = request["grid"]
    grid = Image(np.broadcast_to(np.uint8(0), (1, *shape)), np.array(affine), axes="zyx")
    path = Path(request["folder"], "map.npy")
    read = files.read_maps if request.get("layered", False) else files.read_mask
    _save(path, read(request["mask"], grid))
    _say(replies, map=str(path), names=files.mask_names(request["mask"]))


def _save(path: Path, array: NDArray[Any]) -> None:
    try:
        np.save(path, array)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise LimitError(f"There is no room to unpack it: {error.strerror or 'the disk refused'}.") from None
