"""The shapes of JSON on the wire, for the OpenAPI document; the web annotator's types come from it.

What is read is checked by `segmend.core.session` and `segmend.core.prompts`, which know more than a schema can.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from segmend.core.edits import (
    MAX_DISTANCE_MM,
    MAX_RADIUS,
    MAX_SLICES,
    MAX_SMOOTHING_MM,
    Action,
    Filter,
    Inside,
    Operation,
    Unit,
)
from segmend.core.prompts import MAX_POINTS, Whole
from segmend.core.reach import MAX_REACH_MM
from segmend.core.session import MAX_LABEL, Finetune
from segmend.store.records import Status

MAX_NAME = 200  # characters of what a label is called
# A name as far as a pattern says it: no control characters, and one at least that is no blank.
NAME = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0][^\u0000-\u001f\u007f-\u009f]*$"

Coordinate = Annotated[int, Field(ge=0)]
Value = Annotated[int, Field(ge=1, le=MAX_LABEL)]  # of a label
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=NAME, description="printable characters")]
Voxel = Annotated[list[Coordinate], Field(min_length=3, max_length=3, description="(z, y, x)")]
Sides = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=3, max_length=3, description="(z, y, x)")]
Voxels = Annotated[list[Voxel], Field(min_length=1, max_length=MAX_POINTS)]
FinetuneJson = Annotated[
    Finetune, Field(description="may the method's network learn this image: where marks call for it, always, never")
]
Overwrite = Annotated[bool, Field(description="may it take voxels of other labels; locked ones never change")]
Channel = Annotated[int, Field(ge=0, le=255)]


class ClickJson(BaseModel):
    kind: Literal["click"]
    index: Voxel
    positive: bool = True


class StrokeJson(BaseModel):
    kind: Literal["stroke"]
    points: Voxels
    positive: bool = True
    radius: Annotated[float, Field(ge=0, le=1000)] = 1.0


class BoxJson(BaseModel):
    kind: Literal["box"]
    low: Voxel
    high: Voxel


class LassoJson(BaseModel):
    kind: Literal["lasso"]
    points: Voxels
    axis: Literal[0, 1, 2] = 0
    positive: bool = True


class ExtremesJson(BaseModel):
    kind: Literal["extremes"]
    points: Voxels


class AdjustJson(BaseModel):
    kind: Literal["adjust"]
    k: float
    of: Annotated[Whole, Field(description="mask: it should become 1 + k times as large; truth: 1 / (1 - k) times")] = (
        "truth"
    )


class MaskJson(BaseModel):
    kind: Literal["mask"]
    low: Voxel
    shape: Sides
    bits: Annotated[str, Field(description="base64 of zlib of the voxels, eight a byte, x fastest")]


class DrawnJson(BaseModel):
    """Voxels that were drawn one by one, such as another viewer's scribble; methods take them as strokes."""

    kind: Literal["drawn"]
    low: Voxel
    shape: Sides
    bits: Annotated[str, Field(description="base64 of zlib of the voxels, eight a byte, x fastest")]
    positive: bool = True


AnyPrompt = Annotated[
    ClickJson | StrokeJson | BoxJson | LassoJson | ExtremesJson | AdjustJson | MaskJson | DrawnJson,
    Field(discriminator="kind"),
]

Axis = Literal[0, 1, 2]
Across = Annotated[
    Axis | None, Field(description="the axis across the planes it keeps to; null: it works in all directions")
]
Within = Annotated[
    list[float | None],
    Field(min_length=2, max_length=2, description="lowest and highest value of the image; null: no limit"),
]
Distance = Annotated[float, Field(ge=0, le=MAX_DISTANCE_MM, description="mm")]


class PaintJson(BaseModel):
    """A brush along a line; with `positive` false it erases."""

    kind: Literal["paint"]
    points: Voxels
    positive: bool = True
    radius: Annotated[float, Field(ge=0, le=MAX_RADIUS)] = 3.0
    unit: Unit = "mm"
    axis: Across = None
    square: bool = False
    within: Within | None = None


class DrawJson(BaseModel):
    """Voxels that were drawn one by one are added, or with the drawing's `positive` false erased."""

    kind: Literal["draw"]
    drawn: DrawnJson
    within: Within | None = None


class FillHolesJson(BaseModel):
    kind: Literal["fill_holes"]
    axis: Across = None


