"""3D Slicer's own core (MRML, volumes, segmentations), driven by lines of JSON: run by its environment's Python.

A line is `[name, {arguments}]`, and every line is answered by one: "volume" makes a volume of an array [k j i] and a
matrix from its indices to RAS, "index" says in which voxel (i, j, k) a point lies, "segments" makes segments of a label
volume in a file and says of each which voxels it has, "fill" makes a segment of an array and says where it lies.
"""

import json
import sys
from types import SimpleNamespace

import numpy as np


class Scene:
    def __init__(self):
        import slicer
        import vtk

        slicer.mrmlScene = slicer.vtkMRMLScene()  # the program makes one; its core alone has none
        self.logic = slicer.vtkSlicerSegmentationsModuleLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        volumes = slicer.vtkSlicerVolumesLogic()
        volumes.SetMRMLScene(slicer.mrmlScene)
        logics = {"segmentations": self.logic, "volumes": volumes}
        slicer.modules = SimpleNamespace(  # which the program has, too
            **{name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
        )
        self.vtk, self.slicer = vtk, slicer
        self.node = None

    def volume(self, npy, matrix):
        """Make a volume with this geometry."""
        self.node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        self.slicer.util.updateVolumeFromArray(self.node, np.load(npy))
        made = self.vtk.vtkMatrix4x4()
        for row in range(4):
            for column in range(4):
                made.SetElement(row, column, matrix[row][column])
        self.node.SetIJKToRASMatrix(made)

    def index(self, point):
        """Return the voxel (i, j, k) in which a point in RAS mm lies, as Slicer's modules work it out."""
        found = self.vtk.vtkMatrix4x4()
        self.node.GetRASToIJKMatrix(found)
        return [round(value) for value in found.MultiplyPoint([*point, 1.0])[:3]]

    def segments(self, path, out):
        """Make segments of the labels in a file; save the mask of each on the volume's grid, [segment k j i]."""
        labels = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        storage = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(path)
        assert storage.ReadData(labels)
        node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.node)
        assert self.logic.ImportLabelmapToSegmentationNode(labels, node)
        segmentation = node.GetSegmentation()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        masks = [self.slicer.util.arrayFromSegmentBinaryLabelmap(node, name, self.node) for name in ids]
        np.save(out, np.array(masks))
        return ids

    def fill(self, npy, out):
        """Make a segment of an array; save it on the volume's grid, and return its lower and upper ends in mm."""
        node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.node)
        name = node.GetSegmentation().AddEmptySegment()
        self.slicer.util.updateSegmentBinaryLabelmapFromArray(np.load(npy), node, name, self.node)
        np.save(out, self.slicer.util.arrayFromSegmentBinaryLabelmap(node, name, self.node))
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        return bounds[::2], bounds[1::2]


def main():
    scene = Scene()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": getattr(scene, name)(**arguments)}
        except Exception as error:
            answer = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
