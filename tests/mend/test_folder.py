"""mend finds its networks in a folder: for planes, for volumes, or both."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Adjust, Click, Mask
from segmend.core.segmenter import answer
from segmend.errors import ModelError
from segmend.mend.method import load
from segmend.mend.volume import VolumeWorkspace
from segmend.nets.mend import ImageEncoder, PromptDecoder
from segmend.runtime.engine import export_network
from segmend.solvers.finetune import Head, save_head

WIDTHS, FEATURES = (4, 4, 4, 4, 6), 3
OUTPUTS = ("logits", "quality", "hidden", "error_logits")


def export_untrained(folder, dimensions, cells):
    torch.manual_seed(0)
    settings = {"dimensions": dimensions, "widths": list(WIDTHS), "features": FEATURES}
    reader, refiner = ImageEncoder(**settings).eval(), PromptDecoder(**settings, head=5).eval()
    x = torch.zeros(1, 4, *(cells,) * dimensions)
    features = {f"f{i}": part.detach() for i, part in enumerate(reader(x))}
    export_network(
        reader,
        folder / f"mend{dimensions}d_reader.onnx",
        architecture="mend:ImageEncoder",
        settings=settings,
        inputs={"x": x},
        outputs=tuple(features),
    )
    export_network(
        refiner,
        folder / f"mend{dimensions}d_refiner.onnx",
        architecture="mend:PromptDecoder",
        settings=settings | {"head": 5},
        inputs={"prompts": x, **features},
        outputs=OUTPUTS,
    )
    layers = [refiner.head[0], refiner.head[2]]
    weights = tuple(layer.weight.detach().numpy().reshape(len(layer.weight), -1) for layer in layers)
    save_head(
        Head(weights, tuple(layer.bias.detach().numpy() for layer in layers)), folder / f"mend{dimensions}d_head.npz"
    )


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plane")
    export_untrained(folder, 2, 128)
    return folder


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    export_untrained(folder, 3, 48)
    return folder


def picture(shape, spacing=(1, 1, 1)):
    voxels = np.random.default_rng(0).integers(0, 255, (1, *shape))
    voxels[:, :, 10:20, 12:26] += 200
    return Image(voxels.astype(np.int16), scale_affine(spacing))


def test_networks_for_planes_answer_a_picture_with_a_quality(plane):
    image = picture((1, 40, 50))
    empty = np.zeros(image.shape, bool)

    prediction = answer(load(plane).open(image), [Click((0, 15, 20))], empty)

    assert prediction.over(empty)[0, 15, 20]
    assert prediction.uncertainty is not None
    assert prediction.quality is None or 0 <= prediction.quality <= 1


def test_the_stored_head_is_what_the_network_ends_with(plane):
    method = load(plane)
    rng = np.random.default_rng(0)
    x = rng.random((1, 4, 128, 128)).astype(np.float32)

    found = method.planes.refiner.run({"prompts": x, **method.planes.reader.run({"x": x})})

    logits = method.planes.head.logits(found["hidden"][0])
    assert np.abs(logits - found["logits"][0, 0]).max() < 0.05 * max(1, np.abs(logits).max())


def test_a_folder_without_networks_for_space_goes_slice_by_slice(plane):
    image = picture((6, 40, 50), (4, 1, 1))

    part = next(load(plane).open(image).stream([Click((3, 15, 20))], np.zeros(image.shape, bool)))

    assert part.box.shape[0] == 1


def test_networks_for_space_answer_volumes_and_leave_pictures_to_the_shipped_ones(space):
    method = load(space)

    assert isinstance(method.open(picture((12, 40, 50))).in_space, VolumeWorkspace)
    assert method.open(picture((1, 40, 50))).in_space is None
    assert method.open(picture((3, 40, 50))).in_space is None
    click, empty = [Click((0, 15, 20))], np.zeros((1, 40, 50), bool)
    own, shipped = (answer(m.open(picture((1, 40, 50))), click, empty) for m in (method, load()))
    np.testing.assert_array_equal(own.probability, shipped.probability)


def test_adjustments_and_masks_are_the_same_in_space(space):
    image = picture((12, 40, 50), (2, 1, 1))
    truth = np.zeros(image.shape, bool)
    truth[3:8, 10:20, 12:26] = True
    empty = np.zeros_like(truth)
    workspace = load(space).open(image)

    taken = answer(workspace, [Mask(truth[3:8], (3, 0, 0))], empty).over(empty)
    masks = [answer(workspace, [Adjust(k)], truth).over(truth) for k in (-3.0, -0.2, 0.0, 0.1, 0.2, 2.0)]

    np.testing.assert_array_equal(taken, truth)
    np.testing.assert_array_equal(masks[2], truth)
    for small, large in pairwise(masks):
        assert not (small & ~large).any() and small.sum() < large.sum()


def test_a_folder_without_networks_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"mend2d_reader.onnx is not in .*; make it with: segmend train mend"):
        load(tmp_path)