class KeepLargestJson(BaseModel):
    kind: Literal["keep_largest"]


class RemoveSmallJson(BaseModel):
    kind: Literal["remove_small"]
    below_mm3: Annotated[float, Field(gt=0, description="mm^2 in a flat image")] = 50.0


class ComponentJson(BaseModel):
    """The connected component, or the hole, at a voxel."""

    kind: Literal["component"]
    index: Voxel
    action: Action = "erase"
    axis: Across = None


class SmoothJson(BaseModel):
    kind: Literal["smooth"]
    mm: Annotated[float, Field(gt=0, le=MAX_SMOOTHING_MM)] = 1.0
    filter: Filter = "gaussian"


class GrowJson(BaseModel):
    kind: Literal["grow"]
    mm: Annotated[float, Field(ge=-MAX_DISTANCE_MM, le=MAX_DISTANCE_MM, description="below 0 shrinks")] = 1.0


class ThresholdJson(BaseModel):
    """In a region, or without one in the mask grown by `margin_mm`, the mask becomes what is in a range of values."""

    kind: Literal["threshold"]
    within: Within
    region: Annotated[LassoJson | BoxJson, Field(discriminator="kind")] | None = None
    margin_mm: Distance = 3.0
    inside: Inside = "replace"


class CombineJson(BaseModel):
    """Subtract and intersect are with the other label grown by `margin_mm`: labels have no voxel in common."""

    kind: Literal["combine"]
    operation: Operation
    other: Value
    margin_mm: Distance = 0.0


class MergeJson(BaseModel):
    """The other label becomes a part of this one, and is gone; undo brings it back."""

    kind: Literal["merge"]
    other: Value


class InterpolateJson(BaseModel):
    kind: Literal["interpolate"]
    axis: Axis = 0
    slices: Annotated[
        list[Coordinate], Field(max_length=MAX_SLICES, description="none: fill the empty ones between others")
    ] = []


class CopySliceJson(BaseModel):
    kind: Literal["copy_slice"]
    axis: Axis
    source: Coordinate
    target: Coordinate


class CutJson(BaseModel):
    """A line parts a component; the part at `index` goes to the label `to`, or is erased."""

    kind: Literal["cut"]
    points: Voxels
    index: Voxel
    axis: Axis = 0
    to: Value | None = None
    through: bool = True


AnyEdit = Annotated[
    PaintJson
    | DrawJson
    | FillHolesJson
    | KeepLargestJson
    | RemoveSmallJson
    | ComponentJson
    | SmoothJson
    | GrowJson
    | ThresholdJson
    | CombineJson
    | MergeJson
    | InterpolateJson
    | CopySliceJson
    | CutJson,
    Field(discriminator="kind"),
]


class CodeJson(BaseModel):
    """A concept of SNOMED CT."""

    value: Annotated[str, Field(pattern=r"^[0-9]{1,64}$")]
    meaning: Annotated[str, Field(min_length=1, max_length=64, pattern=NAME)]


class CodesJson(BaseModel):
    category: CodeJson
    type: CodeJson
    side: CodeJson | None = None


Opacity = Annotated[float, Field(ge=0, le=1, description="of its mask, as a part of the opacity of all masks")]
Codes = Annotated[CodesJson | None, Field(description="what it is; null: what its name says")]
Layer = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_LABEL,
        description="labels of one layer share no voxel, those of different ones may; it stays once a label has marks",
    ),
]
Instance = Annotated[
    int | None,
    Field(ge=1, le=MAX_LABEL, description="the object's number among those of its name; null: it is the only one"),
]
Colour = Annotated[list[Channel], Field(min_length=3, max_length=3)]


class LabelJson(BaseModel):
    value: Value
    name: Name
    colour: Colour
    locked: bool = False
    opacity: Opacity = 1.0
    codes: Codes = None
    layer: Layer = 0
    instance: Instance = None


class TemplateLabelJson(BaseModel):
    """A label that new sessions begin with."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    colour: Colour
    codes: Codes = None
    overlaps: Annotated[bool, Field(description="it may share voxels with other labels")] = False


class FirstMasksJson(BaseModel):
    """The method that makes the first masks of a project's cases, and the Dice that was measured for it."""

    method: str
    dice: float


class NewFirstMasksJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    method: Annotated[str | None, Field(description="one that finds its labels without a mark; null: none")]
    dice: Annotated[
        float | None,
        Field(gt=0, le=1, description="measured on cases that it did not learn from; null: as its weights say"),
    ] = None


