"""One image with its prompts, answered: what `segmend segment` does with a file, and with each of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segmend.core.edits import edit_to_json
from segmend.core.image import Image, LabelMap
from segmend.core.prompts import Mask, Prompt, to_json
from segmend.core.segmenter import FIRST, Method, Workspace, answer, first_masks
from segmend.core.session import PALETTE, Label, painted
from segmend.editing.steps import Step, Uncertainty, take_steps
from segmend.errors import PromptError, SettingsError
from segmend.io.dicomseg import Origin


@dataclass(frozen=True, eq=False)
class Answered:
    """The masks of an image, and what the method says of them."""

    map: LabelMap  # [z y x]
    names: Mapping[int, str]  # of the labels
    qualities: Mapping[int, float]  # the Dice expected of each, as far as it is
    origins: Mapping[int, Origin]  # what made each, where it was not there before
    finetuned: bool = False
    uncertainty: Uncertainty | None = None  # of the last answer, as far as its method tells

    @property
    def labels(self) -> list[Label]:
        return [Label(value, text, PALETTE[i % len(PALETTE)]) for i, (value, text) in enumerate(self.names.items())]


def answer_image(
    workspace: Workspace, card: Method, scan: Image, steps: Sequence[Step], start: LabelMap | None, name: str
) -> Answered:
    """Return the masks that prompts and edits make of those to start from, or all that is found without any.

    `name` is what to call the object; of a task model it says which of its labels the prompts are for.
    """
    earlier = np.zeros(scan.shape, np.uint16) if start is None else start
    names = dict(workspace.labels) or {1: name}
    if workspace.labels:
        names |= {n: f"label {n}" for n in np.unique(earlier).tolist() if n and n not in names}
    if card.labels and not workspace.labels and not steps:
        raise PromptError(
            f"These weights find nothing in this {'picture' if scan.flat else 'volume'} without a prompt."
        )
    if workspace.labels and not steps:
        first = first_masks(workspace, scan.shape)
        origins = dict.fromkeys(names, Origin.of([card.id], []))
        return Answered(first.map, names, {}, origins)  # nobody has held what is expected of them to the truth
    value = label_of(workspace.labels, name) if workspace.labels else 1
    before = earlier if workspace.labels else (earlier > 0).astype(np.uint16)
    mended = bool(steps) and isinstance(steps[0], Prompt)  # otherwise an edit takes the mask from elsewhere as it is
    from_elsewhere = [Mask(before == value)] if start is not None and mended and "mask" in card.prompts else []
    stepped = take_steps(
        [*from_elsewhere, *steps] or [FIRST],
        before,
        scan,
        workspace=lambda: workspace,
        card=card,
        label=value,
        answered=len(from_elsewhere),
    )
    names |= {n: f"label {n}" for n in np.unique(stepped.map).tolist() if n and n not in names}
    qualities = {} if stepped.quality is None else {value: stepped.quality}
    prompted = not steps or any(isinstance(step, Prompt) for step in steps)
    marks = [to_json(step) if isinstance(step, Prompt) else edit_to_json(step) for step in steps]
    origins = {value: Origin.of([card.id] if prompted else [], marks)}
    return Answered(stepped.map, names, qualities, origins, stepped.finetuned, stepped.uncertainty)


def refine_masks(workspace: Workspace, card: Method, start: LabelMap, names: Mapping[int, str]) -> Answered:
    """Return given masks as a method that refines makes them better, one label after the other."""
    found, qualities, finetuned = start.copy(), {}, False
    values = [value for value in np.unique(start).tolist() if value]
    if not values:
        raise PromptError("The mask to refine is empty.")
    for value in values:
        before = found == value
        better = answer(workspace, [Mask(before)], before)
        found = painted(found, better.over(before), value)
        finetuned |= better.finetuned
        if better.quality is not None:
            qualities[value] = better.quality
    origins = dict.fromkeys(values, Origin.of([card.id], []))
    named = {value: names.get(value, f"label {value}") for value in values}
    return Answered(found, named, qualities, origins, finetuned)


def uncertainty_image(found: Answered, scan: Image, *, bytes_: bool = False) -> Image:
    """Return how uncertain the last answer is as an image on the scan's grid, 0 (sure) to 1 (neither), or 0 to 255.

    SettingsError where the method does not tell it.
    """
    if found.uncertainty is None:
        raise SettingsError(
            "Where it is uncertain is told by methods that give a probability, such as mend, refinenet or bifseg, and "
            "for an answer to prompts; this one tells nothing."
        )
    box, values = found.uncertainty
    whole = np.zeros(scan.shape, np.float32)
    whole[box.slices] = values
    return Image((255 * whole).round().astype(np.uint8)[None] if bytes_ else whole[None], scan.affine)


def labels_of(found: Answered, scan: Image, card: Method) -> list[dict[str, Any]]:
    """Return what is known of each label: how large it is, and the Dice that is expected of it.

    What a method expects is told only where it was held to the truth (`segmend calibrate`).
    """
    held = (2 if scan.flat else 3) in card.calibrated
    counts = {value: int((found.map == value).sum()) for value in found.names}
    return [
        {
            "value": value,
            "name": name,
            "voxels": counts[value],
            **sizes_of(counts[value], scan),
            "quality": found.qualities.get(value) if held else None,
        }
        for value, name in found.names.items()
    ]


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
    return size_text(voxels, sizes_of(voxels, scan))


def size_text(voxels: int, sizes: Mapping[str, Any]) -> str:
    """Return what a person is told of so many voxels, with what `sizes_of` says of them."""
    if sizes["millilitres"] is not None:
        return f"{voxels} voxels, {sizes['millilitres']:.3g} ml"
    area = sizes["square_millimetres"]
    return f"{voxels} pixels" if area is None else f"{voxels} pixels, {area:.4g} mm²"
