"""What Segmend's module does in 3D Slicer's core, driven by lines of JSON: run by its environment's Python.

A line is `[name, {arguments}]`, and every line is answered by one. "volume" makes a volume, "begin" sends it to a
server, the others do what the module's window does; "masks" saves the mask of each segment on the volume's grid.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np


class Scene:
    def __init__(self):
        import slicer
        import vtk

        slicer.mrmlScene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerSegmentationsModuleLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.volumes = slicer.vtkSlicerVolumesLogic()
        self.volumes.SetMRMLScene(slicer.mrmlScene)
        slicer.modules = SimpleNamespace(  # which the program has
            segmentations=SimpleNamespace(logic=lambda: self.logic), volumes=SimpleNamespace(logic=lambda: self.volumes)
        )
        sys.path.insert(0, str(Path(__file__).parents[2] / "plugins/slicer/Segmend"))
        from SegmendLib import logic, points

        self.module, self.points_module = logic, points
        self.vtk, self.slicer = vtk, slicer
        self.waited = 0
        self.points = {}

    def volume(self, npy, matrix, parent=None):
        """Make a volume with this geometry, perhaps below a transform."""
        self.node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
        self.slicer.util.updateVolumeFromArray(self.node, np.load(npy))
        self.node.SetIJKToRASMatrix(self._matrix(matrix))
        if parent is not None:
            transform = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
            transform.SetMatrixTransformToParent(self._matrix(parent))
            self.node.SetAndObserveTransformNodeID(transform.GetID())

    def _matrix(self, rows):
        made = self.vtk.vtkMatrix4x4()
        for row in range(4):
            for column in range(4):
                made.SetElement(row, column, rows[row][column])
        return made

    def begin(self, address, token="", patience_seconds=30):
        import time

        def wait(seconds):
            self.waited += 1
            time.sleep(seconds)

        options = {"patience_seconds": patience_seconds, "wait": wait}
        self.annotator = self.module.begin(address, token, self.node, **options)
        for sign in (True, False):
            node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
            self.points[sign] = self.points_module.Points(node, sign)
        return self.annotator.session.id

    def add_segment(self, name):
        return self.annotator.add_segment(name)

    def click(self, segment, point, positive=True, reach="whole", mm=15):
        return self.annotator.click(segment, point, positive, self.module.reach_of(reach, mm))

    def slice_at(self, matrix):
        return self.annotator.slice_at(self._matrix(matrix))

    def lock(self, axis, number, locked=True):
        self.annotator.lock(axis, number, locked)
        return self.annotator.is_locked(axis, number)

    def quality(self, label):
        return [self.annotator.session.quality, self.annotator.session.is_enough(label)]

    def markups(self, segment, kind, points, positive=True, size=None):
        """Put down a node of markups as a person would, and use it as a mark."""
        node = self.slicer.mrmlScene.AddNewNodeByClass(kind)
        if size is not None:
            node.SetCenter(points[0])
            node.SetSize(size)
        else:
            for point in points:
                node.AddControlPointWorld(point)
        return self.annotator.mark_by(segment, node, positive)

    def place(self, segment, point, positive=True):
        """Place a point as a person does, and do what the window then does."""
        self.points[positive].node.AddControlPointWorld(point)
        return self.synchronise(segment)

    def take_away(self, segment, positive, number):
        self.points[positive].node.RemoveNthControlPoint(number)
        return self.synchronise(segment)

    def synchronise(self, segment):
        done = []
        for points in self.points.values():
            for event in points.gone():
                points.forget(event)
                self.annotator.remove(event)
                done.append(["removed", event])
            for name, point in points.added().items():
                event = self.annotator.click(segment, point, points.positive)
                points.keep(name, event)
                done.append(["clicked", event])
        return done

    def fill(self, label):
        """Show the clicks of a label as points; return where they are."""
        marks = self.annotator.session.marks(label)
        places = {}
        for sign, points in self.points.items():
            points.fill(marks, self.annotator.point_of)
            places[sign] = list(points._placed().values())
        return [places[True], places[False]]

    def undo(self):
        self.annotator.undo()

    def redo(self):
        self.annotator.redo()

    def remove(self, event):
        self.annotator.remove(event)

    def refresh(self):
        self.annotator.refresh()

    def go_on(self):
        return self.annotator.go_on()

    def state(self):
        session = self.annotator.session
        segmentation = self.annotator.segmentation.GetSegmentation()
        names = [segmentation.GetSegment(name).GetName() for name in self.annotator.segments.values()]
        return {
            "labels": sorted(session.labels), "events": len(session.events), "segments": names, "waited": self.waited,
            "ids": list(self.annotator.segments.values()), "below": self.annotator.segmentation.GetTransformNodeID(),
        }  # fmt: skip

    def masks(self, out):
        """Save the masks of the segments, [segment k j i]."""
        node = self.annotator.segmentation
        masks = [
            self.slicer.util.arrayFromSegmentBinaryLabelmap(node, name, self.node)
            for name in self.annotator.segments.values()
        ]
        np.save(out, np.array(masks))


def main():
    scene = Scene()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": getattr(scene, name)(**arguments)}
        except Exception as error:
            answer = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.write("JSON " + json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