class ProjectJson(BaseModel):
    name: str
    first: Annotated[FirstMasksJson | None, Field(description="null: its cases begin without masks")]
    template: Annotated[list[TemplateLabelJson], Field(max_length=200, description="of its new sessions' labels")]


class NewTemplateJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    labels: Annotated[list[TemplateLabelJson], Field(max_length=200)]


class StructureJson(BaseModel):
    """An organ, tissue or lesion with its codes."""

    name: str
    codes: CodesJson


Joined = Annotated[bool, Field(description="to the event before: both are undone in one step")]


Replaces = Annotated[
    int | None,
    Field(ge=0, description="the event of an earlier prompt of the label, which this one takes the place of"),
]


class ReachJson(BaseModel):
    """Where an answer may change its label's mask; where several things are said, all of them hold."""

    model_config = ConfigDict(extra="forbid")

    mm: Annotated[float | None, Field(gt=0, le=MAX_REACH_MM, description="at most so far from the mark")] = None
    axis: Annotated[Axis | None, Field(description="only in the mark's own slices across this axis")] = None
    part: Annotated[bool, Field(description="only in the connected component that the mark is on, or makes")] = False


NewReach = Annotated[ReachJson | None, Field(description="null: as far as the method thinks right")]


class DefinedJson(BaseModel):
    event: Literal["defined"]
    label: LabelJson
    joined: Joined = False


class OrderedJson(BaseModel):
    """The labels in this order; those that are not named come behind."""

    event: Literal["ordered"]
    labels: Annotated[list[Value], Field(max_length=MAX_LABEL)]


class PromptedJson(BaseModel):
    event: Literal["prompted"]
    prompt: AnyPrompt
    label: Value
    method: str
    finetune: FinetuneJson = "auto"
    overwrite: Overwrite = False
    joined: Joined = False
    replaces: Replaces = None
    reach: NewReach = None


class EditedJson(BaseModel):
    """A label's mask edited by hand or by rule, without a method."""

    event: Literal["edited"]
    edit: AnyEdit
    label: Value
    overwrite: Overwrite = False
    joined: Joined = False


class RemovedJson(BaseModel):
    event: Literal["removed"]
    of: Annotated[int, Field(ge=0)]


class SlicesLockedJson(BaseModel):
    """Slices across an axis are done: no mask changes in them any longer; or they are unlocked."""

    event: Literal["slices_locked"]
    axis: Axis
    slices: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MAX_SLICES)]
    locked: bool = True


class DeletedJson(BaseModel):
    """A label deleted with its mask and its marks."""

    event: Literal["deleted"]
    label: Value
    joined: Joined = False


class UndoneJson(BaseModel):
    event: Literal["undone"]


class RedoneJson(BaseModel):
    event: Literal["redone"]


AnyEvent = (
    DefinedJson
    | OrderedJson
    | PromptedJson
    | EditedJson
    | RemovedJson
    | DeletedJson
    | SlicesLockedJson
    | UndoneJson
    | RedoneJson
)


class EventJson(RootModel[AnyEvent]):
    root: Annotated[AnyEvent, Field(discriminator="event")]


class NewPromptJson(BaseModel):
    prompt: AnyPrompt
    label: Value
    method: Annotated[str, Field(description="the server's usual one when left out; given: a mask as it is")] = ""
    finetune: FinetuneJson = "auto"
    overwrite: Overwrite = False
    replaces: Replaces = None
    reach: NewReach = None


class NewEditJson(BaseModel):
    edit: AnyEdit
    label: Value
    overwrite: Overwrite = False


class CompareJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: Value
    method: Annotated[str, Field(min_length=1, max_length=200)]


class RobotJson(BaseModel):
    label: Annotated[Value, Field(description="whose mask counts as the right one")]
    method: Annotated[str, Field(description="the server's usual one when left out")] = ""
    prompts: Annotated[list[ClickJson], Field(max_length=200, description="the robot's marks so far")] = []
    mask: Annotated[MaskJson | None, Field(description="what came of them")] = None


class RobotStepJson(BaseModel):
    prompt: Annotated[ClickJson | None, Field(description="the robot's mark; null: the mask is right")]
    mask: MaskJson
    dice: Annotated[float, Field(description="of this mask with the right one")]


