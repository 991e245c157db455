"""Where a method's calibration lies: in a file beside its weights, which says of which weights it speaks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from segmend.core.calibration import Calibration, calibration_from
from segmend.runtime.engine import weights_file

NONE: Mapping[int, Calibration] = MappingProxyType({})


def file_of(method: str, folder: Path | None) -> Path:
    """Return where a method's calibration lies or would lie: in a folder of weights or in the package.

    >>> file_of("mend", Path("runs")).as_posix()
    'runs/mend_calibration.json'
    """
    return weights_file(f"{method}_calibration.json", folder)


def digest_of(method: str, dimensions: int, folder: Path | None) -> str:
    """Return a digest of the weights that a method uses in 2 or 3 dimensions; empty where there are none."""
    family = method.partition(".")[0]
    files = _weights(family, dimensions, folder) or _weights(family, dimensions, None)
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16] if files else ""


def _weights(family: str, dimensions: int, folder: Path | None) -> list[Path]:
    every = sorted(weights_file("", folder).glob(f"{family}*"))
    other = f"{family}{5 - dimensions}d"
    return [path for path in every if path.suffix in (".onnx", ".npz") and not path.name.startswith(other)]


@cache
def calibrations_of(method: str, folder: Path | None) -> Mapping[int, Calibration]:
    """Return what is known of the Dice that a method expects, by dimensions, with its own weights or a folder's.

    What was found out of other weights, or lies in a file that cannot be read, says nothing.
    """
    found: dict[int, Calibration] = {}
    for place in dict.fromkeys((None, folder)):  # a folder may hold the weights of one dimension only
        try:
            values = json.loads(file_of(method, place).read_text(encoding="utf-8"))
            found |= {
                int(dimensions): calibration_from(one)
                for dimensions, one in values["dimensions"].items()
                if one["weights"] == digest_of(method, int(dimensions), folder)
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return MappingProxyType(found)
