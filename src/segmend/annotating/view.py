"""`segmend.show`: an image in a notebook, to be marked there; the mask is there for the next cell.

The page is a widget of anywidget (`pip install 'segmend[notebook]'`), which works in JupyterLab, Jupyter Notebook,
VS Code and others; `widget.js` is all of it, and it loads nothing from anywhere. What people do on the page can be done
in Python too, with the same undo.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from segmend.annotating.annotation import Annotation
from segmend.annotating.local import LocalAnnotation
from segmend.annotating.panel import Panel
from segmend.core.image import Image, Index
from segmend.core.prompts import Click, Prompt
from segmend.core.reach import Reach
from segmend.core.session import Session
from segmend.errors import PromptError, SettingsError
from segmend.io import open_image, to_nibabel, to_simpleitk

SCRIPT = Path(__file__).with_name("widget.js")


class View:
    """An image shown in a notebook, and what is annotated on it.

    `label_map()` and `mask()` are in the form in which the image was given: of nibabel or SimpleITK, or an array whose
    axes are in the same order; of a path, and of Segmend's own image, an array [z y x].
    """

    def __init__(self, annotation: Annotation, image: Image, given: Any, axes: str | None) -> None:
        self.annotation = annotation
        self.image = image
        self.panel = Panel(annotation, image)
        self._given = given
        self._axes = axes
        self._widget: Any = None

    def __repr__(self) -> str:
        names = ", ".join(self.labels.values()) or "none"
        return f"<View of {self.image!r}: {len(self.annotation.marks)} marks, labels: {names}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the widget, and a picture of it as it is now for where no kernel runs."""
        from PIL import Image as Pillow

        file = io.BytesIO()
        Pillow.fromarray(self.panel.picture()).save(file, "PNG", optimize=True)
        made = self.widget._repr_mimebundle_(**options)
        data, about = made if isinstance(made, tuple) else (made, {})
        data = {**(data or {}), "image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": repr(self)}
        return data, about

    @property
    def widget(self) -> Any:
        """The widget itself, to be put beside others."""
        if self._widget is None:
            self._widget = _widget_class()(self.panel)
        return self._widget

    # What came of it

    @property
    def session(self) -> Session:
        """The log of all that was done."""
        return self.panel.ask(lambda: self.annotation.session)

    @property
    def labels(self) -> dict[int, str]:
        """The labels' names by their numbers in the label map."""
        return {value: label.name for value, label in self.annotation.session.labels.items()}

    @property
    def quality(self) -> float | None:
        """The Dice that is expected of the mask answered last; None where nothing reliable is known of it."""
        return self.panel.ask(lambda: self.annotation.quality)

    def label_map(self) -> Any:
        """Return the number of each voxel's label, 0 where there is none."""
        return self._as_given(self.panel.ask(lambda: self.annotation.map))

    def mask(self, label: int | str | None = None) -> Any:
        """Return the mask of one label, by its number or name; of the one that is worked on where none is said."""
        value = self._label(label)
        mask = self.panel.ask(lambda: self.annotation.mask(value))
        return self._as_given(mask if self._is_array else mask.astype(np.uint8))

    @property
    def _is_array(self) -> bool:
        return not any(hasattr(self._given, name) for name in ("dataobj", "GetDirection"))

    def _as_given(self, values: np.ndarray) -> Any:
        if hasattr(self._given, "dataobj"):
            return to_nibabel(values, self.image)
        if hasattr(self._given, "GetDirection"):
            return to_simpleitk(values, self.image)
        if self._axes is None:
            return values
        order = [name for name in self._axes if name != "c"]
        there = values if "z" in order else values[0]
        names = [name for name in "zyx" if name in order]
        return np.ascontiguousarray(there.transpose([names.index(name) for name in order]))

    # What can be done in Python too

    def add(self, prompt: Prompt, label: int | str | None = None, *, reach: Reach | None = None) -> None:
        """Put down a prompt: a click, a stroke, a box, a lasso, a mask to begin with, ...; voxels are (z, y, x).

        `reach` says how far it may change the mask: `segmend.Reach(mm=10)`, `Reach(axis=0)`, `Reach(part=True)`.
        """
        value = self._label(label)
        self.panel.run(lambda: self.annotation.mark(prompt, value, reach=reach))

    def click(
        self, *index: int, positive: bool = True, label: int | str | None = None, reach: Reach | None = None
    ) -> None:
        """Click on a voxel (z, y, x), or (y, x) of a picture."""
        voxel: Index = self.image.voxel(*index)
        self.add(Click(voxel, positive), label, reach=reach)

    def lock_slices(self, slices: Iterable[int], *, axis: int = 0, locked: bool = True) -> None:
        """Let no mask change in these slices across an axis any longer, or again."""
        numbers = tuple(slices)
        self.panel.run(lambda: self.annotation.lock_slices(numbers, axis=axis, locked=locked))

    def add_label(self, name: str, colour: Sequence[int] | None = None) -> int:
        """Add a label, work on it from now on, and return its number."""

        def work() -> int:
            value = self.annotation.add_label(name, colour)
            self.panel.choose(value)
            return value

        return self.panel.run(work)

    def choose(self, label: int | str) -> None:
        """Work on a label from now on."""
        value = self._label(label)
        self.panel.run(lambda: self.panel.choose(value))

    def look(self, index: int, plane: int = 0) -> None:
        """Show a slice of a plane: 0, 1 or 2, along the first, second or third axis of voxels."""
        self.panel.look(plane, index)

    def undo(self) -> None:
        """Take the last step back."""
        self.panel.run(self.annotation.undo)

    def redo(self) -> None:
        """Bring back what was taken back last."""
        self.panel.run(self.annotation.redo)

    def remove(self, event: int) -> None:
        """Take an earlier mark away, by the place of its event in the log (`annotation.marks`)."""
        self.panel.run(lambda: self.annotation.remove(event))

    def close(self) -> None:
        """End the work and give memory back; the masks stay."""
        self.panel.close()
        self.annotation.close()

    def _label(self, label: int | str | None) -> int:
        if label is None:
            self.annotation.check_label(self.panel.label)
            return self.panel.label
        if isinstance(label, str):
            found = [value for value, name in self.labels.items() if name == label]
            if not found:
                raise PromptError(
                    f"There is no label {label!r}; there are {', '.join(self.labels.values()) or 'none'}."
                )
            return found[0]
        self.annotation.check_label(label)
        return label