class NewLabelJson(BaseModel):
    name: Name
    colour: Colour
    locked: bool = False
    opacity: Opacity = 1.0
    codes: Codes = None
    layer: Layer = 0
    instance: Instance = None


class LightStateJson(BaseModel):
    labels: list[LabelJson]
    done: list[int]
    undone: list[int]
    pending: list[int]


class StateJson(LightStateJson):
    id: str
    case: str
    shape: Voxel
    events: list[EventJson]


class AnswerJson(BaseModel):
    """What came of an event."""

    position: int
    milliseconds: float
    quality: float | None
    finetuned: Annotated[bool, Field(description="by a network that was taught this image")]
    withdrawn: Annotated[bool, Field(description="undone or cancelled before it was answered")]
    covered_by: Annotated[
        int | None, Field(description="the other label that keeps most of what the answer found, null where none does")
    ] = None
    state: LightStateJson


class LoadedJson(BaseModel):
    """What came of a mask's file."""

    labels: Annotated[list[int], Field(description="whose masks these are now, in the order of the file's values")]
    covered_by: Annotated[int | None, Field(description="a label that keeps most of one of them")] = None
    state: LightStateJson


class UncertainPlaceJson(BaseModel):
    """A place where the last answer is uncertain."""

    position: Annotated[int, Field(description="of the event whose answer this is about")]
    label: int
    rank: Annotated[int, Field(description="0: the most uncertain")]
    place: Annotated[Voxel | None, Field(description="null: there is no further one")]
    inside: Annotated[
        bool | None, Field(description="the label's mask holds the place: the mark that would change it is negative")
    ]


ReadStateName = Literal["open", "finished", "decided"]
ReadingStateName = Literal["assigned", "begun", "finished"]


class CaseReadingJson(BaseModel):
    """How far the readers of a case are; a blind reader is told of their own part alone."""

    state: ReadStateName
    blind: bool
    wanted: Annotated[int, Field(description="readers")]
    mine: Annotated[ReadingStateName | None, Field(description="how far one is oneself; null: no reader of it")]
    finished: Annotated[int | None, Field(description="readers that have finished; null: not told")]


class CaseJson(BaseModel):
    id: str
    name: str
    project: str
    shape: Voxel
    spacing: Annotated[list[float], Field(min_length=3, max_length=3, description="mm (z, y, x)")]
    channels: int
    timed: Annotated[bool, Field(description="the channels are one image at several times")]
    modality: str
    notes: list[str]
    source: Annotated[bool, Field(description="the original DICOM files are kept")]
    created: str
    patient: Annotated[str, Field(description="name and id, as DICOM files say; empty: unknown")]
    study_date: Annotated[str, Field(description="YYYY-MM-DD; empty: unknown")]
    description: Annotated[str, Field(description="of the study")]
    status: Status
    comment: Annotated[str, Field(description="on the status")]
    status_by: Annotated[str, Field(description="who set the status; empty: nobody with an account")]
    status_at: str | None
    changed: Annotated[str, Field(description="when a mark or a status came last")]
    interactions: Annotated[int, Field(description="marks, removals, undos and redos")]
    seconds: Annotated[float, Field(description="of work; gaps of more than a minute between events do not count")]
    slide: Annotated[bool, Field(description="a whole-slide image; the case's own image shows all of it")]
    doubt: Annotated[float | None, Field(description="1 - the Dice that the last answer expected; null: none said one")]
    reading: Annotated[CaseReadingJson | None, Field(description="of a case that is given to readers")]


class FieldOfViewJson(BaseModel):
    """A region of a slide at one of its levels, and the session in which it is marked."""

    session: str
    case: str
    level: int
    low: Annotated[list[int], Field(description="(y, x) in pixels of the level, inside")]
    high: Annotated[list[int], Field(description="just outside")]
    um: Annotated[list[float] | None, Field(description="of a pixel, down and across; null: unknown")]
    user: str
    created: str
    begun: Annotated[int, Field(description="events of its session that it began with")]
    marks: Annotated[int, Field(description="in effect, without the labels and the mask that it began with")]


class SlideLabelJson(BaseModel):
    value: int
    name: str
    colour: Annotated[list[int], Field(min_length=3, max_length=3)]
    pixels: Annotated[int, Field(description="of level 0")]
    area_mm2: Annotated[float | None, Field(description="null: the file does not say how large a pixel is")]


