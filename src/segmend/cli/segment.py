"""`segmend segment`: one image, a few prompts, one mask."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segmend.cli.words import as_json, prompts_of, say, weights_option

if TYPE_CHECKING:
    from segmend.session import Adapt


@click.command(short_help="Segment one object of an image.")
@click.argument("image")
@click.option("--click", "clicks", multiple=True, metavar="Z,Y,X", help="A voxel of the object. Repeat for more.")
@click.option("--negative", "negatives", multiple=True, metavar="Z,Y,X", help="A voxel that is not of the object.")
@click.option("--box", "boxes", multiple=True, metavar="Z,Y,X:Z,Y,X", help="The object lies in this box, low:high.")
@click.option("--stroke", "strokes", multiple=True, metavar="Z,Y,X:...", help="A line through the object.")
@click.option("--prompts", "file", metavar="FILE", help="More prompts, a JSON list as the server takes them.")
@click.option("--start", "start", metavar="MASK", help="A mask to start from, on the same grid.")
@click.option("--method", default="mend", show_default=True, help="One of `segmend methods`.")
@click.option(
    "--adapt",
    type=click.Choice(("auto", "on", "off")),
    default="auto",
    show_default=True,
    help="May its network learn this image: where marks disagree with it, always, never.",
)
@weights_option
@click.option("--series", default=None, metavar="UID", help="Which DICOM series of a folder.")
@click.option("--label", "name", default="object", show_default=True, help="What to call the object.")
@click.option("-o", "--out", required=True, metavar="FILE", help="The mask: .nii.gz, .seg.nrrd, .mha, .dcm, .png ...")
@as_json
def segment(
    image: str,
    clicks: tuple[str, ...],
    negatives: tuple[str, ...],
    boxes: tuple[str, ...],
    strokes: tuple[str, ...],
    file: str | None,
    start: str | None,
    method: str,
    adapt: Adapt,
    weights: Path | None,
    series: str | None,
    name: str,
    out: str,
    as_json: bool,
) -> None:
    """Segment one object of IMAGE, a file or a folder of DICOM, and write its mask.

    \b
    Voxels are z,y,x and count from 0; a photograph is slice 0. A box ends just before its
    second corner, as a slice does in Python.

    \b
    Example:
      segmend segment scan.nii.gz --click 30,110,84 --negative 30,140,90 -o liver.nii.gz
    """
    import numpy as np

    from segmend import io
    from segmend.errors import PromptError
    from segmend.methods import card, load
    from segmend.segmenter import answer
    from segmend.session import PALETTE, Label

    chosen = card(method)
    prompts = prompts_of(clicks=clicks, negatives=negatives, boxes=boxes, strokes=strokes, file=file)
    if not prompts:
        raise PromptError("A segmentation needs at least one prompt, for example --click 0,120,80; got none.")
    chosen.check(prompts)
    scan = io.read(Path(image), series=series)
    previous = np.zeros(scan.shape, bool) if start is None else io.read_mask(Path(start), scan) > 0

    begun = time.perf_counter()
    workspace = load(method, weights).open(scan).adapting(adapt)
    opened = time.perf_counter()
    prediction = answer(workspace, prompts, previous)
    mask = prediction.over(previous)
    answered = time.perf_counter()

    labels = [Label(1, name, PALETTE[0])]
    io.write_mask(Path(out), mask.astype(np.uint16), scan, labels, source=Path(image))
    voxels = int(mask.sum())
    volume = voxels * float(abs(np.linalg.det(scan.affine[:3, :3]))) / 1000
    values = {
        "out": out,
        "method": method,
        "voxels": voxels,
        "millilitres": round(volume, 6),
        "quality": prediction.quality,
        "adapted": prediction.adapted,
        "seconds": {"open": round(opened - begun, 4), "answer": round(answered - opened, 4)},
        "notes": list(scan.notes),
    }
    quality = "" if prediction.quality is None else f", expected Dice {prediction.quality:.2f}"
    adapted = ", adapted to this image" if prediction.adapted else ""
    lines = [*scan.notes, f"{out}: {voxels} voxels, {volume:.3g} ml{quality}{adapted}, in {answered - opened:.2f} s."]
    say(values, lines, as_json=as_json)
