"""`segmend replay`: a mask made again from the log of how it was made."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from segmend.cli.reading import read_image
from segmend.cli.start import weights_of
from segmend.cli.words import as_json, check_free, device_options, force_option, mask_writer, patient_option, say
from segmend.core.layers import label_mask
from segmend.errors import ModelError
from segmend.io import LAYERED_FORMATS
from segmend.results.kinds import suffix_of
from segmend.results.provenance import origins_of
from segmend.runtime.engine import Device
from segmend.server.sessions.replaying import Provenance, Replayed


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--image", required=True, help="The image that it was made on: a file, or a folder of DICOM.")
@click.option("-o", "--out", required=True, metavar="FILE", help="The mask: .nii.gz, .seg.nrrd, .mha, .dcm, .png ...")
@click.option("--series", default=None, metavar="UID", help="Which DICOM series of a folder.")
@click.option("--weights", multiple=True, metavar="[METHOD=]DIR", help="Weights in place of those in the package.")
@click.option("--anyway", is_flag=True, help="Write the mask though it is another than the one that was recorded.")
@device_options
@patient_option
@force_option
@as_json
def replay(
    file: Path,
    image: str,
    out: str,
    series: str | None,
    weights: tuple[str, ...],
    anyway: bool,
    device: str,
    precision: str,
    patient: str,
    force: bool,
    as_json: bool,
) -> None:
    """Make a mask again from FILE, the .provenance.json of an export, and its image.

    Every mark and edit is answered again, in order. The mask has to be the one that was recorded, bit for bit, which
    it is on the same kind of processor with the same weights and libraries; otherwise the command says what differs.

    \b
    Example:
      segmend replay abdomen.provenance.json --image abdomen.nii.gz -o again.nii.gz
    """
    check_free([Path(out)], force=force)
    log = Provenance.read(file)
    scan = read_image(image, series=series)
    write = mask_writer(out, scan, image, patient, series=series)
    with click.progressbar(length=1000, label="Answering again", file=sys.stderr) as bar:

        def tell(done: int, of: int) -> None:
            bar.update(1000 * done // of - bar.pos)

        replayed = log.replay(
            scan, weights=weights_of(weights, "mend"), device=Device(device, precision), progress=tell
        )
    if not replayed.same and not anyway:
        raise ModelError(f"The mask came out otherwise{_why(replayed)}; it is not written without --anyway.")
    labels = [replace(label, name=label.title) for label in replayed.session.labels.values()]
    maps = replayed.maps if suffix_of(Path(out)) in LAYERED_FORMATS else replayed.map
    write(maps, labels, origins_of(replayed.session))
    values = {
        "out": out,
        "same": replayed.same,
        "different": list(replayed.different),
        "other_weights": list(replayed.other_weights),
        "labels": {label.name: int(label_mask(replayed.maps, label.value).sum()) for label in labels},
    }
    what = "the same mask, bit for bit" if replayed.same else f"another mask{_why(replayed)}"
    say(values, [f"{out}: {what}."], as_json=as_json)


def _why(replayed: Replayed) -> str:
    found = []
    if replayed.different:
        shown = ", ".join(map(str, replayed.different[:5])) + (" ..." if len(replayed.different) > 5 else "")
        found.append(f"the answers to events {shown} differ")
    if replayed.other_weights:
        found.append(f"the weights of {', '.join(replayed.other_weights)} are others")
    return f": {', and '.join(found)}" if found else ""