def show(
    image: Any,
    *,
    labels: Sequence[str] = ("object",),
    method: str = "mend",
    weights: Path | None = None,
    device: str = "auto",
    **where: Any,
) -> View:
    """Show an image in a notebook, to be segmented there by clicks, boxes and strokes.

    `image` is all that `segmend.open_image` takes: a path, an array, an image of nibabel, SimpleITK or MONAI, or
    Segmend's own; `axes`, `spacing`, `affine` and so on are given to it. What was annotated is there for the next cell,
    in the form of what was given: `view.mask()`, `view.label_map()`.
    """
    if isinstance(labels, str) or not all(isinstance(name, str) and name.strip() for name in labels):
        raise SettingsError(f"The labels to begin with are a list of names; got {labels!r}.")
    opened = open_image(image, **where)
    axes = _axes_of(image, opened, where.get("axes"))
    annotation = LocalAnnotation(opened, method=method, weights=weights, device=device)
    for name in labels:
        annotation.add_label(name)
    return View(annotation, opened, image, axes)


def _axes_of(given: Any, image: Image, axes: str | None) -> str | None:
    """Return the axes of an array that was given; None of what is no array."""
    if axes is not None:
        return axes
    if isinstance(given, str | Path | Image) or any(hasattr(given, name) for name in ("dataobj", "GetDirection")):
        return None
    return {2: "yx", 3: "zyx", 4: "czyx"}[len(given.shape) if hasattr(given, "shape") else np.ndim(given)]


@cache
def _widget_class() -> Any:
    try:
        anywidget = import_module("anywidget")
    except ModuleNotFoundError as missing:
        if missing.name != "anywidget":
            raise
        raise SettingsError(
            "Showing an image in a notebook needs anywidget; install it with: pip install 'segmend[notebook]'"
        ) from None

    class Widget(anywidget.AnyWidget):  # type: ignore[misc, name-defined]
        """The page of one panel."""

        _esm = SCRIPT.read_text(encoding="utf-8")

        def __init__(self, panel: Panel) -> None:
            super().__init__()
            self.on_msg(lambda _, content, __: panel.take(content))
            panel.listen(self.send)

    return Widget
