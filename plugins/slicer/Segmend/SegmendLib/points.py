"""Clicks as the points of a node of markups: which ones a person added and which are gone is seen by looking."""

import slicer


class Points:
    """The clicks of one sign on the segment that is worked on."""

    def __init__(self, node, positive):
        self.node = node
        self.positive = positive
        self._events = {}  # places of marks in the log, by the ids of points

    def _placed(self):
        """Return the ids and places of the points that are put down; one that follows the pointer is not."""
        node, places = self.node, {}
        for number in range(node.GetNumberOfControlPoints()):
            if node.GetNthControlPointPositionStatus(number) != slicer.vtkMRMLMarkupsNode.PositionDefined:
                continue
            point = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(number, point)
            places[node.GetNthControlPointID(number)] = point
        return places

    def added(self):
        """Return the ids of points that are new, and where they are in world RAS mm."""
        return {name: point for name, point in self._placed().items() if name not in self._events}

    def gone(self):
        """Return the places in the log of marks whose points were deleted, the newest first."""
        there = self._placed()
        return sorted((event for name, event in self._events.items() if name not in there), reverse=True)

    def keep(self, name, event):
        """Know that a point is the mark of this event."""
        self._events[name] = event

    def forget(self, event):
        """Know that a mark is gone."""
        self._events = {name: other for name, other in self._events.items() if other != event}

    def drop(self, name):
        """Take away a point that was refused."""
        self.node.RemoveNthControlPoint(self.node.GetNthControlPointIndexByID(name))

    def fill(self, marks, point_of):
        """Show the clicks of this sign among marks (places in the log, prompts); `point_of` says where a voxel is."""
        self.node.RemoveAllControlPoints()
        self._events = {}
        for event, prompt in marks:
            if prompt["kind"] == "click" and prompt["positive"] is self.positive:
                number = self.node.AddControlPointWorld(point_of(prompt["index"]))
                self._events[self.node.GetNthControlPointID(number)] = event
