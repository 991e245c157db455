"""The marks as layers of napari: clicks as points, boxes, strokes and lassos as shapes.

Each mark carries the place of its event in the log as a feature, `event`; what a person adds lies behind all others
and has -1 until it is answered. So what was added and what was deleted is seen by looking, whichever way a person did
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_segmend.layers import is_inside, on_layer, place_of, prompt_of, voxel_of
from segmend.annotating import Mark
from segmend.core.image import Index
from segmend.core.prompts import Box, Click, Drawn, Extremes, Lasso, Prompt, Stroke, is_positive
from segmend.core.reach import Reach

WAITING = -1  # in place of an event: of a mark that was put down and is not answered yet
GREEN, RED = "#66ff66", "#ff5959"  # of marks that say yes and no
WHOLE, NEAR, SLICE, PART = "as far as needed", "near the mark", "only in its slice", "only its connected part"
CLICKS, SHAPES = "Segmend: clicks", "Segmend: boxes, strokes, lassos"


def reach_of(kind: str, mm: float, prompt: Prompt, axis: int | None) -> Reach | None:
    """Return how far a mark may change the mask, by the choice in the panel; None: as far as the method thinks right.

    `axis` is the one that the shown slices are across, None where all of the volume is shown.
    """
    if kind == NEAR:
        return Reach(mm=mm)
    if kind == SLICE:
        return Reach(axis=prompt.axis if isinstance(prompt, Lasso) else axis or 0)
    return Reach(part=True) if kind == PART else None


class Clicks:
    """Clicks and outermost points, as a layer of points."""

    def __init__(self, viewer: Any, image_layer: Any, shape: Index) -> None:
        self._shape = shape
        self._known = 0  # marks that were taken up
        self.layer = viewer.add_points(
            np.zeros((0, image_layer.ndim)),
            name=CLICKS,
            features=pd.DataFrame({"event": np.zeros(0, int)}),
            size=max(2.0, max(shape) / 80),
            border_color="black",
            **place_of(image_layer),
        )

    def added(self, *, positive: bool) -> list[Prompt]:
        """Return what a person has put down since it was last filled; what lies beside the image is left out."""
        new = self.layer.data[_new_in(self.layer, self._known)]
        self._known = len(self.layer.data)
        return [Click(voxel_of(point, self._shape), positive) for point in new if is_inside(point, self._shape)]

    def fill(self, marks: Sequence[Mark]) -> None:
        """Show these marks."""
        points, events, colours = [], [], []
        for mark in marks:
            for index in _points_of(mark.prompt):
                points.append(on_layer(index, self.layer.ndim))
                events.append(mark.event)
                colours.append(GREEN if is_positive(mark.prompt) else RED)
        _empty(self.layer)
        if points:
            self.layer.add(np.array(points))
            self.layer.features = pd.DataFrame({"event": np.array(events, int)})
            self.layer.face_color = colours
        self._known = len(points)


class Shapes:
    """Boxes, strokes and lassos, as a layer of shapes."""

    def __init__(self, viewer: Any, image_layer: Any, shape: Index) -> None:
        self._shape = shape
        self._known = 0  # marks that were taken up
        self.layer = viewer.add_shapes(
            ndim=image_layer.ndim,
            name=SHAPES,
            features=pd.DataFrame({"event": np.zeros(0, int)}),
            edge_width=max(0.5, max(shape) / 250),
            face_color="transparent",
            edge_color=GREEN,
            **place_of(image_layer),
        )

    def added(self, *, positive: bool) -> list[Prompt]:
        """Return what a person has drawn since it was last filled."""
        layer = self.layer
        new = _new_in(layer, self._known)
        self._known = len(layer.data)
        return [prompt_of(str(layer.shape_type[i]), layer.data[i], self._shape, positive=positive) for i in new]

    def fill(self, marks: Sequence[Mark]) -> None:
        """Show these marks."""
        layer, events = self.layer, []
        _empty(layer)
        for mark in marks:
            drawn = _shape_of(mark.prompt, layer.ndim)
            if drawn is not None:
                corners, kind = drawn
                layer.add(corners, shape_type=kind, edge_color=GREEN if is_positive(mark.prompt) else RED)
                events.append(mark.event)
        if events:
            layer.features = pd.DataFrame({"event": np.array(events, int)})
        self._known = len(events)


def events_of(layer: Any) -> set[int]:
    """Return the events whose marks a layer still shows."""
    return {int(event) for event in layer.features["event"]}


def _new_in(layer: Any, known: int) -> np.ndarray:
    """Return the places of marks behind those that are known; they wait from now on."""
    new = np.arange(known, len(layer.data))
    if len(new):
        events = layer.features["event"].to_numpy().copy()  # of the new ones what napari thinks: that of the one chosen
        events[new] = WAITING
        layer.features = pd.DataFrame({"event": events})
    return new


def _empty(layer: Any) -> None:
    layer.selected_data = set(range(len(layer.data)))
    layer.remove_selected()


def _points_of(prompt: Prompt) -> Sequence[Index]:
    match prompt:
        case Click(index=index):
            return [index]
        case Extremes(points=points):
            return points
        case _:
            return []


def _shape_of(prompt: Prompt, ndim: int) -> tuple[np.ndarray, str] | None:
    """Return how a mark is drawn; None for one that is drawn as points, or not at all."""
    match prompt:
        case Box(low=low, high=high):
            return _rectangle(low, tuple(h - 1 for h in high), ndim), "rectangle"
        case Stroke(points=points):
            line = points if len(points) > 1 else points * 2
            return np.array([on_layer(point, ndim) for point in line]), "path"
        case Lasso(points=points):
            line = points if len(points) > 2 else points + points[-1:] * (3 - len(points))
            return np.array([on_layer(point, ndim) for point in line]), "polygon"
        case Drawn():
            low, high = prompt.points.min(axis=0), prompt.points.max(axis=0)
            return _rectangle(low, high, ndim), "rectangle"
        case _:
            return None


def _rectangle(low: Sequence[int], high: Sequence[int], ndim: int) -> np.ndarray:
    """Return a rectangle round voxels, in the slice in the middle of them along their thinnest axis."""
    ends = np.array([low, high], float)
    thin = int(np.argmin(ends[1] - ends[0]))
    ends[:, thin] = np.floor(ends[:, thin].mean())
    rows, columns = (axis for axis in range(3) if axis != thin)
    corners = np.tile(ends[0], (4, 1))
    for corner, (row, column) in zip(corners, [(0, 0), (0, 1), (1, 1), (1, 0)], strict=True):
        corner[rows], corner[columns] = ends[row, rows], ends[column, columns]
    return corners[:, 3 - ndim :]
