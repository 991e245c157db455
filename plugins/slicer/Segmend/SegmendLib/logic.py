"""What Segmend does in 3D Slicer's scene: volumes go to a server, marks become prompts, masks become segments.

Everything here needs Slicer's scene and no window, so that it runs where Slicer's core alone is (`slicer-core`).

Places in the scene are in RAS millimetres. A volume's voxels are counted (i, j, k), and its array is [k j i], which is
Segmend's (z, y, x). The volume goes to the server with its own directions and origin, so that what is exported there is
in place as well.
"""

import gzip

import numpy as np
import slicer
import vtk

from SegmendLib.client import Client, Session

# NRRD's names of the numbers that a volume of Slicer can have.
TYPES = {
    "int8": "int8", "uint8": "uint8", "int16": "int16", "uint16": "uint16", "int32": "int32", "uint32": "uint32",
    "int64": "int64", "uint64": "uint64", "float32": "float", "float64": "double",
}  # fmt: skip


WHOLE, NEAR, SLICE, PART = "whole", "near", "slice", "part"  # how far a mark may change the mask


def reach_of(kind, mm):
    """Return how far a mark may change the mask, as the server takes it; None: as far as the method thinks right."""
    if kind == WHOLE:
        return None
    return {"mm": float(mm) if kind == NEAR else None, "axis": 0 if kind == SLICE else None, "part": kind == PART}


class SceneError(Exception):
    """Something in the scene that cannot be segmented; the text is one sentence for a person."""


