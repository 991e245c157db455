"""What the page of a widget says, and what it is told: everything between `widget.js` and an annotation.

The page asks for slices, and says what a person does; every message is a JSON object with a `type`, voxels travel
beside it as bytes. Slices are answered at once, by whoever brings the message; what changes the annotation is done in
the order in which it came, by one thread, so that a notebook's kernel stays free. What is refused comes back as one
sentence.

From the page: `hello`; `slice` (plane, index, channel, view); `mark` (prompt as JSON, label, reach); `lock` (plane,
index, locked); `undo`; `redo`; `remove` (event); `label` (name); `rename` (label, name); `choose` (label); `delete`
(label); `next`. To the page: `state`; `slice`, with its pixels, its label map and its uncertainty; `changed`, where
slices are to be asked for again; `go` (place); `look` (plane, index); `busy`; `error` (message).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segmend.annotating.annotation import Annotation, Levels
from segmend.annotating.planes import Plane, planes
from segmend.core.image import Box, Image, whole
from segmend.core.prompts import from_json, is_positive, to_json
from segmend.core.reach import reach_from_json
from segmend.core.session import Defined, label_to_json
from segmend.errors import PromptError, SegmendError

Json = dict[str, Any]
Tell = Callable[[Json, list[bytes]], None]
Done = TypeVar("Done")
WINDOW = (0.5, 99.5)  # percentiles of the voxels that are shown black and white
SAMPLED = 1_000_000  # voxels that these are told from
POINTS = 2000  # of one mark that the page is told, to draw it


class Panel:
    """One annotation shown on pages: any number of them show the same."""

    def __init__(self, annotation: Annotation, image: Image) -> None:
        self.annotation = annotation
        self.image = image
        self.planes = planes(image)
        self.label = next(iter(annotation.session.labels), 0)  # that is worked on; 0: none is defined
        self.shown: tuple[int, int] = (0, image.shape[0] // 2)  # plane and slice that a page showed last
        self._map = annotation.map  # as the pages know it: read while an answer is being made
        self._uncertainty = np.zeros((0, 0, 0), np.uint8)  # in `_uncertain`
        self._uncertain = Box((0, 0, 0), (0, 0, 0))
        self._rank = 0  # of the next uncertain place
        self._events = len(annotation.session.events)  # when it was found
        self._windows: dict[int, tuple[float, float]] = {}  # by channel
        self._pages: list[Tell] = []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="segmend-widget")
        self._waiting = 0

    def listen(self, tell: Tell) -> None:
        """Tell a page everything from now on; it asks for the state itself."""
        self._pages.append(tell)

    def take(self, message: Mapping[str, Any]) -> Future[None] | None:
        """Do what a page says; returns what will come of it, None for what is done at once."""
        kind = message.get("type") if isinstance(message, Mapping) else None
        try:
            if kind == "hello":
                self._tell(self.state())
            elif kind == "slice":
                self._tell(*self._slice(message))
            else:
                steps = self._change(str(kind), message)
                return self._submit(lambda: self._attempt(steps))
        except (SegmendError, KeyError, TypeError, ValueError, IndexError) as error:
            self._refuse(error)
        return None

    def run(self, work: Callable[[], Done]) -> Done:
        """Do something to the annotation in its turn, tell the pages, and return what came of it."""

        def told() -> Done:
            try:
                return work()
            finally:
                self._follow()

        return self._submit(told).result()

    def ask(self, work: Callable[[], Done]) -> Done:
        """Return what is to be read of the annotation once all that came before is done."""
        return self._worker.submit(work).result()

    def close(self) -> None:
        """End the thread, when what was asked for is done."""
        self._worker.shutdown()

    # Changes

    def _submit(self, work: Callable[[], Done]) -> Future[Done]:
        self._waiting += 1
        self._tell({"type": "busy", "busy": True})
        future = self._worker.submit(work)
        future.add_done_callback(self._rest)
        return future

    def _rest(self, _: Future[Any]) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._tell({"type": "busy", "busy": False})

    def _attempt(self, steps: Callable[[], object]) -> None:
        try:
            steps()
        except (SegmendError, KeyError, TypeError, ValueError) as error:
            self._refuse(error)
        except Exception as error:
            self._tell({"type": "error", "message": f"The method failed on this: {type(error).__name__}."}, [])
        self._follow()

    def _refuse(self, error: Exception) -> None:
        words = str(error) if isinstance(error, SegmendError) else f"This message cannot be read: {error!r}."
        self._tell({"type": "error", "message": words})

    def _change(self, kind: str, message: Mapping[str, Any]) -> Callable[[], object]:
        annotation = self.annotation
        match kind:
            case "mark":
                prompt = from_json(message["prompt"])
                reach = None if message.get("reach") is None else reach_from_json(message["reach"])
                return lambda: annotation.mark(prompt, int(message.get("label", self.label)), reach=reach)
            case "lock":
                index = int(message["index"])
                axis = self._check_slice(int(message["plane"]), index).axis
                return lambda: annotation.lock_slices([index], axis=axis, locked=bool(message.get("locked", True)))
            case "undo":
                return annotation.undo
            case "redo":
                return annotation.redo
            case "remove":
                return lambda: annotation.remove(int(message["event"]))
            case "label":
                return lambda: self.choose(annotation.add_label(str(message.get("name", ""))))
            case "rename":
                return lambda: self._rename(int(message["label"]), str(message["name"]))
            case "choose":
                return lambda: self.choose(int(message["label"]))
            case "delete":
                return lambda: annotation.delete_label(int(message["label"]))
            case "next":
                return self._go_on
            case _:
                raise PromptError(f"A widget says nothing of the kind {kind!r}.")

    def look(self, number: int, index: int) -> None:
        """Have the pages show a slice of a plane."""
        self._check_slice(number, index)
        self.shown = (number, index)
        self._tell({"type": "look", "plane": number, "index": index})

    def _check_slice(self, number: int, index: int) -> Plane:
        if not 0 <= number < len(self.planes):
            raise PromptError(f"This image has {len(self.planes)} planes; there is no plane {number}.")
        plane = self.planes[number]
        if not 0 <= index < self.image.shape[plane.axis]:
            raise PromptError(f"The plane has slices 0 to {self.image.shape[plane.axis] - 1}; got {index}.")
        return plane

    def choose(self, label: int) -> None:
        """Work on a label from now on."""
        self.annotation.check_label(label)
        self.label = label

    def _rename(self, value: int, name: str) -> None:
        self.annotation.check_label(value)
        self.annotation.do(Defined(replace(self.annotation.session.labels[value], name=name)))

    def _go_on(self) -> None:
        place = self.annotation.uncertain_place(self._rank)
        if place is None and self._rank:
            self._rank = 0  # round again
            place = self.annotation.uncertain_place(0)
        if place is None:
            raise PromptError("The last answer is uncertain nowhere; put down a mark first.")
        self._rank += 1
        inside = bool(self._map[place] == self.label)
        self._tell({"type": "go", "place": list(place), "inside": inside})

    def _follow(self) -> None:
        """Bring what the pages are shown in line with the annotation."""
        session = self.annotation.session
        if self.label not in session.labels:
            self.label = next(iter(session.labels), 0)
        self._map = self.annotation.map
        self._uncertain, self._uncertainty = _together(self.annotation.uncertainty)
        if len(session.events) != self._events:
            self._events, self._rank = len(session.events), 0
        self._tell(self.state())
        self._tell({"type": "changed"})

    # What pages are told

    def _tell(self, content: Json, buffers: list[bytes] | None = None) -> None:
        for tell in self._pages:
            tell(content, buffers or [])

    def state(self) -> Json:
        """Return all that a page shows besides voxels."""
        session, quality = self.annotation.session, self.annotation.quality
        marks = []
        for mark in self.annotation.marks:
            values = to_json(mark.prompt)
            values.pop("bits", None)
            if "points" in values:
                values["points"] = values["points"][:: -(-len(values["points"]) // POINTS)]
            one = {"event": mark.event, "label": mark.label, "positive": is_positive(mark.prompt), "prompt": values}
            marks.append(one)
        return {
            "type": "state",
            "shape": list(self.image.shape),
            "spacing": self.image.spacing.tolist(),
            "planes": [asdict(plane) for plane in self.planes],
            "channels": 1 if self._coloured else self.image.channels,
            "shown": list(self.shown),
            "labels": [label_to_json(label) for label in session.labels.values()],
            "label": self.label,
            "marks": marks,
            "undo": self.annotation.can_undo,
            "redo": bool(session.undone),
            "quality": quality,
            "enough": self.annotation.is_enough(self.label),
            "locked": {axis: sorted(slices) for axis, slices in self.annotation.locked_slices.items()},
            "uncertain": self._uncertain.size > 0,
            "events": len(session.events),
        }

    @property
    def _coloured(self) -> bool:
        return self.image.channels == 3 and self.image.voxels.dtype == np.uint8

    def _slice(self, message: Mapping[str, Any]) -> tuple[Json, list[bytes]]:
        number, index, channel = (int(message.get(name, 0)) for name in ("plane", "index", "channel"))
        plane = self._check_slice(number, index)
        self.shown = (number, index)
        pixels = self.pixels(plane, index, channel)
        label_map, uncertain = self._map, self._uncertain_slice(plane, index)
        about = {name: message.get(name) for name in ("view", "plane", "index", "channel")}
        sides = {"height": pixels.shape[0], "width": pixels.shape[1]}
        buffers = [pixels.tobytes(), np.ascontiguousarray(plane.cut(label_map, index), "<u2").tobytes()]
        if uncertain is not None:
            buffers.append(np.ascontiguousarray(uncertain).tobytes())
        return {"type": "slice", **about, **sides}, buffers

    def pixels(self, plane: Plane, index: int, channel: int = 0) -> NDArray[np.uint8]:
        """Return a slice as it is shown, [row column 3]."""
        if self._coloured:
            return np.ascontiguousarray(np.moveaxis(plane.cut(self.image.voxels, index), 0, -1)).astype(np.uint8)
        channel = min(max(channel, 0), self.image.channels - 1)
        low, high = self._window(channel)
        values = plane.cut(self.image.voxels[channel], index).astype(np.float32)
        grey = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)

    def picture(self) -> NDArray[np.uint8]:
        """Return the slice that a page showed last with the labels laid over it, [row column 3]."""
        plane, index = self.planes[self.shown[0]], self.shown[1]
        shown = self.pixels(plane, index).astype(np.float32)
        labels = plane.cut(self._map, index)
        for value, label in self.annotation.session.labels.items():
            inside = labels == value
            shown[inside] += 0.45 * (np.asarray(label.colour, np.float32) - shown[inside])
        return shown.astype(np.uint8)

    def _window(self, channel: int) -> tuple[float, float]:
        if channel not in self._windows:
            values = self.image.voxels[channel].reshape(-1)
            low, high = np.percentile(values[:: -(-values.size // SAMPLED)].astype(np.float32), WINDOW)
            self._windows[channel] = (float(low), float(high))
        return self._windows[channel]

    def _uncertain_slice(self, plane: Plane, index: int) -> NDArray[np.generic] | None:
        """Return the uncertainty of a slice; None where there is none of the last answer."""
        box, levels = self._uncertain, self._uncertainty
        if not box.size:
            return None
        full = np.zeros([1 if axis == plane.axis else side for axis, side in enumerate(self.image.shape)], np.uint8)
        if box.low[plane.axis] <= index < box.high[plane.axis]:
            ends = [(index, index + 1) if axis == plane.axis else (0, side) for axis, side in enumerate(full.shape)]
            here = Box.of([low for low, _ in ends], [high for _, high in ends])
            shared = here.intersection(box)
            full[shared.within(here)] = levels[shared.within(box)]
        return plane.cut(full, 0)


def _together(parts: Sequence[tuple[Box, Levels]]) -> tuple[Box, Levels]:
    """Return the uncertainty of several parts in the box round them."""
    box = whole((0, 0, 0))
    for part, _ in parts:
        box = box.union(part)
    levels = np.zeros(box.shape, np.uint8)
    for part, values in parts:
        levels[part.within(box)] = values
    return box, levels
