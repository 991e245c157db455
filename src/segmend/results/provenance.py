"""How a mask was made, as JSON: every event with its time and person, and hashes of image, weights, answers and mask.

`segmend replay` works the mask out again from it and the image alone (`segmend.server.sessions.replaying`). Hashes are
SHA-256:

- of an image: its shape [c, z, y, x] as text, then its numbers as float64;
- of a label map: its numbers as uint16; of an answer: its box as text, then its numbers as uint16;
- of a method's weights: the name of each file and its content, in the order of the names;
- of a label's marks: the JSON of each mark and edit of it that is in effect, as in the list of events but with sorted
  names and without spaces, and a line feed behind each. DICOM segmentations say this one, too.

Numbers are little endian, x fastest. The weights are those that were in use when the file was written.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from segmend import __version__
from segmend.core.image import Image, LabelMap
from segmend.core.session import GIVEN, Patch, Prompted, Session, event_to_json, label_to_json
from segmend.io.dicomseg import Origin
from segmend.results.case_result import CaseResult
from segmend.runtime.engine import weights_file
from segmend.runtime.versions import in_use

FORMAT, FORMAT_VERSION = "segmend provenance", 1
# Files of weights, and none that only describe them.
WEIGHTS = (".onnx", ".npz", ".json")
# What computes: another version of it may round otherwise.
LIBRARIES = ("openvino", "numpy", "scipy", "onnxruntime", "torch")


def provenance(
    result: CaseResult, *, anonymous: bool = True, weights: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Return how a case's masks were made; `weights` are folders of methods' own weights, by method."""
    case, session = result.case, result.session
    about = {"id": case.id, "name": case.name, "project": case.project, "modality": case.modality}
    if not anonymous:
        about |= {"patient": case.patient, "study_date": case.study_date}
    methods = {event.method for event in session.events if isinstance(event, Prompted)} - {GIVEN}
    origins = origins_of(session)
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "segmend": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.system(), "processor": platform.machine(), **_versions()},
        "case": about,
        "image": {
            "shape": [result.image.channels, *result.image.shape],
            "affine": result.image.affine.tolist(),
            "sha256": image_hash(result.image),
        },
        "session": {"id": result.record.id, "user": result.record.user, "created": _time(result.record.created)},
        "methods": {name: {"weights": weights_hash(name, (weights or {}).get(name))} for name in sorted(methods)},
        "events": [
            {
                "position": record.position,
                "time": _time(record.created),
                "user": record.user,
                "event": event_to_json(record.event),
                "answer": _answer(session.answers.get(record.position)),
            }
            for record in result.history
        ],
        "in_effect": list(session.done),
        "labels": [
            {
                **label_to_json(label),
                "voxels": int(np.count_nonzero(result.mask(label.value))),
                "marks_sha256": origins[label.value].sha256,
            }
            for label in result.labels
        ],
        "mask": {"sha256": map_hash(result.maps)},
    }


def to_bytes(values: Mapping[str, Any]) -> bytes:
    """Return it as the bytes of a file."""
    return (json.dumps(values, indent=1) + "\n").encode()


def image_hash(image: Image) -> str:
    """Return the hash of an image, which is the same in whatever format and type its numbers are kept."""
    found = hashlib.sha256(repr([image.channels, *image.shape]).encode())
    for plane in image.voxels.reshape(-1, *image.voxels.shape[2:]):  # one at a time: a copy of all would be large
        found.update(np.ascontiguousarray(plane, "<f8").tobytes())
    return found.hexdigest()


def map_hash(label_map: LabelMap) -> str:
    """Return the hash of a label map, or of the maps of layers, one after the other.

    >>> map_hash(np.zeros((1, 1, 1), np.uint16))[:8]
    '96a296d2'
    """
    found = hashlib.sha256()
    for plane in label_map.reshape(-1, *label_map.shape[-2:]):
        found.update(np.ascontiguousarray(plane, "<u2").tobytes())
    return found.hexdigest()


def patch_hash(patch: Patch) -> str:
    """Return the hash of an answer, which does not depend on how its numbers are packed."""
    box = repr((patch.box.low, patch.box.high)).encode()
    return hashlib.sha256(box + patch.values.astype("<u2").tobytes()).hexdigest()


def origins_of(session: Session) -> dict[int, Origin]:
    """Return by label what made its mask."""
    found = {}
    for label in session.labels:
        events = [session.events[i] for i in session.marked(label)]
        methods = [event.method for event in events if isinstance(event, Prompted) and event.method != GIVEN]
        found[label] = Origin.of(methods, [event_to_json(event) for event in events])
    return found


def weights_hash(method: str, folder: Path | None = None) -> str | None:
    """Return the hash of a method's weights: those in a folder or in the package; None for one that has none."""
    place = weights_file("") if folder is None else in_use(folder)
    files = sorted(path for path in place.glob("*") if path.suffix in WEIGHTS and path.name != "run.json")
    if folder is None:
        files = [path for path in files if path.name.startswith(method)]
    if not files:
        return None
    found = hashlib.sha256()
    for path in files:
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _answer(patch: Patch | None) -> dict[str, Any] | None:
    if patch is None:
        return None
    return {"low": list(patch.box.low), "high": list(patch.box.high), "sha256": patch_hash(patch)}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
