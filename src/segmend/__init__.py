"""Segmend mends medical segmentations: a few marks, and the mask is right.

>>> import segmend
>>> image = segmend.Image(np.zeros((1, 1, 4, 5)))
>>> segmend.Session(image.shape).add(segmend.Defined(segmend.Label(1, "lesion", (230, 75, 60)))).labels[1].name
'lesion'

The names here are what most programs need; `segmend.io` reads and writes files,
`segmend.store` keeps them, `segmend.methods` holds the methods. What reads images is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segmend.core.image import Box, Image, LabelMap, MaskArray
from segmend.core.prompts import Adjust, Click, Drawn, Extremes, Lasso, Mask, Prompt, Stroke
from segmend.core.reach import Reach
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace, answer, answers
from segmend.core.session import (
    Canvas,
    Defined,
    Deleted,
    Edited,
    Event,
    Label,
    Ordered,
    Patch,
    Prompted,
    Redone,
    Removed,
    Session,
    SlicesLocked,
    Undone,
)
from segmend.errors import SegmendError, UserError
from segmend.methods import card, cards, load

if TYPE_CHECKING:
    from segmend.annotating import show
    from segmend.io import open_image, to_nibabel, to_simpleitk

__version__ = "0.1.0"

__all__ = [
    "Adjust",
    "Box",
    "Canvas",
    "Click",
    "Defined",
    "Deleted",
    "Drawn",
    "Edited",
    "Event",
    "Extremes",
    "Image",
    "Label",
    "LabelMap",
    "Lasso",
    "Mask",
    "MaskArray",
    "Method",
    "Ordered",
    "Patch",
    "Prediction",
    "Prompt",
    "Prompted",
    "Reach",
    "Redone",
    "Removed",
    "SegmendError",
    "Segmenter",
    "Session",
    "SlicesLocked",
    "Stroke",
    "Undone",
    "UserError",
    "Workspace",
    "__version__",
    "answer",
    "answers",
    "card",
    "cards",
    "load",
    "open_image",
    "show",
    "to_nibabel",
    "to_simpleitk",
]

# What is imported when somebody first asks for it, so that `import segmend` stays quick.
_LATER = {
    "open_image": "segmend.io",
    "show": "segmend.annotating",
    "to_nibabel": "segmend.io",
    "to_simpleitk": "segmend.io",
}
_MODULES = ("annotating", "datasets", "editing", "io", "samples", "store")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