class Annotator:
    """One volume of the scene being segmented by a server."""

    def __init__(self, client, volume, segmentation=None, project="default"):
        if volume is None:
            raise SceneError("Choose a volume first.")
        array = slicer.util.arrayFromVolume(volume)
        if array.ndim != 3:
            raise SceneError("Segmend takes volumes with one number in a voxel; this one has colours or vectors.")
        self.client = client
        self.volume = volume
        self.session = Session.begin(client, nrrd_of(volume), f"{volume.GetName() or 'volume'}.nrrd", project)
        if self.session.shape != array.shape:
            raise SceneError(f"The server read a volume of shape {self.session.shape}; this one has {array.shape}.")
        self.segmentation = segmentation or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmend")
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        self.segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        if self.segmentation.GetDisplayNode() is None:
            self.segmentation.CreateDefaultDisplayNodes()
        self.segments = {}  # ids of segments by label
        self._rank = 0  # of the next uncertain place
        for label in list(self.session.labels):
            self._add_segment(label)

    # Places

    def voxel_of(self, point):
        """Return the voxel (z, y, x) in which a point in world RAS mm lies, None beside the volume."""
        index = [int(np.floor(value + 0.5)) for value in self._index_of(point)]
        z, y, x = index[::-1]
        inside = all(0 <= value < side for value, side in zip((z, y, x), self.session.shape, strict=True))
        return [z, y, x] if inside else None

    def nearest_voxel(self, point):
        """Return the voxel (z, y, x) of the volume that is nearest to a point in world RAS mm."""
        index = [int(np.floor(value + 0.5)) for value in self._index_of(point)][::-1]
        return [min(max(value, 0), side - 1) for value, side in zip(index, self.session.shape, strict=True)]

    def point_of(self, voxel):
        """Return the middle of a voxel (z, y, x) in world RAS mm."""
        matrix = vtk.vtkMatrix4x4()
        self.volume.GetIJKToRASMatrix(matrix)
        point = matrix.MultiplyPoint([*[float(value) for value in voxel][::-1], 1.0])[:3]
        return self._between(self.volume.GetParentTransformNode(), None, point)

    def _index_of(self, point):
        local = self._between(None, self.volume.GetParentTransformNode(), point)
        matrix = vtk.vtkMatrix4x4()
        self.volume.GetRASToIJKMatrix(matrix)
        return matrix.MultiplyPoint([*local, 1.0])[:3]

    @staticmethod
    def _between(source, target, point):
        """Return a point in the coordinates below one transform in those below another; None is the world."""
        if source is target:
            return list(point)
        transform = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
        return list(transform.TransformPoint(point))

    # Labels and segments

    def label_of(self, segment_id):
        """Return the label of a segment, which is defined when it is first asked for."""
        segment = self.segmentation.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            raise SceneError("Choose a segment first.")
        value = next((label for label, known in self.segments.items() if known == segment_id), None)
        if value in self.session.labels:
            return value
        if value is None:  # one whose definition was undone gets its number again
            value = max([label["label"]["value"] for label in self._defined()], default=0) + 1
        colour = [round(255 * part) for part in segment.GetColor()]
        self.session.do(_defined(value, segment.GetName() or f"object {value}", colour))
        self.segments[value] = segment_id
        return value

    def add_segment(self, name):
        """Add a segment with a label of its own; return its id."""
        segment_id = self.segmentation.GetSegmentation().AddEmptySegment("", name)
        self.label_of(segment_id)
        return segment_id

    def _defined(self):
        return [event for event in self.session.events if event["event"] == "defined"]

    def _add_segment(self, label):
        about = self.session.labels[label]
        colour = [part / 255 for part in about["colour"]]
        self.segments[label] = self.segmentation.GetSegmentation().AddEmptySegment("", about["name"], colour)

    # Slices

    def slice_at(self, matrix):
        """Return the axis (z, y, x) of the volume that a view's slice is most nearly across, and the slice's number.

        `matrix` is the view's, from its slice to world RAS mm. None for a view beside the volume.
        """
        normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
        origin = np.array(self.point_of((0, 0, 0)))
        steps = [np.array(self.point_of(np.eye(3)[axis])) - origin for axis in range(3)]
        along = [abs(normal @ step) / np.linalg.norm(step) for step in steps]
        axis = int(np.argmax(along))
        # Where the slice meets the line through the volume's middle along that axis.
        middle = (np.array(self.session.shape) - 1) / 2
        start = np.array(self.point_of(np.where(np.arange(3) == axis, 0, middle)))
        point = np.array([matrix.GetElement(row, 3) for row in range(3)])
        number = int(np.floor(normal @ (point - start) / (normal @ steps[axis]) + 0.5))
        return (axis, number) if 0 <= number < self.session.shape[axis] else None

    def is_locked(self, axis, number):
        """Tell whether a slice is locked."""
        return number in self.session.locked.get(axis, ())

    def lock(self, axis, number, locked=True):
        """Let no mask change in a slice any longer, or again."""
        self.session.do({"event": "slices_locked", "axis": axis, "slices": [number], "locked": locked})

    # Marks, each with how far it may change the mask (`reach_of`)

    def click(self, segment_id, point, positive=True, reach=None):
        """Click at a point in world RAS mm; return the place of the mark in the log."""
        voxel = self.voxel_of(point)
        if voxel is None:
            raise SceneError("This point is outside the volume.")
        return self._mark(segment_id, {"kind": "click", "index": voxel, "positive": positive}, reach)

    def box(self, segment_id, corners, reach=None):
        """Say that the object is in the box round some points in world RAS mm."""
        voxels = np.array([self.nearest_voxel(point) for point in corners])
        low, high = voxels.min(axis=0).tolist(), (voxels.max(axis=0) + 1).tolist()
        return self._mark(segment_id, {"kind": "box", "low": low, "high": high}, reach)

    def stroke(self, segment_id, points, positive=True, radius=1.0, reach=None):
        """Draw a line through points in world RAS mm."""
        voxels = [self.nearest_voxel(point) for point in points]
        kept = [voxel for i, voxel in enumerate(voxels) if i == 0 or voxel != voxels[i - 1]]
        prompt = {"kind": "stroke", "points": kept, "positive": positive, "radius": radius}
        return self._mark(segment_id, prompt, reach)

    def mark_by(self, segment_id, node, positive=True, reach=None):
        """Take a node of markups as a mark: a ROI as a box, a curve or line as a stroke, points as clicks."""
        if node.IsA("vtkMRMLMarkupsROINode"):
            return self.box(segment_id, _corners(node), reach)
        if node.IsA("vtkMRMLMarkupsCurveNode"):
            points = vtk.vtkPoints()
            node.GetControlPointPositionsWorld(points)
            curve = node.GetCurvePointsWorld() or points
            places = [curve.GetPoint(n) for n in range(curve.GetNumberOfPoints())]
            return self.stroke(segment_id, places, positive, reach=reach)
        points = [_position(node, n) for n in range(node.GetNumberOfControlPoints())]
        if node.IsA("vtkMRMLMarkupsLineNode"):
            return self.stroke(segment_id, points, positive, reach=reach)
        places = [self.click(segment_id, point, positive, reach) for point in points]
        return places[-1] if places else None

    def _mark(self, segment_id, prompt, reach):
        label = self.label_of(segment_id)
        event = {"event": "prompted", "prompt": prompt, "label": label}
        if reach is not None:
            event["reach"] = reach
        position = self.session.do(event)
        self.show()
        return position

    def undo(self):
        """Take the last step back."""
        self._step({"event": "undone"})

    def redo(self):
        """Bring back what was taken back last."""
        self._step({"event": "redone"})

    def remove(self, position):
        """Take a mark away, by the place of its event in the log; its label is worked out again without it."""
        self._step({"event": "removed", "of": position})

    def _step(self, event):
        self.session.do(event)
        self.show()

    def go_on(self):
        """Return the next uncertain place in world RAS mm; None where the last answer is uncertain nowhere."""
        place = self.session.uncertain_place(self._rank)
        if place is None and self._rank:
            self._rank, place = 0, self.session.uncertain_place(0)
        if place is None:
            return None
        self._rank += 1
        return self.point_of(place)

    # What is shown

    def show(self):
        """Bring the segments in line with the session, whoever changed it."""
        self._rank = 0
        masks = self.session.masks()
        for label in self.session.labels:
            if label not in self.segments:
                self._add_segment(label)
        for label, segment_id in self.segments.items():
            mask = masks.get(label, np.zeros(self.session.shape, bool)).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, self.segmentation, segment_id, self.volume)

    def refresh(self):
        """Read what others did in the same session, and show it."""
        self.session.refresh()
        self.show()