class SlideJson(BaseModel):
    """A whole-slide image: level 0 is the finest, each further one has half the sides."""

    case: str
    width: int
    height: int
    levels: int
    tile: Annotated[int, Field(description="pixels of a tile's side")]
    most: Annotated[int, Field(description="pixels of a side that a field of view may have")]
    um: Annotated[list[float] | None, Field(description="of a pixel of level 0, down and across; null: unknown")]
    version: Annotated[str, Field(description="another one after every change of the mask")]
    labels: list[SlideLabelJson]
    fields: list[FieldOfViewJson]


class NewFieldJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: Annotated[int, Field(ge=0, le=30)]
    low: Annotated[tuple[Coordinate, Coordinate], Field(description="(y, x) of what is seen, in pixels of the level")]
    high: Annotated[tuple[Coordinate, Coordinate], Field(description="just outside")]


class TotalsJson(BaseModel):
    untouched: int
    begun: int
    done: int
    rejected: int
    accepted: int


class CasePageJson(BaseModel):
    """Some cases of a list that may be long."""

    cases: list[CaseJson]
    offset: Annotated[int, Field(description="place of the first one in the list")]
    total: Annotated[int, Field(description="of the whole list")]
    totals: Annotated[TotalsJson, Field(description="by status, whichever statuses the list shows")]


class ChoicesJson(BaseModel):
    """What the list of cases can be filtered by."""

    projects: list[str]
    modalities: list[str]
    labels: Annotated[list[str], Field(description="what labels are called, those used most first")]


class NewStatusJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: Annotated[
        Literal["done", "rejected", "accepted", "open"],
        Field(
            description="open: begun where the case has marks, otherwise untouched; of a reader done and open "
            "are about their own reading; accepted: by a reviewer, frozen for annotators"
        ),
    ]
    comment: Annotated[str, Field(max_length=1000)] = ""


class SeriesJson(BaseModel):
    """An image that is shown beside a case's own, by where both lie in the patient."""

    id: str
    name: str
    modality: str
    shape: Annotated[Voxel, Field(description="of its own grid")]
    notes: list[str]


class LeftOutJson(BaseModel):
    name: str
    why: str


class UploadedJson(BaseModel):
    """What became of files that came in."""

    cases: list[CaseJson]
    left_out: Annotated[list[LeftOutJson], Field(description="files that are no case, a hundred at most")]
    left_out_count: int
    copies: Annotated[
        list[str], Field(description="sentences on cases whose voxels were there already, and on text in pixels")
    ]


class SessionJson(BaseModel):
    id: str
    case: str
    user: str
    created: str


class FoundLabelJson(BaseModel):
    value: int
    name: str


class IntervalJson(BaseModel):
    """Between what eight of ten true Dice values of masks lay of which this one was expected."""

    expected: float
    low: float
    high: float


class MethodJson(BaseModel):
    id: str
    title: str
    paper: str
    good_for: Annotated[str, Field(description="when to choose it, in a sentence; empty: nobody said")]
    prompts: list[str]
    dimensions: list[int]
    weights: str
    refines: bool
    guesses: bool
    finetunes: bool
    calibrated: Annotated[
        list[int],
        Field(
            description="dimensions in which the Dice that it expects was held to the true one; elsewhere, show none"
        ),
    ]
    intervals: Annotated[
        dict[str, list[IntervalJson]],
        Field(description="by these dimensions: where eight of ten true values lay, by the expected Dice"),
    ]
    labels: Annotated[list[FoundLabelJson], Field(description="what it finds by itself, where it learned a task")]


class LabelMeasuresJson(BaseModel):
    """What is measured of one label's mask."""

    value: Annotated[int, Field(description="of the label")]
    voxels: int
    volume_ml: Annotated[float | None, Field(description="null of a picture")]
    area_mm2: Annotated[float | None, Field(description="null of a volume, and without a known size of pixels")]
    long_axis: Annotated[float | None, Field(description="the longest diameter in a slice; null of an empty mask")]
    short_axis: Annotated[float | None, Field(description="the longest across it, in the same slice")]
    slice: Annotated[int | None, Field(description="z of that slice")]
    means: Annotated[list[float], Field(description="of the values in the mask, by channel")]
    deviations: Annotated[list[float], Field(description="their standard deviations")]


