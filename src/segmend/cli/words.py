"""What the words on a command line mean: voxels, boxes and lines become prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segmend.core.image import Box, Image, Index
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Stroke
from segmend.errors import ConflictError, PromptError
from segmend.runtime.engine import DEVICES, PRECISIONS

if TYPE_CHECKING:
    from segmend.io.files import MaskWriter
    from segmend.io.prompts import Unplaced


class Megabytes(click.ParamType[int]):
    """An amount of memory such as 500M or 2G, as bytes."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG])i?B?", value.strip(), re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is no amount of memory; write for example 500M or 2G.", param, context)
        return int(float(found[1]) * (1 << {"M": 20, "G": 30}[found[2].upper()]))


def voxel(text: str) -> Index:
    """Return the voxel that a person wrote as z,y,x, or as y,x of a flat image.

    >>> voxel("3,12,30"), voxel("12,30")
    ((3, 12, 30), (0, 12, 30))
    """
    z, y, x = [0, *_whole_numbers(text, (2, 3), "A voxel needs three whole numbers z,y,x, or y,x in a flat image")][-3:]
    return z, y, x


def corners(text: str) -> tuple[Index, Index]:
    """Return the two corners of a box written as z,y,x:z,y,x or y,x:y,x; the second one lies just outside.

    >>> corners("0,2,3:1,8,9"), corners("2,3:8,9")
    (((0, 2, 3), (1, 8, 9)), ((0, 2, 3), (1, 8, 9)))
    """
    needed = "A box needs two corners z,y,x:z,y,x, or y,x:y,x in a flat image"
    numbers = _whole_numbers(text.replace(":", ","), (4, 6), needed)
    if len(numbers) == 4:
        numbers = [0, *numbers[:2], 1, *numbers[2:]]
    a, b, c, d, e, f = numbers
    return (a, b, c), (d, e, f)


def line(text: str) -> tuple[Index, ...]:
    """Return the voxels of a line, written one after the other with colons between them."""
    return tuple(voxel(word) for word in text.split(":"))


def flat_only(texts: Sequence[str]) -> str | None:
    """Return the first voxel, box or line that is written with y,x alone, as only a flat image's can be.

    >>> flat_only(["1,2,3", "4,5:6,7"])
    '4,5:6,7'
    """
    return next((text for text in texts if any(word.count(",") == 1 for word in text.split(":"))), None)


def _whole_numbers(text: str, counts: Sequence[int], needed: str) -> list[int]:
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        raise PromptError(f"{needed}; got {text!r}.")
    return numbers


@dataclass(frozen=True)
class Marks:
    """The prompts of one command as they were written."""

    clicks: Sequence[str] = ()
    negatives: Sequence[str] = ()
    boxes: Sequence[str] = ()
    strokes: Sequence[str] = ()
    negative_strokes: Sequence[str] = ()
    lassos: Sequence[str] = ()
    negative_lassos: Sequence[str] = ()
    extremes: Sequence[str] = ()
    adjust: float | None = None
    radius: float = 1.0  # of the strokes, in voxels
    file: str | None = None

    def steps(self) -> list[Unplaced]:
        """Return all of them: those of the file, boxes, extremes, lassos, strokes, clicks, and the adjustment.

        >>> Marks(clicks=["0,5,5"], boxes=["1,1:9,9"]).steps()
        [Box(low=(0, 1, 1), high=(1, 9, 9)), Click(index=(0, 5, 5), positive=True)]
        """
        found = [] if self.file is None else _read(Path(self.file))
        found += [Box(*corners(text)) for text in self.boxes]
        found += [Extremes(line(text)) for text in self.extremes]
        for lassos, positive in ((self.lassos, True), (self.negative_lassos, False)):
            found += [Lasso(line(text), plane_of(line(text)), positive) for text in lassos]
        for strokes, positive in ((self.strokes, True), (self.negative_strokes, False)):
            found += [Stroke(line(text), positive, self.radius) for text in strokes]
        found += [Click(voxel(text)) for text in self.clicks]
        found += [Click(voxel(text), positive=False) for text in self.negatives]
        return [*found, *([] if self.adjust is None else [Adjust(self.adjust)])]

    @property
    def flat_text(self) -> str | None:
        """The first voxel, box or line that is written y,x, as only a picture's can be."""
        texts = (
            *self.clicks, *self.negatives, *self.boxes, *self.strokes, *self.negative_strokes, *self.lassos,
            *self.negative_lassos, *self.extremes,
        )  # fmt: skip
        return flat_only(texts)

    def check_flat(self, image: Image) -> None:
        """Raise PromptError when a voxel is written y,x though the image is a volume."""
        if not image.flat and (text := self.flat_text) is not None:
            raise PromptError(f"In a volume of shape {image.shape} a voxel needs three numbers z,y,x; got {text!r}.")


def plane_of(points: Sequence[Index]) -> int:
    """Return the axis along which all points of a lasso have one index, the first where there are several.

    >>> plane_of([(3, 2, 5), (7, 2, 9), (4, 2, 1)])
    1
    """
    return next((axis for axis in range(3) if len({point[axis] for point in points}) == 1), 0)


def _read(path: Path) -> list[Unplaced]:
    from segmend.io.prompts import read_prompts

    return read_prompts(path)


def say(values: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """Print the result: one JSON document for programs, or lines for people."""
    click.echo(json.dumps(values, indent=1) if as_json else "\n".join(lines))


def mask_writer(out: str | Path, scan: Image, image: str, patient: str, *, series: str | None = None) -> MaskWriter:
    """Return what writes masks of a scan that was read from the path `image`, after all that can be refused is checked.

    A DICOM mask of an image that is DICOM refers to it; of any other image it gets identifiers of its own.
    """
    from segmend import io

    source = io.dicom_source(image) if str(out).lower().endswith(".dcm") else None
    return io.mask_writer(Path(out), scan, source=source, series=series, anonymous=patient == "anonymous")


def data_option(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that says where data sets are."""
    return click.option(
        "--data",
        required=required,
        type=click.Path(path_type=Path),
        envvar="SEGMEND_DATA",
        show_envvar=True,
        help="A data set in a layout that is known, or a folder of them.",
    )


weights_option = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder that `segmend train` made, in place of the weights in the package.",
)


variant_option = click.option(
    "--variant", metavar="NAME", help="Another form of the method, one of those that `segmend methods` lists under it."
)


def device_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --device and --precision."""
    device = click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="Where the method's networks run.",
    )
    precision = click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="auto",
        show_default=True,
        help="Of its networks; bfloat16 is quicker where there is hardware for it.",
    )
    return device(precision(command))


def cluster_option(scope: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option --cluster; `scope` says when it counts."""
    return click.option(
        "--cluster",
        metavar="ADDRESS",
        help=f"{scope}Let --workers processes of Ray do it: ray for this machine, or ray://HOST:10001.",
    )


patient_option = click.option(
    "--patient",
    type=click.Choice(("anonymous", "keep")),
    default="anonymous",
    show_default=True,
    help="A DICOM mask leaves out whose it is, or keeps it from the image, as an archive (PACS) needs it.",
)
force_option = click.option("--force", is_flag=True, help="Write over a file that is there.")


def check_free(paths: Sequence[Path], *, force: bool) -> None:
    """Raise ConflictError when one of the files is there already, unless it may be written over."""
    there = next((path for path in paths if path.exists()), None)
    if there is not None and not force:
        raise ConflictError(f"The file {there} is there already; choose another one, or write over it with --force.")


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
