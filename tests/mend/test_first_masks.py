"""First masks round three-line networks: what is bright is called one thing, what is dark another."""

import json

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.masks import dice
from segmend.core.segmenter import merged
from segmend.errors import ModelError
from segmend.mend.first_masks import InPlanes, InSpace, Namer, agree, read_labels
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import Networks
from segmend.mend.volume import VolumeWorkspace
from segmend.runtime.engine import Engine
from tests.tasks import DISC, SQUARE, drawn_picture, drawn_volume

LABELS = {SQUARE: "square", DISC: "disc"}


class Eyes(Engine):
    """Reads the image as it is, and counts how often."""

    name = "eyes"

    def __init__(self):
        self.looks = 0

    def run(self, inputs):
        self.looks += 1
        return {"f0": inputs["x"][:, :1]}


class Tones(Engine):
    """Names what is bright and what is dark."""

    name = "intensities"

    def run(self, inputs):
        intensities = inputs["f0"][0, 0]
        plain = np.ptp(intensities) < 0.8
        bright, dark = (np.where(part & ~plain, 9.0, -9.0) for part in (intensities > 0.8, intensities < 0.2))
        return {"logits": np.stack([np.zeros_like(intensities), bright, dark])[None].astype(np.float32)}


class Content(Engine):
    """Leaves the mask as it is, or finds all but it, which is another thing."""

    name = "content"

    def __init__(self, *, lost=False):
        self.lost = lost

    def run(self, inputs):
        mask = inputs["prompts"][:, :1]
        logits = np.where((mask > 0.5) != self.lost, 9.0, -9.0).astype(np.float32)
        return {"logits": logits, "quality": np.float32([0.9]), "hidden": mask, "error_logits": -np.abs(logits)}


def in_planes(image, **refiner):
    eyes = Eyes()
    return InPlanes(Namer(Tones(), LABELS), PlanePredictor(Networks(eyes, Content(**refiner)), image)), eyes


def in_space(image, **refiner):
    eyes = Eyes()
    return InSpace(Namer(Tones(), LABELS), VolumeWorkspace(eyes, Content(**refiner), image)), eyes


def mask_of(automatic, value, shape):
    nothing = np.zeros(shape, bool)
    return merged(list(automatic.of(value)), nothing).over(nothing)


def test_every_label_of_a_picture_is_found():
    image, truth = drawn_picture(0, noise=0)
    automatic, eyes = in_planes(image)

    masks = {value: mask_of(automatic, value, truth.shape) for value in LABELS}

    assert all(dice(truth == value, mask) > 0.9 for value, mask in masks.items())
    assert not (masks[SQUARE] & masks[DISC]).any()
    assert eyes.looks == 3  # all of it, which holds things all over, and each label: once for all labels


def test_every_label_of_a_volume_is_found_in_space():
    image, truth = drawn_volume(0, noise=0)
    automatic, eyes = in_space(image)

    masks = {value: mask_of(automatic, value, truth.shape) for value in LABELS}

    assert all(dice(truth == value, mask) > 0.85 for value, mask in masks.items())
    assert not (masks[SQUARE] & masks[DISC]).any()
    assert eyes.looks == 4


def test_a_volume_is_named_plane_by_plane_from_the_middle_on():
    image, truth = drawn_volume(1, noise=0)
    automatic, _ = in_planes(image)

    parts = list(automatic.of(SQUARE))

    planes = [part.box.low[0] for part in parts]
    assert planes[:3] == [8, 7, 9] and sorted(planes) == np.flatnonzero((truth == SQUARE).any(axis=(1, 2))).tolist()
    assert dice(truth == SQUARE, mask_of(automatic, SQUARE, truth.shape)) > 0.9


def test_planes_lie_across_the_thickest_slices():
    image, truth = drawn_volume(1, noise=0)
    turned = Image(image.voxels.transpose(0, 2, 3, 1), scale_affine((1, 1, 2)))
    automatic, _ = in_planes(turned)

    mask = mask_of(automatic, DISC, turned.shape)

    assert dice(truth.transpose(1, 2, 0) == DISC, mask) > 0.85


@pytest.mark.parametrize("make", [in_planes, in_space])
def test_an_image_that_holds_nothing_has_an_empty_part(make):
    image = Image(np.full((1, 16, 20, 24), 7, np.uint8))
    automatic, _ = make(image)

    (part,) = automatic.of(DISC)

    assert not part.mask.any() and part.box.size == 1


@pytest.mark.parametrize(
    ("make", "case"), [(in_planes, drawn_picture(3, noise=0)), (in_space, drawn_volume(3, noise=0))]
)
def test_a_refiner_that_finds_another_thing_is_not_followed(make, case):
    image, truth = case
    automatic, _ = make(image, lost=True)

    mask = mask_of(automatic, DISC, truth.shape)

    assert dice(truth == DISC, mask) > 0.8


def test_the_quality_is_the_refiners_and_uncertainty_lies_at_the_edge():
    image, truth = drawn_picture(0, noise=0)
    automatic, _ = in_planes(image)

    (part,) = automatic.of(SQUARE)

    assert part.quality == pytest.approx(0.9)
    inner = np.zeros_like(truth, bool)
    inner[part.box.slices] = part.uncertainty < 0.01
    ys, xs = np.nonzero(truth[0] == SQUARE)
    assert inner[0, round(ys.mean()), round(xs.mean())]


def test_two_empty_masks_do_not_agree():
    assert not agree(np.zeros(3, bool), np.zeros(3, bool))


@pytest.mark.parametrize("text", ["", "[]", '{"labels": [{"name": "liver"}]}', '{"labels": 3}', '{"labels": []}'])
def test_labels_that_cannot_be_read_are_refused(text, tmp_path):
    path = tmp_path / "mend2d_labels.json"
    path.write_text(text)

    with pytest.raises(ModelError, match="The weights of a task need mend2d_labels.json with its labels"):
        read_labels(path)
    with pytest.raises(ModelError, match="need gone.json"):
        read_labels(tmp_path / "gone.json")
    path.write_text(json.dumps({"labels": [{"value": 7, "name": "spleen"}]}))
    assert read_labels(path) == {7: "spleen"}