class MeasuresJson(BaseModel):
    version: Annotated[str, Field(description="of the map that was measured")]
    unit: Annotated[Literal["mm", "px"], Field(description="of diameters")]
    labels: list[LabelMeasuresJson]


class FormatJson(BaseModel):
    suffix: Annotated[str, Field(description="a file's ending, or what a folder of an archive is called")]
    title: str
    group: Annotated[
        Literal["masks", "surfaces", "reading", "training"],
        Field(description="training: folders to learn from, in an archive alone"),
    ]
    of: Annotated[Literal["any", "picture", "volume"], Field(description="what it can be made of")]
    flat: Annotated[bool, Field(description="it holds a picture, and no volume")]


class MemoryJson(BaseModel):
    limit_bytes: Annotated[int, Field(description="of all that is kept because it may be wanted again")]
    kept_bytes: Annotated[int, Field(description="what is kept now: features, images, maps, workspaces")]
    resident_bytes: Annotated[int | None, Field(description="what the whole server holds, if the system says")]


class HealthJson(BaseModel):
    status: Literal["ok"]
    version: str
    ready: Annotated[bool, Field(description="the usual method is loaded, and its first answer takes as long as any")]
    read_only: Annotated[
        bool, Field(description="nothing can be written now: the disk is full, or the folder read-only")
    ]


class ReadyJson(BaseModel):
    ready: bool
    store: Annotated[bool, Field(description="the database answers")]
    method: Annotated[bool, Field(description="the usual method is loaded, and its first answer takes as long as any")]


class LinkJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=4096, description="a folder or file of the server's machine")]
    project: Annotated[str, Field(min_length=1, max_length=200)] = "default"


Uid = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9.]+$", description="DICOM's number of it")]


class ArchiveJson(BaseModel):
    name: str


class StudyJson(BaseModel):
    uid: str
    patient: str
    patient_id: str
    date: Annotated[str, Field(description="YYYY-MM-DD; empty: unknown")]
    description: str
    modalities: list[str]


class StudyPageJson(BaseModel):
    studies: list[StudyJson]
    more: Annotated[bool, Field(description="there are others behind these")]


class ArchivedSeriesJson(BaseModel):
    uid: str
    study: str
    modality: str
    description: str
    instances: Annotated[int | None, Field(description="how many files; null: the archive does not say")]
    cases: Annotated[list[str], Field(description="those that were made of it here")]


class NewImportJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    study: Uid
    series: Uid
    project: Annotated[str, Field(min_length=1, max_length=200)] = "default"


class ImportJson(BaseModel):
    """A series that is fetched from an archive."""

    id: str
    archive: str
    study: str
    series: str
    stage: Literal["waiting", "fetching", "reading", "done", "failed", "cancelled"]
    files: Annotated[int, Field(description="that are there")]
    size: Annotated[int, Field(description="bytes that are there")]
    cases: Annotated[list[str], Field(description="that were made of it")]
    error: Annotated[str, Field(description="why it failed, in a sentence")]


class SendJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    session: Annotated[str, Field(min_length=1, max_length=64)]
    format: Annotated[Literal[".dcm", ".rtstruct.dcm"], Field(description="a segmentation, or a structure set")] = (
        ".dcm"
    )


class SentJson(BaseModel):
    stored: Annotated[int, Field(description="files that the archive keeps")]
    refused: Annotated[list[str], Field(description="DICOM's numbers of the reasons for those that it does not")]


RoleName = Literal["annotator", "reviewer", "admin"]


class MeJson(BaseModel):
    """Who asks, and what they may."""

    name: Annotated[str, Field(description="empty: without an account, who may do everything")]
    everywhere: Annotated[RoleName | None, Field(description="the role in all projects")]
    projects: Annotated[dict[str, RoleName], Field(description="the roles in single projects, which come before it")]
    alone: Annotated[bool, Field(description="nobody has an account on this server")]


class MemberJson(BaseModel):
    """Somebody who has a role in a project."""

    name: str
    role: RoleName
    everywhere: Annotated[RoleName | None, Field(description="the role in all projects")]
    disabled: bool
    invited: Annotated[bool, Field(description="has not chosen a password yet")]


