"""`segmend convert`: the same voxels in another file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from segmend import io
from segmend.cli.layouts import empty_folder, find_data_set, say_data_set, write_data_set
from segmend.cli.reading import read_image, read_mask, read_series
from segmend.cli.words import as_json, check_free, force_option, mask_writer, patient_option, say
from segmend.core.session import PALETTE, Label
from segmend.datasets.folder import NAMES, WRITERS
from segmend.errors import SettingsError


@click.command()
@click.argument("source")
@click.argument("target", required=False)
@click.option("--mask", "image", metavar="IMAGE", help="SOURCE is a mask of this image; keep its labels.")
@click.option("--label", "names", multiple=True, metavar="NAME", help="Names of the mask's labels, in order of value.")
@click.option("--series", default=None, metavar="UID", help="Which DICOM series of a folder.")
@click.option(
    "--fourth", type=click.Choice(["channels", "time"]), default="channels", show_default=True, help="A 4th axis is ..."
)
@click.option("--frame", default=0, show_default=True, help="Which moment, when the 4th axis is time.")
@click.option(
    "--layout", type=click.Choice(list(WRITERS)), help="SOURCE is a data set; write it to the folder TARGET as ..."
)
@click.option(
    "--from", "source_layout", type=click.Choice(NAMES), help="How that SOURCE is laid out, where it is not known."
)
@patient_option
@force_option
@as_json
def convert(
    source: str,
    target: str | None,
    image: str | None,
    names: tuple[str, ...],
    series: str | None,
    fourth: str,
    frame: int,
    layout: str | None,
    source_layout: str | None,
    patient: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write SOURCE, a file or a folder of DICOM, to TARGET in the format of its suffix.

    \b
    Without a target, list the series that the source holds.

    \b
    Example, a DICOM folder to NIfTI, and a mask of it to a DICOM segmentation:
      segmend convert ct/ ct.nii.gz
      segmend convert liver.nii.gz liver.dcm --mask ct/ --label liver --patient keep

    \b
    A DICOM segmentation says of each segment how it was made as far as SOURCE does,
    and else that it is not known.

    \b
    And a data set from nnU-Net's layout to BIDS, splits and names of labels kept:
      segmend convert nnUNet_raw/Dataset001_Liver bids/ --layout bids
    """
    if layout is not None:
        if target is None:
            raise SettingsError("A data set needs a folder to be written to; got none.")
        found = find_data_set(Path(source), source_layout)
        written, left_out = write_data_set(found, WRITERS[layout](empty_folder(Path(target), force=force)))
        say_data_set(Path(target), layout, written, left_out, len(found.unlabelled), as_json=as_json)
        return
    if target is None:
        series_there = read_series(source)
        say([asdict(entry) for entry in series_there], [str(entry) for entry in series_there], as_json=as_json)
        return
    check_free([Path(target)], force=force)
    if image is None and patient == "keep":
        raise SettingsError("--patient keep is for masks: name the image with --mask.")
    reference = read_image(
        image or source,
        series=series,
        fourth="time" if fourth == "time" else "channels",
        frame=frame,
    )
    if image is None:
        io.write_image(Path(target), reference)
        shape, kept = reference.shape, 0
    else:
        write = mask_writer(target, reference, image, patient, series=series)
        suffix = io.suffix_of(Path(target), [*io.MASK_FORMATS, *io.ALIASES])
        label_map = read_mask(source, reference, layered=io.ALIASES.get(suffix, suffix) in io.LAYERED_FORMATS)
        labels = _labels(sorted(set(label_map.ravel().tolist()) - {0}), names)
        write(label_map, labels, io.mask_origins(source))
        shape, kept = reference.shape, len(labels)
    values = {"out": target, "shape": list(shape), "labels": kept, "notes": list(reference.notes)}
    size = " x ".join(str(n) for n in shape)
    say(
        values, [*reference.notes, f"{target}: {size} voxels" + (f", {kept} labels." if kept else ".")], as_json=as_json
    )


def _labels(values: Sequence[int], names: Sequence[str]) -> list[Label]:
    called = dict(zip(values, names, strict=False))
    return [Label(v, called.get(v, f"label {v}"), PALETTE[i % len(PALETTE)]) for i, v in enumerate(values)]
