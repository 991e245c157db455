"""Segmend in 3D Slicer: segment a volume by clicks, boxes and curves, answered by a server of Segmend.

This file is the module and its window. What it does to the scene and to the server is in `SegmendLib`, which needs no
window.
"""

import ctk
import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from SegmendLib.client import ServerError
from SegmendLib.logic import NEAR, PART, SLICE, WHOLE, SceneError, begin, reach_of
from SegmendLib.points import Points

ADDRESS = "Segmend/address"  # in Slicer's settings
USUAL_ADDRESS = "http://localhost:8765"
COLOURS = {True: (0.3, 1.0, 0.3), False: (1.0, 0.3, 0.3)}  # of clicks that say yes and no


class Segmend(ScriptedLoadableModule):
    """What the module is called, and where it is found."""

    def __init__(self, parent):
        super().__init__(parent)
        self.parent.title = "Segmend"
        self.parent.categories = ["Segmentation"]
        self.parent.dependencies = []
        self.parent.contributors = ["Segmend contributors"]
        self.parent.helpText = _(
            "Segment a volume by a few marks. Start Segmend first ('segmend start'), on this machine or another."
        )
        self.parent.acknowledgementText = ""


class SegmendWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's window."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.annotator = None
        self.points = {}  # by sign
        self._busy = False  # points change because the window changes them

    def setup(self):
        """Lay the window out."""
        ScriptedLoadableModuleWidget.setup(self)
        self._build_server()
        self._build_marks()
        self._enable()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._on_scene_closes)

    def cleanup(self):
        """Leave the scene as it is, and watch it no longer."""
        self.removeObservers()

    # The window

    def _build_server(self):
        part = ctk.ctkCollapsibleButton()
        part.text = _("Volume and server")
        self.layout.addWidget(part)
        form = qt.QFormLayout(part)
        self.address = qt.QLineEdit(slicer.app.settings().value(ADDRESS, USUAL_ADDRESS))
        self.token = qt.QLineEdit()
        self.token.echoMode = qt.QLineEdit.Password
        self.token.placeholderText = _("where the server needs one; it is not kept")
        self.volume = slicer.qMRMLNodeComboBox()
        self.volume.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        self.volume.addEnabled = self.volume.removeEnabled = self.volume.renameEnabled = False
        self.volume.setMRMLScene(slicer.mrmlScene)
        self.start = self._button(
            _("Segment this volume"), _("Send the volume to the server, and begin"), self._on_start
        )
        form.addRow(_("Server"), self.address)
        form.addRow(_("Token"), self.token)
        form.addRow(_("Volume"), self.volume)
        form.addRow(self.start)

    def _build_marks(self):
        part = ctk.ctkCollapsibleButton()
        part.text = _("Marks")
        self.layout.addWidget(part)
        form = qt.QFormLayout(part)
        self.segment = slicer.qMRMLSegmentSelectorWidget()
        self.segment.setMRMLScene(slicer.mrmlScene)
        self.segment.connect("currentSegmentChanged(QString)", lambda _name: self._fill_points())
        self.add = self._button(_("Add a segment"), _("Segment another object"), self._on_add)
        form.addRow(_("Segment"), self.segment)
        form.addRow(self.add)
        self.places = {}
        for sign, words in ((True, _("Clicks: object")), (False, _("Clicks: not"))):
            place = slicer.qSlicerMarkupsPlaceWidget()
            place.setMRMLScene(slicer.mrmlScene)
            place.placeMultipleMarkups = slicer.qSlicerMarkupsPlaceWidget.ForcePlaceMultipleMarkups
            place.buttonsVisible = False
            place.placeButton().show()
            self.places[sign] = place
            form.addRow(words, place)
        self.reach = qt.QComboBox()
        for kind, words in (
            (WHOLE, _("as far as needed")), (NEAR, _("near the mark")), (SLICE, _("only in its slice of the scan")),
            (PART, _("only its connected part")),
        ):  # fmt: skip
            self.reach.addItem(words, kind)
        self.reach.toolTip = _("How far a mark may change the mask")
        self.reach_mm = qt.QSpinBox()
        self.reach_mm.minimum, self.reach_mm.maximum, self.reach_mm.value = 1, 200, 15
        self.reach_mm.suffix = " mm"
        self.reach_mm.enabled = False
        self.reach.connect("currentIndexChanged(int)", lambda _number: self._enable())
        far = qt.QHBoxLayout()
        far.addWidget(self.reach)
        far.addWidget(self.reach_mm)
        form.addRow(_("Changes"), far)
        self.lock = self._button(
            _("Lock or unlock the slice of the red view"), _("No mask changes in a locked slice"), self._on_lock
        )
        form.addRow(self.lock)
        self.markup = slicer.qMRMLNodeComboBox()
        self.markup.nodeTypes = ["vtkMRMLMarkupsROINode", "vtkMRMLMarkupsCurveNode", "vtkMRMLMarkupsLineNode"]
        self.markup.addEnabled = self.markup.removeEnabled = False
        self.markup.noneEnabled = True
        self.markup.setMRMLScene(slicer.mrmlScene)
        self.markup_is_object = qt.QCheckBox(_("is the object"))
        self.markup_is_object.checked = True
        self.use = self._button(_("Use as a mark"), _("A ROI becomes a box, a curve or line a stroke"), self._on_use)
        form.addRow(_("ROI or curve"), self.markup)
        form.addRow(self.markup_is_object)
        form.addRow(self.use)
        row = qt.QHBoxLayout()
        self.undo = self._button(_("Undo"), _("Take the last step back"), lambda: self._step("undo"))
        self.redo = self._button(_("Redo"), _("Bring it back"), lambda: self._step("redo"))
        self.next = self._button(_("Where next?"), _("Go to the next uncertain place"), self._on_next)
        self.refresh = self._button(
            _("Refresh"), _("Show what others did in this session"), lambda: self._step("refresh")
        )
        for button in (self.undo, self.redo, self.next, self.refresh):
            row.addWidget(button)
        form.addRow(row)
        self.status = qt.QLabel()
        self.status.wordWrap = True
        form.addRow(self.status)
        self.layout.addStretch(1)

    @staticmethod
    def _button(text, title, press):
        button = qt.QPushButton(text)
        button.toolTip = title
        button.connect("clicked(bool)", lambda _checked: press())
        return button

    def _enable(self):
        there = self.annotator is not None
        session = self.annotator.session if there else None
        parts = (self.segment, self.add, self.markup, self.use, self.next, self.refresh, self.reach, self.lock)
        for part in (*parts, *self.places.values()):
            part.enabled = there
        self.reach_mm.enabled = there and self.reach.currentData == NEAR
        self.undo.enabled = there and bool(session.done)
        self.redo.enabled = there and bool(session.undone)

    # Beginning and ending

    def _on_start(self):
        volume = self.volume.currentNode()
        address, token = self.address.text.strip(), self.token.text.strip()

        def work():
            self._leave()
            annotator = begin(address, token, volume, wait=_wait)
            slicer.app.settings().setValue(ADDRESS, address)
            if not annotator.segments:
                annotator.add_segment(_("object"))
            self.annotator = annotator
            self._watch_points()
            self.segment.setCurrentNode(annotator.segmentation)
            self.segment.setCurrentSegmentID(next(iter(annotator.segments.values())))

        self._attempt(work)

    def _watch_points(self):
        for sign, place in self.places.items():
            name = "Segmend +" if sign else "Segmend -"
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetSelectedColor(*COLOURS[sign])
            node.GetDisplayNode().SetPointLabelsVisibility(False)
            self.points[sign] = Points(node, sign)
            place.setCurrentNode(node)
            events = slicer.vtkMRMLMarkupsNode
            for event in (events.PointPositionDefinedEvent, events.PointRemovedEvent):
                self.addObserver(node, event, self._on_points)

    def _leave(self):
        for points in self.points.values():
            self.removeObservers(self._on_points)
            slicer.mrmlScene.RemoveNode(points.node)
        self.points = {}
        self.annotator = None

    def _on_scene_closes(self, _caller, _event):
        self.removeObservers(self._on_points)
        self.points = {}
        self.annotator = None
        self._enable()

    # Marks

    def _on_points(self, _caller, _event):
        """Do what a person did with points: those that are new, and those that are gone."""
        if self._busy or self.annotator is None:
            return
        segment_id = self.segment.currentSegmentID()

        def work():
            for points in self.points.values():
                for event in points.gone():
                    points.forget(event)
                    self.annotator.remove(event)
                for name, point in points.added().items():
                    try:
                        event = self.annotator.click(segment_id, point, points.positive, self._reach())
                        points.keep(name, event)
                    except (SceneError, ServerError):
                        points.drop(name)
                        raise

        self._attempt(work)

    def _on_use(self):
        node, positive = self.markup.currentNode(), self.markup_is_object.checked
        if node is not None:
            segment_id = self.segment.currentSegmentID()
            self._attempt(lambda: self.annotator.mark_by(segment_id, node, positive, self._reach()))

    def _reach(self):
        return reach_of(self.reach.currentData, self.reach_mm.value)

    def _on_lock(self):
        view = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceNode()

        def work():
            found = self.annotator.slice_at(view.GetSliceToRAS())
            if found is None:
                raise SceneError(_("The red view shows no slice of the volume."))
            axis, number = found
            locked = not self.annotator.is_locked(axis, number)
            self.annotator.lock(axis, number, locked)
            words = _("Slice {number} is locked.") if locked else _("Slice {number} is unlocked.")
            self.status.text = words.format(number=number)

        self._attempt(work, keep_status=True)

    def _on_add(self):
        def work():
            count = len(self.annotator.segments) + 1
            self.segment.setCurrentSegmentID(self.annotator.add_segment(f"object {count}"))

        self._attempt(work)

    def _step(self, name):
        self._attempt(getattr(self.annotator, name))
        self._fill_points()

    def _fill_points(self):
        """Show the clicks of the segment that is worked on."""
        annotator = self.annotator
        if annotator is None or not self.points:
            return
        segment_id = self.segment.currentSegmentID()
        labels = [label for label, known in annotator.segments.items() if known == segment_id]
        marks = annotator.session.marks(labels[0]) if labels else []
        self._busy = True
        try:
            for points in self.points.values():
                points.fill(marks, annotator.point_of)
        finally:
            self._busy = False

    def _on_next(self):
        def work():
            point = self.annotator.go_on()
            if point is None:
                self.status.text = _("The last answer is uncertain nowhere.")
                return
            slicer.modules.markups.logic().JumpSlicesToLocation(*point, True)

        self._attempt(work, keep_status=True)

    def _attempt(self, work, keep_status=False):
        """Do something that may ask the server; what is refused is said in one sentence."""
        busy, self._busy = self._busy, True
        self.status.text = ""
        try:
            with slicer.util.WaitCursor():
                work()
        except (SceneError, ServerError) as error:
            self.status.text = str(error)
            slicer.util.warningDisplay(str(error))
        finally:
            self._busy = busy
            self._enable()
        if self.annotator is not None and not keep_status and not self.status.text:
            self.status.text = self._words_of_quality()

    def _words_of_quality(self):
        session, segment_id = self.annotator.session, self.segment.currentSegmentID()
        if session.quality is None:
            return ""
        words = _("Expected Dice: {value:.2f}").format(value=session.quality)
        labels = [label for label, known in self.annotator.segments.items() if known == segment_id]
        return words + _("; marks raise it no more") if labels and session.is_enough(labels[0]) else words


def _wait(seconds):
    """Wait for a server that is away, while the window stays alive."""
    end = qt.QTime.currentTime().addMSecs(int(1000 * seconds))
    while qt.QTime.currentTime() < end:
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents, 50)