class PersonJson(BaseModel):
    """Somebody who has an account."""

    name: str
    everywhere: Annotated[RoleName | None, Field(description="the role in all projects")]
    projects: Annotated[dict[str, RoleName], Field(description="the roles in single projects, which come before it")]
    disabled: bool
    password: Annotated[bool, Field(description="has one")]
    token: Annotated[bool, Field(description="has one")]
    provider: Annotated[bool, Field(description="logs in at a provider of logins")]
    logins: Annotated[int, Field(description="browsers that are logged in, at servers with this data folder")]
    created: str


class NewPersonJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=300)]
    role: RoleName | None = "annotator"
    project: Annotated[str | None, Field(max_length=300, description="null: the role is for all projects")] = None
    days: Annotated[float, Field(gt=0, le=90, description="after which the link opens nothing")] = 7


class RenewedInvitationJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: Annotated[float, Field(gt=0, le=90, description="after which the link opens nothing")] = 7


class NewDisabledJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    disabled: bool


class TokenJson(BaseModel):
    name: str
    token: Annotated[str, Field(description="is told this once, and kept nowhere")]


class EndedJson(BaseModel):
    ended: Annotated[int, Field(description="logins")]


class PatientJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patient: Annotated[
        str, Field(min_length=1, max_length=300, description="a name, an id, both as cases list them, or a pseudonym")
    ]


class CaseOfPatientJson(BaseModel):
    id: str
    name: str
    project: str
    patient: str
    study_date: str
    status: Status
    created: str
    bytes: Annotated[int, Field(description="of its files")]


class OfPatientJson(BaseModel):
    cases: list[CaseOfPatientJson]
    pseudonyms: Annotated[list[str], Field(description="at most one, whose person is kept apart")]


class MeantJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patient: Annotated[str, Field(min_length=1, max_length=300)]
    cases: Annotated[
        list[Annotated[str, Field(max_length=64)]],
        Field(max_length=10_000, description="ids, as the search told them; refused where there are others"),
    ]


class ForgottenCaseJson(BaseModel):
    """What there was of a case."""

    case: str
    project: str
    sessions: int
    events: int
    masks: int
    bytes: Annotated[int, Field(description="of its files")]
    blobs: Annotated[dict[str, str], Field(description="SHA-256 of each file")]
    sha256: Annotated[str, Field(description="of all of these and of the events, as the audit's entry says")]
    entry: Annotated[int, Field(description="the number of that entry")]


class ForgottenJson(BaseModel):
    """The proof, which is kept nowhere else: the audit has its hashes."""

    made: str
    forgotten: list[ForgottenCaseJson]
    compact: Annotated[bool, Field(description="no trace is left in the database's file; false: until it is closed")]


class RetentionJson(BaseModel):
    project: str
    days: Annotated[int | None, Field(description="since the last change; null: cases are kept")]
    expired: Annotated[int, Field(description="cases that are older, and go within the hour where it is set")]


class NewRetentionJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: Annotated[int | None, Field(ge=1, le=36_500)]


class NewLimitJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    bytes: Annotated[int | None, Field(ge=0, le=1 << 53)]


class LimitsJson(BaseModel):
    """0: no limit."""

    bytes_per_person: int
    bytes_per_project: int
    requests_per_second: float
    connections_per_person: int


class StorageJson(BaseModel):
    cases: int
    bytes: Annotated[int, Field(description="of their files")]
    database_bytes: Annotated[int | None, Field(description="null: it is elsewhere")]
    free_bytes: Annotated[int | None, Field(description="on the disk; null: files are elsewhere")]


class PersonUsageJson(BaseModel):
    name: Annotated[str, Field(description="`local`: without an account")]
    bytes: Annotated[int, Field(description="of the cases that they added and that are there")]
    connections: Annotated[int, Field(description="cases that are open now, at this server")]
    account: Annotated[bool, Field(description="has one, for which a limit can be set")]
    max_bytes: Annotated[int | None, Field(description="set for this person; 0: any number, null: as everybody")]


ProfileName = Literal["basic", "basic-shifted"]


class ProjectUsageJson(BaseModel):
    name: str
    cases: int
    bytes: int
    max_bytes: Annotated[int | None, Field(description="set for this project; 0: any number, null: as all projects")]
    retention_days: int | None
    expired: int
    anonymise: Annotated[ProfileName | None, Field(description="what comes in is, by this profile; null: as it is")]
    anonymise_at_start: Annotated[bool, Field(description="the server was started so, which stays")]


class NewAnonymiseJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile: ProfileName | None


