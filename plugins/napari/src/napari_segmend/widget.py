"""The panel of Segmend in napari: choose an image, put down marks, take the mask on.

The panel holds no state of the annotation but what it shows: marks, labels and masks are read from the annotation after
every change, whoever made it. Marks are put down with napari's own tools on two layers, so that its shortcuts, its
selection and its deleting work; the mask is a layer of labels like any other. Everything that reads voxels or asks the
annotation runs in a thread of its own (`Worker`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_segmend.layers import image_of, on_layer, place_of
from napari_segmend.marks import NEAR, PART, SLICE, WAITING, WHOLE, Clicks, Shapes, events_of, reach_of
from napari_segmend.worker import Worker
from segmend import cards
from segmend.annotating import Annotation, LocalAnnotation, Mark, RemoteAnnotation
from segmend.core.image import Image, Index
from segmend.core.session import Label

LOCK = "Lock this slice"
HERE, SERVER = "in napari", "on a server"
MASK, UNCERTAINTY, NEXT = "Segmend: mask", "Segmend: uncertainty", "Segmend: look here"
LATER_MS = 100  # until marks are shown that came while a person draws
TOOLS = {
    "Click": ("clicks", "add"),
    "Box": ("shapes", "add_rectangle"),
    "Stroke": ("shapes", "add_path"),
    "Lasso": ("shapes", "add_polygon_lasso"),
}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What the panel shows of an annotation, read in the worker's thread."""

    map: np.ndarray
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    quality: float | None
    enough: frozenset[int]  # labels whose expected Dice is high and rises no more
    locked: Mapping[int, frozenset[int]]  # slices by the axis that they are across
    uncertainty: np.ndarray | None  # [z y x], of the whole image
    undo: bool
    redo: bool


