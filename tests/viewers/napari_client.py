"""napari with the plugin napari-nninteractive, driven by lines of JSON: run by an environment's Python, on a display.

A line is `[name, {arguments}]`, and every line is answered by one: "open" shows an image and connects, "point", "box",
"lasso" and "scribble" put down what a person would, "undo" and "next" press these buttons, "save" writes the object's
mask, and "screenshot" the window.
"""

import json
import sys
import time

import numpy as np

PATIENCE = 120  # seconds


class Window:
    def __init__(self):
        import napari
        from napari_nninteractive import _version_check
        from napari_nninteractive.widget_main import nnInteractiveWidget
        from qtpy.QtWidgets import QApplication

        _version_check.VersionChecker.start = lambda self: None  # it would ask on the network
        self.app = QApplication.instance()
        self.viewer = napari.Viewer()
        self.app = QApplication.instance()
        self.widget = nnInteractiveWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget)

    def until(self, true):
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, "waited in vain"
            self.app.processEvents()
            time.sleep(0.01)

    def open(self, url, npy, scale):
        """Show an image, and begin with it."""
        self.viewer.add_image(np.load(npy), scale=scale, name="scan")
        self.widget.server_url_edit.setText(url)
        self.widget.on_init()
        self.until(lambda: self.widget._remote_connected and self.ready())
        return [self.widget._remote_mode, self.widget.interaction_button.index]

    def ready(self):
        return self.widget._upload_dialog is None and self.widget.label_layer_name in self.viewer.layers

    def layer(self, kind, positive):
        """Choose a tool and a sign, as a person does; return the tool's layer."""
        widget = self.widget
        widget.prompt_button._uncheck()
        widget.prompt_button._check(0 if positive else 1)
        widget.on_prompt_selected()
        widget.interaction_button._uncheck()
        widget.interaction_button._check(kind)
        widget.on_interaction_selected()
        return self.viewer.layers[widget.layer_dict[kind]]

    def point(self, at, positive=True):
        self.layer(0, positive).add(np.array([at], float))

    def box(self, corners, positive=True):
        self.layer(1, positive).add(np.array(corners, float), shape_type="rectangle")

    def scribble(self, voxels, positive=True):
        layer = self.layer(2, positive)
        self.show(voxels[0][0])
        layer.brush_size = 1
        with layer.block_history():  # a stroke ends when the button is let go
            for voxel in voxels:
                layer.paint(tuple(voxel), 1)

    def show(self, z):
        """Show a slice."""
        self.viewer.dims.set_point(0, z * self.viewer.layers["scan"].scale[0])

    def lasso(self, corners, positive=True):
        layer = self.layer(3, positive)
        self.show(corners[0][0])
        layer.add(np.array(corners, float), shape_type="polygon")

    def undo(self):
        self.widget.on_undo()

    def next(self):
        self.widget.on_next()

    def save(self, path):
        self.app.processEvents()
        np.save(path, self.viewer.layers[self.widget.label_layer_name].data)

    def layers(self):
        return [layer.name for layer in self.viewer.layers]

    def screenshot(self, path):
        self.app.processEvents()
        self.viewer.screenshot(path, canvas_only=False)


def main():
    window = Window()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": getattr(window, name)(**arguments)}
        except Exception as error:
            answer = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.write("JSON " + json.dumps(answer) + "\n")  # the plugin prints, too
        sys.stdout.flush()


if __name__ == "__main__":
    main()