class UsageJson(BaseModel):
    limits: LimitsJson
    storage: StorageJson
    anonymises: Annotated[bool, Field(description="what it takes is installed")]
    people: list[PersonUsageJson]
    projects: list[ProjectUsageJson]


class EntryJson(BaseModel):
    """One thing that somebody did."""

    number: int
    at: str
    person: Annotated[str, Field(description="`local`: without an account; `server`: by itself; `unknown`: nobody's")]
    action: str
    project: str
    case: Annotated[str, Field(description="by id; the case may be deleted")]
    session: str
    detail: dict[str, Any]
    hash: Annotated[str, Field(description="SHA-256 of the hash before it and of all above")]


class AuditJson(BaseModel):
    entries: list[EntryJson]


class AuditCheckJson(BaseModel):
    entries: int
    head: Annotated[str, Field(description="number and hash of the last sound entry")]
    damage: Annotated[list[str], Field(description="where an entry was changed or taken away; empty: nowhere")]


class NewRoleJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Annotated[RoleName | None, Field(description="null: none")]


class NewInvitationJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=300)]
    role: RoleName = "annotator"
    days: Annotated[float, Field(gt=0, le=90, description="after which the link opens nothing")] = 7


class ReaderJson(BaseModel):
    name: str
    role: RoleName


class PlanJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cases: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(min_length=1, max_length=1000, description="null: all of the project that nobody has begun or was given"),
    ] = None
    readers: Annotated[list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=100)] = []
    each: Annotated[int, Field(ge=1, le=8, description="how many read a case, in turn or who asks")] = 2
    how: Annotated[
        Literal["all", "turns", "pull"],
        Field(description="all readers each case, some in turn, or who asks for the next"),
    ] = "turns"
    blind: Annotated[bool, Field(description="readers see nothing of each other until it is decided")] = True


class GivenJson(BaseModel):
    cases: Annotated[int, Field(description="that were given")]
    readers: Annotated[dict[str, int], Field(description="how many each reader has got")]


class OneReadingJson(BaseModel):
    reader: str
    session: str | None
    state: ReadingStateName
    interactions: int
    seconds: float
    finished: str | None


class ReadJson(BaseModel):
    """Who reads a case, and how far they are."""

    wanted: int
    blind: bool
    state: ReadStateName
    mine: ReadingStateName | None
    session: Annotated[str | None, Field(description="of the mask that decides")]
    decided_by: str
    decided: str | None
    readings: list[OneReadingJson]


class SliceDifferenceJson(BaseModel):
    z: int
    only_one: Annotated[int, Field(description="voxels")]
    only_other: int


class DifferenceJson(BaseModel):
    """How a label of two readers differs."""

    name: str
    dice: float
    one: Annotated[int, Field(description="voxels")]
    other: int
    both: int
    slices: Annotated[list[SliceDifferenceJson], Field(description="those in which they differ")]


class AdjudicationJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    begin_with: Annotated[
        str | None, Field(max_length=300, description="a reader's mask; null: what all readers agree on")
    ] = None


class TakeJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reader: Annotated[str, Field(min_length=1, max_length=300)]
    label: Annotated[int, Field(ge=1, le=65535)]
    low: Annotated[int, Field(ge=0, description="the first slice")] = 0
    high: Annotated[int | None, Field(ge=1, description="just behind the last slice; null: the end")] = None


class TakenJson(BaseModel):
    events: Annotated[int, Field(description="that were added, undone in one step")]
    state: LightStateJson


class PairLabelJson(BaseModel):
    name: str
    dice: float


class PairJson(BaseModel):
    one: str
    other: str
    dice: Annotated[float, Field(description="mean of the labels'")]
    labels: list[PairLabelJson]


class AgreementJson(BaseModel):
    """How far the readers of a case agree."""

    case: str
    name: str
    state: ReadStateName
    decided_by: str
    readings: list[OneReadingJson]
    pairs: list[PairJson]


class CommentJson(BaseModel):
    id: str
    user: Annotated[str, Field(description="empty: without an account")]
    at: str
    text: str
    place: Voxel | None


class NewCommentJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    place: Voxel | None = None


class InvitationJson(BaseModel):
    """An invitation; its code is told here alone."""

    name: str
    path: Annotated[str, Field(description="the address on this server with which a password is chosen, once")]
    days: float


def body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return what the OpenAPI document says of a body that the route reads itself."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
