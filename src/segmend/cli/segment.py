"""`segmend segment`: one image, a few prompts, one mask; or many images, each with its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from segmend import io
from segmend.batch.answering import answer_image, labels_of, size_of, sizes_of, uncertainty_image
from segmend.batch.job import Job
from segmend.cli.many import Many, many_options, segment_many
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
    variant_option,
    weights_option,
)
from segmend.core.image import Image
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Workspace
from segmend.core.session import Finetune
from segmend.errors import PromptError, SettingsError
from segmend.io.files import IMAGE_FORMATS
from segmend.io.prompts import placed
from segmend.methods import card, load, variant_id


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGE...")
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
@click.option(
    "--prompts", "file", metavar="FILE",
    help="More prompts: a JSON list of the forms above, .mrk.json of 3D Slicer, or a .csv of points.",
)  # fmt: skip
@click.option("--start", "start", metavar="MASK", help="A mask to start from, on the same grid.")
@click.option(
    "--probability", "likely", metavar="FILE",
    help="Start from a probability of each voxel, 0 to 1, on the same grid: for --method densecrf.",
)  # fmt: skip
@click.option("--method", default="mend", show_default=True, help="One of `segmend methods`.")
@variant_option
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
@click.option(
    "-o", "--out", required=True, metavar="FILE",
    help="The mask: .nii.gz, .seg.nrrd, .mha, .dcm, .png ...; of many images a folder.",
)  # fmt: skip
@click.option(
    "--uncertainty", "doubtful", metavar="FILE",
    help="Also write where the method is uncertain, 0 to 1 a voxel: .nii.gz, .mha, .nrrd ...; of one image.",
)  # fmt: skip
@patient_option
@force_option
@many_options
@as_json
def segment(
    inputs: tuple[str, ...],
    start: str | None,
    likely: str | None,
    method: str,
    variant: str | None,
    finetune: Finetune,
    weights: Path | None,
    device: str,
    precision: str,
    series: str | None,
    name: str,
    out: str,
    doubtful: str | None,
    patient: str,
    force: bool,
    layout: str | None,
    channels: str | None,
    ending: str | None,
    refine: bool,
    workers: int,
    cluster: str | None,
    skip_existing: bool,
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
    Many images, with -o FOLDER (docs: many-cases.md):
      IMAGE...     files, folders, "patterns/*.nii.gz", a .txt with a path a line, a .csv with a column "image"
      --prompts    a folder with a file for each, called as its image; or a .csv with a column "case"
      --start      a folder with a mask for each, called as its image
    Options that begin with "Many" are for these. Marks given here are for all of them. FOLDER gets the
    masks, results.csv and results.jsonl. A case that fails stops no other one; they are listed at the
    end, and the exit code is 1. After an interruption the same command with --skip-existing goes on.

    \b
    Example:
      segmend segment scan.nii.gz --click 30,110,84 --negative 30,140,90 -o liver.nii.gz
      segmend segment mole.png --extremes 80,120:130,60:180,125:125,190 -o mask.png
      segmend segment heart.nii.gz --weights runs/hearts -o first.nii.gz
      segmend segment heart.nii.gz --weights runs/hearts --start first.nii.gz --label left --click 4,80,90 -o b.nii.gz
      segmend segment scans/ --weights runs/hearts -o masks/
      segmend segment "study/*/t1.nii.gz" --prompts points.csv -o masks/ --skip-existing
    """
    method = variant_id(method, variant)
    given = Many(layout, channels, ending, refine, workers, skip_existing, cluster)
    if given.meant(inputs, out):
        if series is not None:
            raise SettingsError("--series is for one image; of many, each series of a folder is a case.")
        if doubtful is not None:
            raise SettingsError("--uncertainty is for one image.")
        if likely is not None:
            raise SettingsError("--probability is for one image.")
        anonymous = patient == "anonymous"
        job = Job(method, Path(out), "", weights, device, precision, finetune, name, anonymous=anonymous)
        segment_many(inputs, given, job, Marks(**written), start, force=force, as_json=as_json)
        return
    [image] = inputs
    chosen = card(method, weights)
    marks = Marks(**written)
    unplaced = marks.steps()
    if likely is not None and (method != "densecrf" or start is not None):
        raise SettingsError("--probability needs --method densecrf, and no --start beside it.")
    if not unplaced and likely is None and (start is not None or not chosen.guesses):
        raise PromptError("A segmentation needs at least one prompt, for example --click 0,120,80; got none.")
    chosen.check([step for step in unplaced if isinstance(step, Prompt)])
    check_free([Path(out), *([] if doubtful is None else [Path(doubtful)])], force=force)
    if doubtful is not None:
        io.suffix_of(Path(doubtful), IMAGE_FORMATS)
    scan = read_image(image, series=series)
    marks.check_flat(scan)
    steps = placed(unplaced, scan)
    chosen.check([step for step in steps if isinstance(step, Prompt)])
    write = mask_writer(out, scan, image, patient, series=series)
    earlier = None if start is None else read_mask(start, scan)

    begun = time.perf_counter()
    segmenter = load(method, weights, device=device, precision=precision)
    workspace = segmenter.open(scan).with_finetuning(finetune)
    if likely is not None:
        workspace = _from_probability(workspace, likely, scan)
    opened = time.perf_counter()
    found = answer_image(workspace, chosen, scan, steps, earlier, name)
    answered = time.perf_counter()

    if doubtful is not None:
        uncertain = uncertainty_image(found, scan, bytes_=doubtful.lower().endswith(".png"))
    write(found.map, found.labels, found.origins)
    if doubtful is not None:
        io.write_image(doubtful, uncertain)
    labels = labels_of(found, scan, chosen)
    voxels = sum(label["voxels"] for label in labels)
    values = {
        "out": out,
        **({} if doubtful is None else {"uncertainty": doubtful}),
        "method": method,
        "voxels": voxels,
        **sizes_of(voxels, scan),
        "quality": labels[0]["quality"] if len(labels) == 1 else None,
        "finetuned": found.finetuned,
        "labels": labels,
        "seconds": {"open": round(opened - begun, 4), "answer": round(answered - opened, 4)},
        "notes": list(scan.notes),
    }
    lines = [*scan.notes]
    for label in labels:
        quality = "" if label["quality"] is None else f", expected Dice {label['quality']:.2f}"
        what = f"{out}: {label['name']}: " if workspace.labels else f"{out}: "
        lines.append(f"{what}{size_of(label['voxels'], scan)}{quality}.")
    taught = ", fine-tuned to this image" if found.finetuned else ""
    lines[-1] = f"{lines[-1][:-1]}{taught}, in {answered - opened:.2f} s."
    say(values, lines, as_json=as_json)


def _from_probability(workspace: Workspace, path: str, scan: Image) -> Workspace:
    """Return a workspace of the dense CRF that refines the probability in a file."""
    from segmend.classical.methods.densecrf import DenseCrfWorkspace

    image = read_image(path)
    found = np.asarray(image.voxels[0], np.float32)
    if image.channels != 1 or not ((found >= 0) & (found <= 1)).all():
        raise SettingsError(f"A probability needs one channel of numbers from 0 to 1; {path} holds others.")
    assert isinstance(workspace, DenseCrfWorkspace)
    return workspace.with_probability(found)