def begin(address, token, volume, segmentation=None, *, project="default", **options):
    """Send a volume of the scene to a server, and begin to segment it."""
    return Annotator(Client(address, token, **options), volume, segmentation, project)


def nrrd_of(volume):
    """Return a volume as a file, NRRD in RAS."""
    array = slicer.util.arrayFromVolume(volume)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    columns = [[matrix.GetElement(row, column) for row in range(3)] for column in range(4)]
    kind = TYPES.get(array.dtype.name)
    if kind is None:
        raise SceneError(f"Segmend takes volumes of real numbers; this one has {array.dtype}.")
    vectors = [f"({','.join(repr(float(value)) for value in column)})" for column in columns]
    header = (
        "NRRD0005\n"
        f"type: {kind}\ndimension: 3\nspace: right-anterior-superior\n"
        f"sizes: {' '.join(map(str, array.shape[::-1]))}\n"
        f"space directions: {' '.join(vectors[:3])}\nkinds: domain domain domain\nendian: little\nencoding: gzip\n"
        f"space origin: {vectors[3]}\n\n"
    )
    values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return header.encode() + gzip.compress(values.tobytes(), 1)


def _defined(value, name, colour):
    return {"event": "defined", "label": {"value": value, "name": name, "colour": colour, "locked": False}}


def _position(node, number):
    point = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(number, point)
    return point


def _corners(roi):
    """Return the eight corners of a ROI, which may be turned, in world RAS mm."""
    half, matrix = np.array(roi.GetSize()) / 2, roi.GetObjectToWorldMatrix()
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    return [matrix.MultiplyPoint([*(sign * half), 1.0])[:3] for sign in signs]
