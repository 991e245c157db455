"""napari with the plugin napari-segmend, driven by lines of JSON: run by an environment's Python, on a display.

A line is `[name, {arguments}]`, and every line is answered by one: "open" shows an image and begins, "point" and
"shape" put down what a person would with napari's tools, "press" presses a button, "select" and "delete" choose a mark
and delete it as napari does, "label" chooses a label, "save" writes the mask, and "screenshot" the window.

What Segmend needs and napari's environment has not is taken from the folders that SEGMEND_PATHS names, behind all else.
"""

import json
import os
import sys
import threading
import time

import numpy as np

PATIENCE = 120  # seconds


class Window:
    def __init__(self):
        sys.path.insert(0, os.environ["SEGMEND_PLUGIN"])
        sys.path.extend(os.environ["SEGMEND_PATHS"].split(os.pathsep))
        import napari
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer()
        self.app = QApplication.instance()
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-segmend", "Segmend")
        self.threads = set()
        self.warnings = []
        self.widget.worker.failed.connect(self.warnings.append)

    def until(self, true):
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, "waited in vain"
            self.app.processEvents()
            time.sleep(0.005)

    def settle(self):
        self.until(lambda: self.widget.worker._count == 0)
        self.app.processEvents()
        self.until(lambda: self.widget.worker._count == 0)

    def open(self, npy, url=None, token="", method="geos", **options):
        """Show an image, and begin with it; return where its voxels are, and which thread asks the annotation."""
        array = np.load(npy)
        layer = self.viewer.add_image(array, name=f"scan {len(self.viewer.layers)}", **options)
        widget = self.widget
        widget.layers.setCurrentText(layer.name)
        widget.place.setCurrentText("on a server" if url else "in napari")
        widget.method.setCurrentText(method)
        widget.address.setText(url or "")
        widget.token.setText(token)
        old = widget.annotation
        widget.begin.click()
        self.until(lambda: widget.annotation not in (None, old) or self.warnings)
        if self.warnings:
            return self.warnings
        self._watch()
        self.settle()
        return np.asarray(widget.image.affine).tolist()

    def _watch(self):
        """Note which threads ask the annotation for anything that takes time."""
        annotation = self.widget.annotation
        for name in ("do", "uncertain_place"):
            asked = getattr(annotation, name)

            def noting(*given, asked=asked):
                self.threads.add(threading.current_thread() is threading.main_thread())
                return asked(*given)

            setattr(annotation, name, noting)

    def point(self, at, positive=True):
        self.widget.tools["Click"].click()
        self.widget.positive.setChecked(positive)
        self.widget._clicks.layer.add(np.array([at], float))
        self.settle()

    def points(self, places):
        """Click several times, quicker than any answer comes."""
        self.widget.tools["Click"].click()
        self.widget.positive.setChecked(True)
        for place in places:
            self.widget._clicks.layer.add(np.array([place], float))
        self.settle()

    def drag(self, corners, tool, positive=True):
        """Draw with napari's own tool: press at the first place, move over the others, let go at the last."""
        from napari.utils.interactions import (
            mouse_move_callbacks,
            mouse_press_callbacks,
            mouse_release_callbacks,
        )

        self.widget.tools[tool].click()
        self.widget.positive.setChecked(positive)
        layer = self.widget._shapes.layer
        self.show(corners[0])
        places = [layer.data_to_world(corner) for corner in corners]
        event = Mouse(places[0], self.viewer)
        event.type = "mouse_press"
        mouse_press_callbacks(layer, event)
        for place in places:
            event.move(place)
            mouse_move_callbacks(layer, event)
        event.type = "mouse_release"
        mouse_release_callbacks(layer, event)
        self.settle()

    def shape(self, corners, kind, positive=True):
        self.widget.positive.setChecked(positive)
        self.show(corners[0])
        self.widget._shapes.layer.add(np.array(corners, float), shape_type=kind)
        self.settle()

    def show(self, index):
        layer = self.widget._image_layer
        for axis, value in enumerate(np.asarray(layer.data_to_world(index)), self.viewer.dims.ndim - layer.ndim):
            self.viewer.dims.set_point(axis, float(value))

    def press(self, name):
        getattr(self.widget, name).click()
        self.settle()
        return [self.widget.status.text(), self.widget.quality.text(), self.widget.positive.isChecked()]

    def delete(self, event):
        """Select the mark of an event, and delete it as napari does."""
        for part in (self.widget._clicks, self.widget._shapes):
            found = np.flatnonzero(part.layer.features["event"].to_numpy() == event)
            if len(found):
                part.layer.selected_data = set(found.tolist())
                self.viewer.layers.selection.active = part.layer
                self.widget.remove.click()
        self.settle()

    def reach(self, kind, mm=None):
        """Choose how far marks may change the mask; return whether a distance can be entered."""
        self.widget.reach.setCurrentText(kind)
        if mm is not None:
            self.widget.reach_mm.setValue(mm)
        return not self.widget.reach_mm.isHidden()

    def look(self, index, order=None):
        """Show a voxel, with these axes behind each other; return which slice the panel takes it for."""
        if order is not None:
            self.viewer.dims.order = tuple(order)
        self.show(index)
        return self.widget.shown_slice

    def lock(self):
        """Press the lock of the slice that is shown."""
        self.widget.lock.click()
        self.settle()
        return [self.widget.lock.isChecked(), self.widget.lock.text()]

    def told(self):
        """Return what a person was told was refused, and forget it."""
        words, self.warnings[:] = list(self.warnings), []
        return words

    def label(self, name):
        self.widget.labels.setCurrentIndex(self.widget.labels.findText(name))
        self.settle()

    def seen(self):
        """Return what the panel and its layers show."""
        widget = self.widget
        shapes = widget._shapes.layer
        return {
            "labels": [widget.labels.itemText(n) for n in range(widget.labels.count())],
            "label": widget.labels.currentText(),
            "clicks": np.asarray(widget._clicks.layer.data).tolist(),
            "shapes": [[str(kind), shapes.data[n].tolist()] for n, kind in enumerate(shapes.shape_type)],
            "undo": widget.undo.isEnabled(),
            "locked": widget.lock.isChecked(),
            "redo": widget.redo.isEnabled(),
            "events": [mark.event for mark in widget.annotation.marks],
            "layers": [layer.name for layer in self.viewer.layers],
            "in_main_thread": True in self.threads,
            "warnings": self.warnings,
        }

    def placed(self):
        """Return where the first voxel and one step along each axis lie in the world, of the image and of the mask."""
        places = []
        for layer in (self.widget._image_layer, self.widget._mask):
            corners = [np.zeros(layer.ndim), *np.eye(layer.ndim)]
            places.append([np.asarray(layer.data_to_world(corner)).tolist() for corner in corners])
        return places

    def uncertain(self):
        self.widget.uncertain.setChecked(True)
        self.settle()
        layer = self.widget._uncertainty
        return [layer.visible, int(np.max(layer.data)), list(np.shape(layer.data))]

    def centre(self):
        return [float(value) for value in self.viewer.dims.point]

    def save(self, path):
        self.app.processEvents()
        np.save(path, self.widget._mask.data)

    def screenshot(self, path):
        self.app.processEvents()
        self.viewer.screenshot(path, canvas_only=False)

    def leave(self):
        """Close the panel."""
        self.widget.close()
        self.app.processEvents()
        return self.widget.annotation is None


class Mouse:
    """A mouse's event, as napari's layers take them."""

    def __init__(self, position, viewer):
        self.modifiers = ()
        self.button = 1
        self.buttons = [1]
        self.pos = np.zeros(2)
        self.handled = False
        self.inverted = False
        self.native = None
        self.view_direction = None
        self.up_direction = None
        self.dims_displayed = list(viewer.dims.displayed)
        self.dims_point = list(viewer.dims.point)
        self.type = "mouse_press"
        self.is_dragging = True
        self.position = tuple(position)

    def move(self, place):
        self.type = "mouse_move"
        self.position = tuple(place)
        self.pos = self.pos + 20


def main():
    window = Window()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": getattr(window, name)(**arguments)}
        except Exception as error:
            import traceback

            traceback.print_exc()
            answer = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.write("JSON " + json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
