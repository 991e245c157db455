"""What the words on a command line mean: voxels, boxes and lines become prompts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from segmend.core.image import Box, Image, Index, LabelMap
from segmend.core.prompts import Click, Prompt, Stroke, from_json
from segmend.core.session import Label
from segmend.errors import FileError, PromptError
from segmend.runtime.engine import DEVICES, PRECISIONS


def voxel(text: str) -> Index:
    """Return the voxel that a person wrote as z,y,x.

    >>> voxel("0,12,30")
    (0, 12, 30)
    """
    z, y, x = _whole_numbers(text, 3, "A voxel needs three whole numbers z,y,x (a photograph is slice 0)")
    return z, y, x


def corners(text: str) -> tuple[Index, Index]:
    """Return the two corners of a box written as z,y,x:z,y,x; the second one lies just outside.

    >>> corners("0,2,3:1,8,9")
    ((0, 2, 3), (1, 8, 9))
    """
    a, b, c, d, e, f = _whole_numbers(text.replace(":", ","), 6, "A box needs two corners z,y,x:z,y,x")
    return (a, b, c), (d, e, f)


def _whole_numbers(text: str, count: int, needed: str) -> list[int]:
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise PromptError(f"{needed}; got {text!r}.")
    return numbers


def prompts_of(
    *,
    clicks: Sequence[str] = (),
    negatives: Sequence[str] = (),
    boxes: Sequence[str] = (),
    strokes: Sequence[str] = (),
    file: str | None = None,
) -> list[Prompt]:
    """Return all prompts of one command: those of the file, boxes, strokes, then clicks.

    >>> prompts_of(clicks=["0,5,5"], boxes=["0,1,1:1,9,9"])
    [Box(low=(0, 1, 1), high=(1, 9, 9)), Click(index=(0, 5, 5), positive=True)]
    """
    found: list[Prompt] = [] if file is None else _read(Path(file))
    found += [Box(*corners(text)) for text in boxes]
    found += [Stroke(tuple(voxel(word) for word in text.split(":"))) for text in strokes]
    found += [Click(voxel(text)) for text in clicks]
    found += [Click(voxel(text), positive=False) for text in negatives]
    return found


def _read(path: Path) -> list[Prompt]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"The prompts in {path} could not be read: {error.strerror}.") from None
    except ValueError:
        raise FileError(f"The prompts in {path} need to be a JSON list; this is not JSON.") from None
    if not isinstance(values, list):
        raise FileError(f"The prompts in {path} need to be a JSON list; got {type(values).__name__}.")
    return [from_json(value if isinstance(value, dict) else {}) for value in values]


def say(values: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """Print the result: one JSON document for programs, or lines for people."""
    click.echo(json.dumps(values, indent=1) if as_json else "\n".join(lines))


def mask_writer(
    out: str | Path, scan: Image, image: str, patient: str, *, series: str | None = None
) -> Callable[[LabelMap, Sequence[Label]], None]:
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


patient_option = click.option(
    "--patient",
    type=click.Choice(("anonymous", "keep")),
    default="anonymous",
    show_default=True,
    help="A DICOM mask leaves out whose it is, or keeps it from the image, as an archive (PACS) needs it.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
