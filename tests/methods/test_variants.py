"""Variants: other forms of a method, by an id that serves wherever a method's does."""

import json

import numpy as np
import pytest

from segmend import io, methods
from segmend.cli import run
from segmend.cli.start import weights_of
from segmend.core.prompts import Box
from segmend.core.segmenter import answer
from segmend.errors import ModelError, SettingsError
from tests.methods.scenes import ball, disc

BOX = Box((0, 18, 48), (1, 63, 93))


def test_a_variant_has_a_card_of_its_own_and_its_method_lists_it():
    card, variant = methods.card("bifseg"), methods.card("bifseg.unweighted")

    assert dict(card.variants)["unweighted"] == variant.good_for
    assert (variant.id, variant.title, variant.prompts) == ("bifseg.unweighted", "BIFSeg, unweighted", card.prompts)
    assert "bifseg.unweighted" not in [one.id for one in methods.cards()]


def test_a_variant_there_is_not_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match=r"The method 'bifseg' has no variant 'x'; there are unweighted, cut, "):
        methods.card("bifseg.x")
    with pytest.raises(SettingsError, match=r"The method 'graphcut' has no variant 'x'; there are none\."):
        methods.load("graphcut.x")


@pytest.mark.parametrize("name", ["unweighted", "cut", "crf", "network"])
def test_each_refinement_of_bifseg_finds_the_disc_in_its_way(name):
    scene, nothing = disc(), np.zeros((1, 90, 120), bool)

    found = answer(methods.load(f"bifseg.{name}").open(scene.image), [BOX], nothing)

    assert 2 * (found.over(nothing) & scene.truth).sum() / (found.mask.sum() + scene.truth.sum()) > 0.8
    assert found.finetuned == (name == "unweighted")


def test_a_network_that_is_not_shipped_says_how_to_train_it():
    with pytest.raises(ModelError, match="bifseg3d_deepmedic.onnx here; make them with: segmend train bifseg .*deepme"):
        methods.load("bifseg.deepmedic")
    with pytest.raises(ModelError, match="make weights with: segmend train refinenet .* --set backbone=cascaded"):
        methods.load("refinenet.cascaded")
    with pytest.raises(ModelError, match="make weights with: segmend train editing .* --set body=unet3d"):
        methods.load("editing.unet3d")


def test_the_backbone_with_a_dense_crf_answers_a_volume_in_which_marks_hold():
    scene = ball()
    nothing = np.zeros(scene.truth.shape, bool)
    box = Box((4, 10, 15), (15, 48, 45))

    found = answer(methods.load("refinenet.crf").open(scene.image), [box], nothing)

    assert found.probability.shape == scene.truth.shape and found.uncertainty is not None
    assert not found.over(nothing)[:4].any()


def test_start_takes_the_weights_of_a_variant_by_its_method(tmp_path):
    assert weights_of((str(tmp_path),), "bifseg.cut") == {"bifseg": tmp_path}


def test_a_variant_and_where_it_is_uncertain_come_from_the_command_line(tmp_path, capsys):
    scene = disc()
    io.write_image(tmp_path / "disc.nii.gz", scene.image)
    asked = ["segment", str(tmp_path / "disc.nii.gz"), "--box", "0,18,48:1,63,93", "--method", "bifseg"]

    code = run([*asked, "--variant", "cut", "-o", str(tmp_path / "cut.nii.gz"), "--uncertainty",
                str(tmp_path / "doubt.nii.gz"), "--json"])  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    doubt = io.read(tmp_path / "doubt.nii.gz").voxels[0]
    refused = run([*asked[:-1], "graphcut", "-o", str(tmp_path / "b.nii.gz"), "--uncertainty", str(tmp_path / "d.mha")])

    assert (code, said["method"], said["finetuned"]) == (0, "bifseg.cut", False)
    assert doubt.shape == scene.truth.shape and 0 < doubt.max() <= 1 and not doubt[0, :10].any()
    assert refused == 2 and not (tmp_path / "b.nii.gz").exists()
    assert "Where it is uncertain is told by methods that give a probability" in capsys.readouterr().err


def test_a_dense_crf_refines_a_probability_from_a_file(tmp_path, capsys):
    scene = disc()
    likely = np.where(scene.truth, 0.7, 0.3).astype(np.float32)
    likely[0, 35:45, 60:70] = 0.4  # a gap that the image does not have
    likely[0, 2, 2] = 0.9
    io.write_image(tmp_path / "disc.nii.gz", scene.image)
    io.write_image(tmp_path / "p.nii.gz", type(scene.image)(likely[None], scene.image.affine))
    asked = ["segment", str(tmp_path / "disc.nii.gz"), "--probability", str(tmp_path / "p.nii.gz"), "-o"]

    code = run([*asked, str(tmp_path / "m.nii.gz"), "--method", "densecrf"])
    mask = io.read(tmp_path / "m.nii.gz").voxels[0] > 0

    assert code == 0 and 2 * (mask & scene.truth).sum() / (mask.sum() + scene.truth.sum()) > 0.97
    assert run([*asked, str(tmp_path / "n.nii.gz"), "--method", "mend"]) == 2
    assert "--probability needs --method densecrf" in capsys.readouterr().err
