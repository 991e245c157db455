"""`segmend segment`: one image, a few prompts, one mask."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from segmend.cli.reading import read_image, read_mask
from segmend.cli.words import (
    Marks,
    as_json,
    check_free,
    device_options,
    force_option,
    mask_writer,
    patient_option,
    say,
    weights_option,
)
from segmend.core.image import Image
from segmend.core.prompts import Mask, Prompt
from segmend.core.segmenter import FIRST, first_masks
from segmend.core.session import PALETTE, Finetune, Label
from segmend.editing.steps import take_steps
from segmend.errors import PromptError
from segmend.methods import card, load


@click.command()
@click.argument("image")
@click.option("--click", "clicks", multiple=True, metavar="Z,Y,X", help="A voxel of the object. Repeat for more.")
@click.option("--negative", "negatives", multiple=True, metavar="Z,Y,X", help="A voxel that is not of the object.")
@click.option("--box", "boxes", multiple=True, metavar="Z,Y,X:Z,Y,X", help="The object lies in this box, low:high.")
@click.option("--stroke", "strokes", multiple=True, metavar="Z,Y,X:...", help="A line through the object.")
@click.option("--negative-stroke", "negative_strokes", multiple=True, metavar="Z,Y,X:...", help="A line outside it.")
@click.option("--radius", default=1.0, show_default=True, help="Half the width of the strokes, in voxels.")
@click.option("--lasso", "lassos", multiple=True, metavar="Z,Y,X:...", help="A closed line; its inside is the object.")
@click.option("--negative-lasso", "negative_lassos", multiple=True, metavar="Z,Y,X:...", help="Its inside is not.")
@click.option(
    "--extremes", multiple=True, metavar="Z,Y,X:...", help="The outermost voxels: 4 in a plane, 6 in a volume."
)
@click.option("--adjust", type=float, metavar="K", help="Grow the mask so far by K of its volume; below 0 shrinks it.")
@click.option("--prompts", "file", metavar="FILE", help="More prompts, a JSON list of the forms below.")
@click.option("--start", "start", metavar="MASK", help="A mask to start from, on the same grid.")
@click.option("--method", default="mend", show_default=True, help="One of `segmend methods`.")
@click.option(
    "--finetune",
    type=click.Choice(("auto", "on", "off")),
    default="auto",
    show_default=True,
    help="May its network learn this image: where marks disagree with it, always, never.",
)
@weights_option
@device_options
@click.option("--series", default=None, metavar="UID", help="Which DICOM series of a folder.")
@click.option(
    "--label", "name", default="object", show_default=True,
    help="What to call the object; of a task model, which of its labels the prompts are for.",
)  # fmt: skip
@click.option("-o", "--out", required=True, metavar="FILE", help="The mask: .nii.gz, .seg.nrrd, .mha, .dcm, .png ...")
@patient_option
@force_option
@as_json
def segment(
    image: str,
    start: str | None,
    method: str,
    finetune: Finetune,
    weights: Path | None,
    device: str,
    precision: str,
    series: str | None,
    name: str,
    out: str,
    patient: str,
    force: bool,
    as_json: bool,
    **written: Any,
) -> None:
    """Segment one object of IMAGE, a file or a folder of DICOM, and write its mask.

    Without a prompt, a method that finds the object by itself does so. With --weights of a task (see `segmend train
    --task`), mend finds all labels of the task, and prompts mend one of them (--label) in the mask of --start.

    \b
    Voxels are z,y,x and count from 0; in a photograph or another flat image y,x is enough. A
    box ends just before its second corner, as a slice does in Python.

    \b
    A file of --prompts is a JSON list; the newest prompt comes last. "positive" is true and
    "radius" is 1 where nothing is said:
      {"kind": "click", "index": [z, y, x], "positive": true}
      {"kind": "stroke", "points": [[z, y, x], ...], "positive": true, "radius": 1}
      {"kind": "box", "low": [z, y, x], "high": [z, y, x]}
      {"kind": "lasso", "points": [[z, y, x], ...], "axis": 0, "positive": true}
      {"kind": "extremes", "points": [[z, y, x], ...]}
      {"kind": "adjust", "k": 0.1, "of": "mask"}
      {"kind": "mask", "low": [z, y, x], "shape": [z, y, x], "bits": "..."}
      {"kind": "drawn", "low": [z, y, x], "shape": [z, y, x], "bits": "...", "positive": true}

    \b
    Among them may be edits of the mask so far, by hand or by rule (docs: finishing.md), such as
      {"kind": "paint", "points": [[z, y, x], ...], "positive": false, "radius": 3, "axis": 0}
      {"kind": "fill_holes"}
      {"kind": "grow", "mm": -1}

    \b
    Example:
      segmend segment scan.nii.gz --click 30,110,84 --negative 30,140,90 -o liver.nii.gz
      segmend segment mole.png --extremes 80,120:130,60:180,125:125,190 -o mask.png
      segmend segment heart.nii.gz --weights runs/hearts -o first.nii.gz
      segmend segment heart.nii.gz --weights runs/hearts --start first.nii.gz --label left --click 4,80,90 -o b.nii.gz
    """
    chosen = card(method, weights)
    marks = Marks(**written)
    steps = marks.steps()
    if not steps and (start is not None or not chosen.guesses):
        raise PromptError("A segmentation needs at least one prompt, for example --click 0,120,80; got none.")
    prompts = [step for step in steps if isinstance(step, Prompt)]
    chosen.check(prompts)
    check_free([Path(out)], force=force)
    scan = read_image(image, series=series)
    marks.check_flat(scan)
    write = mask_writer(out, scan, image, patient, series=series)
    earlier = np.zeros(scan.shape, np.uint16) if start is None else read_mask(start, scan)

    begun = time.perf_counter()
    segmenter = load(method, weights, device=device, precision=precision, dimensions=())
    workspace = segmenter.open(scan).with_finetuning(finetune)
    opened = time.perf_counter()
    names = dict(workspace.labels) or {1: name}
    if workspace.labels:
        names |= {n: f"label {n}" for n in np.unique(earlier).tolist() if n and n not in names}
    if chosen.labels and not workspace.labels and not steps:
        raise PromptError(
            f"These weights find nothing in this {'picture' if scan.flat else 'volume'} without a prompt."
        )
    if workspace.labels and not steps:
        first = first_masks(workspace, scan.shape)
        found, qualities, finetuned = first.map, dict(first.qualities), False
    else:
        value = label_of(workspace.labels, name) if workspace.labels else 1
        before = earlier if workspace.labels else (earlier > 0).astype(np.uint16)
        mended = prompts and isinstance(steps[0], Prompt)  # otherwise an edit takes the mask from elsewhere as it is
        from_elsewhere = [Mask(before == value)] if start is not None and mended and "mask" in chosen.prompts else []
        stepped = take_steps(
            [*from_elsewhere, *steps] or [FIRST],
            before,
            scan,
            workspace=lambda: workspace,
            card=chosen,
            label=value,
            answered=len(from_elsewhere),
        )
        found, finetuned = stepped.map, stepped.finetuned
        qualities = {} if stepped.quality is None else {value: stepped.quality}
        names |= {n: f"label {n}" for n in np.unique(found).tolist() if n and n not in names}
    answered = time.perf_counter()

    labels = [Label(value, text, PALETTE[i % len(PALETTE)]) for i, (value, text) in enumerate(names.items())]
    write(found, labels)
    counts = {value: int((found == value).sum()) for value in names}
    voxels = sum(counts.values())
    values = {
        "out": out,
        "method": method,
        "voxels": voxels,
        **sizes_of(voxels, scan),
        "quality": next(iter(qualities.values())) if len(qualities) == 1 else None,
        "finetuned": finetuned,
        "labels": [
            {
                "value": value,
                "name": text,
                "voxels": counts[value],
                **sizes_of(counts[value], scan),
                "quality": qualities.get(value),
            }
            for value, text in names.items()
        ],
        "seconds": {"open": round(opened - begun, 4), "answer": round(answered - opened, 4)},
        "notes": list(scan.notes),
    }
    lines = [*scan.notes]
    for value, text in names.items():
        quality = f", expected Dice {qualities[value]:.2f}" if value in qualities else ""
        what = f"{out}: {text}: " if workspace.labels else f"{out}: "
        lines.append(f"{what}{size_of(counts[value], scan)}{quality}.")
    taught = ", fine-tuned to this image" if finetuned else ""
    lines[-1] = f"{lines[-1][:-1]}{taught}, in {answered - opened:.2f} s."
    say(values, lines, as_json=as_json)


def sizes_of(voxels: int, scan: Image) -> dict[str, float | None]:
    """Return the volume of so many voxels of a scan, or their area in a flat image that says how large its pixels are.

    >>> sizes_of(2000, Image(np.zeros((1, 1, 40, 50))))
    {'millilitres': None, 'square_millimetres': None}
    """
    _, y, x = scan.spacing.tolist()
    sized = (y, x) != (1.0, 1.0)  # pictures that say nothing are read as one millimetre a pixel
    volume = float(abs(np.linalg.det(scan.affine[:3, :3]))) / 1000
    return {
        "millilitres": None if scan.flat else round(voxels * volume, 6),
        "square_millimetres": round(voxels * y * x, 6) if scan.flat and sized else None,
    }


def size_of(voxels: int, scan: Image) -> str:
    """Return what a person is told of so many voxels of a scan.

    >>> size_of(2000, Image(np.zeros((1, 1, 40, 50)))), size_of(2000, Image(np.zeros((1, 40, 50, 60))))
    ('2000 pixels', '2000 voxels, 2 ml')
    """
    sizes = sizes_of(voxels, scan)
    if sizes["millilitres"] is not None:
        return f"{voxels} voxels, {sizes['millilitres']:.3g} ml"
    area = sizes["square_millimetres"]
    return f"{voxels} pixels" if area is None else f"{voxels} pixels, {area:.4g} mm²"


def label_of(labels: Mapping[int, str], name: str) -> int:
    """Return the label of a task that a person named on the command line; PromptError lists the ones there are.

    >>> label_of({1: "liver", 2: "tumour"}, "tumour")
    2
    """
    found = [value for value, called in labels.items() if called.casefold() == name.casefold()]
    if not found and len(labels) == 1:
        found = list(labels)
    if not found:
        known = ", ".join(labels.values())
        raise PromptError(f"Prompts need one of these weights' labels, --label with {known}; got {name!r}.")
    return found[0]