class SegmendWidget(QWidget):
    """The panel."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.annotation: Annotation | None = None
        self.image: Image | None = None
        self.worker = Worker(self)
        self._image_layer: Any = None
        self._clicks: Clicks | None = None
        self._shapes: Shapes | None = None
        self._mask: Any = None
        self._uncertainty: Any = None
        self._drawing = False  # a shape is being drawn with the mouse
        self._filling = False  # the layers of marks change because the panel fills them
        self._shown: set[int] = set()  # events whose marks are shown
        self._rank = 0  # of the next uncertain place
        self._last: Any = None  # Snapshot that is shown
        self._build()
        self.worker.failed.connect(self._fail)
        self.worker.waiting.connect(self._tell_waiting)
        napari_viewer.layers.events.inserted.connect(self._list_layers)
        napari_viewer.layers.events.removed.connect(self._list_layers)
        for event in ("current_step", "order", "ndisplay"):
            getattr(napari_viewer.dims.events, event).connect(self._show_lock)
        self._list_layers()
        self._enable()

    # The panel's parts

    def _build(self) -> None:
        self.layers = QComboBox()
        self.place = QComboBox()
        self.place.addItems([HERE, SERVER])
        self.method = QComboBox()
        self.method.addItems([card.id for card in cards() if "click" in card.prompts])
        self.method.setCurrentText("mend")
        self.address = QLineEdit("http://localhost:8765")
        self.token = QLineEdit()
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText("where the server needs one")
        self.begin = self._button("Segment this image", "Begin to segment the chosen layer", self.start)
        form = QFormLayout()
        form.addRow("Image", self.layers)
        form.addRow("Answered", self.place)
        form.addRow("Method", self.method)
        form.addRow("Address", self.address)
        form.addRow("Token", self.token)
        self._form = form
        self.place.currentTextChanged.connect(self._show_place)

        self.tools = {name: self._button(name, _TITLES[name], self._chooser(name)) for name in TOOLS}
        for tool in self.tools.values():
            tool.setCheckable(True)
        self.positive = QCheckBox("This is the object")
        self.positive.setChecked(True)
        self.positive.setToolTip("Off: marks say what is not the object")
        self.reach = QComboBox()
        self.reach.addItems([WHOLE, NEAR, SLICE, PART])
        self.reach.setToolTip("How far a mark may change the mask")
        self.reach_mm = QSpinBox()
        self.reach_mm.setRange(1, 200)
        self.reach_mm.setValue(15)
        self.reach_mm.setSuffix(" mm")
        self.reach_mm.hide()
        self.reach.currentTextChanged.connect(lambda kind: self.reach_mm.setVisible(kind == NEAR))
        self.lock = self._button(LOCK, "No mask changes in a locked slice; press again to unlock it", self._lock)
        self.lock.setCheckable(True)
        self.labels = QComboBox()
        self.labels.currentIndexChanged.connect(lambda _: self._choose_label())
        self.add_label = self._button("Add a label", "Mark another object", self._add_label)
        self.undo = self._button("Undo", "Take the last step back", lambda: self._do(lambda a: a.undo()))
        self.redo = self._button("Redo", "Bring it back", lambda: self._do(lambda a: a.redo()))
        self.remove = self._button("Remove selected marks", "Take the marks away that are selected", self._remove)
        self.next = self._button("Where next?", "Go to the next uncertain place", self._go_on)
        self.uncertain = QCheckBox("Show uncertainty")
        self.uncertain.toggled.connect(lambda on: self._show_uncertainty(visible=on))
        self.quality = QLabel()
        self.status = QLabel("Choose an image.")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        whole = QVBoxLayout(self)
        whole.addLayout(form)
        whole.addWidget(self.begin)
        for row in (
            list(self.tools.values()),
            [self.positive],
            [QLabel("Changes"), self.reach, self.reach_mm],
            [self.lock],
            [self.labels, self.add_label],
            [self.undo, self.redo],
            [self.remove],
            [self.next, self.uncertain],
            [self.quality],
            [self.status],
        ):
            line = QHBoxLayout()
            for part in row:
                line.addWidget(part)
            whole.addLayout(line)
        whole.addStretch()
        self._show_place(HERE)

    @staticmethod
    def _button(text: str, title: str, press: Callable[[], object]) -> QPushButton:
        made = QPushButton(text)
        made.setToolTip(title)
        made.clicked.connect(lambda _=False: press())
        return made

    def _show_place(self, place: str) -> None:
        for part, there in ((self.method, HERE), (self.address, SERVER), (self.token, SERVER)):
            part.setVisible(place == there)
            self._form.labelForField(part).setVisible(place == there)

    def _list_layers(self, _: object = None) -> None:
        images = [layer for layer in self.viewer.layers if isinstance(layer, ImageLayer)]
        names = [layer.name for layer in images if layer.name != UNCERTAINTY]
        chosen = self.layers.currentText()
        self.layers.clear()
        self.layers.addItems(names)
        if chosen in names:
            self.layers.setCurrentText(chosen)
        self.begin.setEnabled(bool(names))

    def _enable(self, shown: Snapshot | None = None) -> None:
        there = shown is not None
        parts = [*self.tools.values(), self.positive, self.labels, self.add_label, self.remove, self.uncertain]
        parts += [self.reach, self.reach_mm]
        for part in parts:
            part.setEnabled(there)
        self.undo.setEnabled(there and shown.undo)
        self.redo.setEnabled(there and shown.redo)
        self.next.setEnabled(there and shown.uncertainty is not None)
        self._show_lock()

    def _tell_waiting(self, count: int) -> None:
        if count:
            self.status.setText("Working …")
        elif self.status.text() == "Working …":
            self.status.setText("")

    def _fail(self, words: str) -> None:
        self.status.setText(words)
        show_warning(words)
        self._refresh()  # a mark that was refused is shown no longer

    # Beginning and ending

    def start(self) -> None:
        """Begin to segment the chosen layer."""
        layer = self.viewer.layers[self.layers.currentText()]
        remote, method = self.place.currentText() == SERVER, self.method.currentText()
        address, token, name = self.address.text().strip(), self.token.text().strip(), layer.name
        old = self.annotation
        self._leave()

        def work() -> tuple[Image, Annotation, Snapshot]:
            if old is not None:
                old.close()
            image = image_of(layer)
            annotation: Annotation
            if remote:
                annotation = RemoteAnnotation.open(image, address, token=token, name=name)
            else:
                annotation = LocalAnnotation(image, method=method)
                annotation.prepare()
            if not annotation.session.labels:
                annotation.add_label("object")
            return image, annotation, snapshot(annotation)

        self.worker.submit(work, lambda made: self._began(layer, *made))

    def _began(self, layer: Any, image: Image, annotation: Annotation, shown: Snapshot) -> None:
        self._image_layer, self.image, self.annotation = layer, image, annotation
        self._mask = self.viewer.add_labels(
            np.zeros(image.shape[3 - layer.ndim :], np.uint16), name=MASK, **place_of(layer)
        )
        self._mask.editable = False  # masks follow from marks alone
        self._clicks = Clicks(self.viewer, layer, image.shape)
        self._shapes = Shapes(self.viewer, layer, image.shape)
        self._clicks.layer.events.data.connect(self._marks_changed)
        self._shapes.layer.events.data.connect(self._marks_changed)
        if isinstance(annotation, RemoteAnnotation):
            annotation.listen(lambda: self.worker.call(self._refresh))
        self.status.setText("Click on the object.")
        self._show(shown)
        self._choose("Click")

    def _leave(self) -> None:
        """Take the layers of the session before off, but for its mask, which stays as a layer of its own."""
        self.annotation = None
        marks = [part.layer for part in (self._clicks, self._shapes) if part is not None]
        self._clicks = self._shapes = None
        for layer in [*marks, self._uncertainty, *(one for one in self.viewer.layers if one.name == NEXT)]:
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        if self._mask is not None and self._mask in self.viewer.layers:
            self._mask.name = f"mask of {self._image_layer.name}"
            self._mask.editable = True
        self._mask = self._uncertainty = None
        self._enable()

    def closeEvent(self, event: Any) -> None:
        """End the thread with the panel."""
        annotation, self.annotation = self.annotation, None
        self.worker.close()
        if annotation is not None:
            annotation.close()
        super().closeEvent(event)

    # Marks

    @property
    def label(self) -> int:
        """The label that is worked on."""
        return int(self.labels.currentData() or 0)

    def _choose(self, name: str) -> None:
        for other, tool in self.tools.items():
            tool.setChecked(other == name)
        which, mode = TOOLS[name]
        part = self._clicks if which == "clicks" else self._shapes
        if part is not None and part.layer in self.viewer.layers:
            self.viewer.layers.selection.active = part.layer
            part.layer.mode = mode

    def _chooser(self, name: str) -> Callable[[], None]:
        return lambda: self._choose(name)

    def _marks_changed(self, event: Any) -> None:
        """Do what a person did with napari's tools: marks that are new, and marks that are gone."""
        action = str(getattr(event, "action", "")).rsplit(".", 1)[-1].lower()
        if self._filling or self._clicks is None or self._shapes is None:
            return
        if event.source is self._shapes.layer:
            self._drawing = action == "adding"
        if action not in ("added", "removed", "changed"):
            return
        positive, label = self.positive.isChecked(), self.label
        kind, mm, axis = self.reach.currentText(), float(self.reach_mm.value()), (self.shown_slice or (None,))[0]
        try:
            prompts = [*self._clicks.added(positive=positive), *self._shapes.added(positive=positive)]
        except ValueError as error:
            self._fail(str(error))
            return
        gone = self._shown - events_of(self._clicks.layer) - events_of(self._shapes.layer)
        if action == "changed" or not (prompts or gone):
            self._fill_later()  # a mark that was moved goes back: it is taken away, and put down anew
            return
        for prompt in prompts:
            reach = reach_of(kind, mm, prompt, axis)
            self._do(lambda annotation, prompt=prompt, reach=reach: annotation.mark(prompt, label, reach=reach))
        for position in sorted(gone, reverse=True):
            self._shown.discard(position)
            self._do(lambda annotation, position=position: annotation.remove(position))

    def _fill_later(self) -> None:
        self.worker.call(self._refresh)

    def _remove(self) -> None:
        for part in (self._clicks, self._shapes):
            if part is not None and part.layer.selected_data:
                part.layer.remove_selected()

    # Slices that are locked

    @property
    def shown_slice(self) -> tuple[int, int] | None:
        """The axis that the shown slice of the volume is across, and its number; None where there is no such slice."""
        layer, dims = self._image_layer, self.viewer.dims
        if self.annotation is None or layer is None or layer.ndim != 3:
            return None
        first = dims.ndim - 3
        across = [axis for axis in range(first, dims.ndim) if axis not in dims.displayed]
        if len(across) != 1:
            return None
        axis = across[0] - first
        number = int(np.floor(np.asarray(layer.world_to_data(dims.point[first:]))[axis] + 0.5))
        return (axis, number) if 0 <= number < self.annotation.shape[axis] else None

    def _lock(self) -> None:
        shown = self.shown_slice
        if shown is not None:
            axis, number = shown
            locked = number not in self._last.locked.get(axis, ())
            self._do(lambda annotation: annotation.lock_slices([number], axis=axis, locked=locked))
        self._show_lock()  # what was pressed is so when it is done

    def _show_lock(self, _: object = None) -> None:
        shown = self.shown_slice if self._last is not None else None
        locked = shown is not None and shown[1] in self._last.locked.get(shown[0], ())
        self.lock.setEnabled(shown is not None)
        self.lock.setChecked(locked)
        self.lock.setText("Slice locked" if locked else LOCK)

    def _add_label(self) -> None:
        def chosen(value: int) -> None:
            self.labels.setCurrentIndex(self.labels.findData(value))

        self._do(lambda annotation: annotation.add_label(), chosen)

    def _do(self, change: Callable[[Annotation], Any], then: Callable[[Any], None] | None = None) -> None:
        annotation = self.annotation
        if annotation is None:
            return

        def work() -> tuple[Any, Snapshot]:
            value = change(annotation)
            return value, snapshot(annotation)

        def done(outcome: tuple[Any, Snapshot]) -> None:
            if annotation is self.annotation:
                self._rank = 0
                self._show(outcome[1])
                if then is not None:
                    then(outcome[0])

        self.worker.submit(work, done)

    def _refresh(self) -> None:
        """Show the annotation as it is now."""
        annotation = self.annotation
        if annotation is not None:
            self.worker.submit(
                lambda: snapshot(annotation), lambda shown: self._show(shown) if annotation is self.annotation else None
            )

    # What is shown

    def _show(self, shown: Snapshot) -> None:
        self._last = shown
        if self._mask is not None and self._mask in self.viewer.layers:
            self._mask.data = shown.map if self._mask.ndim == 3 else shown.map[0]
            colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
            colours |= {label.value: (*(part / 255 for part in label.colour), 1.0) for label in shown.labels}
            self._mask.colormap = DirectLabelColormap(color_dict=colours)
        self._fill_labels(shown.labels)
        self._fill_marks()
        self._show_uncertainty(visible=self.uncertain.isChecked())
        self._show_quality()
        self._enable(shown)

    def _show_quality(self) -> None:
        shown = self._last
        words = "" if shown is None or shown.quality is None else f"Expected Dice: {shown.quality:.2f}"
        self.quality.setText(f"{words}; marks raise it no more" if words and self.label in shown.enough else words)

    def _choose_label(self) -> None:
        self._fill_marks()
        self._show_quality()

    def _fill_labels(self, labels: tuple[Label, ...]) -> None:
        chosen = self.label
        self.labels.blockSignals(True)
        self.labels.clear()
        for label in labels:
            self.labels.addItem(label.title, label.value)
        self.labels.setCurrentIndex(max(0, self.labels.findData(chosen)))
        self.labels.blockSignals(False)

    def _fill_marks(self) -> None:
        """Show the marks of the label that is worked on."""
        if self._clicks is None or self._shapes is None or self.annotation is None:
            return
        if self._drawing:
            QTimer.singleShot(LATER_MS, self._fill_marks)
            return
        marks = [mark for mark in self._last.marks if mark.label == self.label]
        self._filling = True
        try:
            for part in (self._clicks, self._shapes):
                if part.layer in self.viewer.layers:
                    mode = part.layer.mode
                    part.fill(marks)
                    part.layer.mode = mode
        finally:
            self._filling = False
        self._shown = (events_of(self._clicks.layer) | events_of(self._shapes.layer)) - {WAITING}

    def _show_uncertainty(self, *, visible: bool) -> None:
        values = self._last.uncertainty if self.annotation is not None else None
        layer = self._uncertainty if self._uncertainty in self.viewer.layers else None
        if layer is not None:
            layer.visible = visible and values is not None
        if not visible or values is None:
            return
        values = values if self._mask.ndim == 3 else values[0]
        if layer is not None:
            layer.data = values
            return
        active = self.viewer.layers.selection.active
        self._uncertainty = self.viewer.add_image(
            values, name=UNCERTAINTY, colormap="magenta", blending="additive", contrast_limits=(0, 255),
            **place_of(self._image_layer),
        )  # fmt: skip
        self.viewer.layers.selection.active = active

    def _go_on(self) -> None:
        annotation, rank = self.annotation, self._rank
        if annotation is None:
            return

        def work() -> Index | None:
            place = annotation.uncertain_place(rank)
            return place if place is not None or not rank else annotation.uncertain_place(0)

        def go(place: Index | None) -> None:
            if place is None:
                self.status.setText("The last answer is uncertain nowhere.")
                return
            self._rank = rank + 1
            self._go_to(place)

        self.worker.submit(work, go)

    def _go_to(self, place: Index) -> None:
        """Show a voxel, with a ring round it, and choose the sign of the mark that would change it."""
        layer, viewer = self._image_layer, self.viewer
        position = on_layer(place, layer.ndim)
        world = np.asarray(layer.data_to_world(position))
        for axis, value in enumerate(world, start=viewer.dims.ndim - len(world)):
            viewer.dims.set_point(axis, float(value))
        center = list(viewer.camera.center)
        for slot, axis in enumerate(viewer.dims.displayed, start=3 - len(viewer.dims.displayed)):
            if axis >= viewer.dims.ndim - len(world):
                center[slot] = float(world[axis - viewer.dims.ndim + len(world)])
        viewer.camera.center = tuple(center)
        self.positive.setChecked(int(self._last.map[place]) != self.label)
        active = viewer.layers.selection.active
        for old in [one for one in viewer.layers if one.name == NEXT]:
            viewer.layers.remove(old)
        ring = viewer.add_points(
            np.array([position]), name=NEXT, size=max(4.0, max(self.image.shape) / 25), face_color="transparent",
            border_color="magenta", **place_of(layer),
        )  # fmt: skip
        ring.editable = False
        viewer.layers.selection.active = active
        self.status.setText("Is the ringed place the object? Click on it.")


_TITLES = {
    "Click": "Click on the object, or on what is wrong",
    "Box": "Drag a box round the object",
    "Stroke": "Draw a line over the object, or over what is wrong",
    "Lasso": "Draw a line round a part",
}


def snapshot(annotation: Annotation) -> Snapshot:
    """Return an annotation as it is shown."""
    session, parts = annotation.session, annotation.uncertainty
    uncertainty = None
    if parts:
        uncertainty = np.zeros(session.shape, np.uint8)
        for box, values in parts:
            uncertainty[box.slices] = values
    return Snapshot(
        map=annotation.map,
        marks=annotation.marks,
        labels=tuple(session.labels.values()),
        quality=annotation.quality,
        enough=frozenset(label for label in session.labels if annotation.is_enough(label)),
        locked=annotation.locked_slices,
        uncertainty=uncertainty,
        undo=annotation.can_undo,
        redo=bool(session.undone),
    )
