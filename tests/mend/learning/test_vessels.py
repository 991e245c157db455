"""The network for thin things learns from drawn strands alone, and its weights are used by mend."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.learning.loop import run
from segmend.mend import method as mend
from segmend.mend.learning import vessels as how
from segmend.mend.vessels import line_logits
from segmend.runtime.engine import load_network

TINY = how.Settings(steps=30, batch=4, rate=1e-2, average=0.8, widths=(4, 6))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    out = tmp_path_factory.mktemp("lines")
    lines = []
    finished = run(how, [], [], replace(TINY, steps=4), out, threads=1, workers=0, exam=3, every=4, log=lines.append)
    return out, finished, lines


def test_nobodys_pictures_are_learned_from(tmp_path):
    assert how.subjects(tmp_path / "nowhere", "train", TINY) == []


def test_the_same_number_is_the_same_sample():
    one, same, other = how.Sampler([], TINY)[4], how.Sampler([], TINY)[4], how.Sampler([], TINY)[5]
    np.testing.assert_array_equal(one.intensities, same.intensities)
    assert not np.array_equal(one.intensities, other.intensities)


@pytest.mark.long
def test_it_learns(tmp_path):
    finished = run(how, [], [], TINY, tmp_path, threads=1, workers=0, exam=6, every=30, log=lambda _: None)
    samples = [how.Sampler([], TINY)[number] for number in range(100, 108)]
    assert finished.scores["dice"] > 0.2
    with torch.no_grad():
        before, after = how.build(TINY).train(), finished.network.train()
        assert how.loss(after, samples, 0) < 0.8 * how.loss(before, samples, 0)


def test_pictures_without_strands_are_left_out_of_the_score():
    bare = how.Sample(np.zeros((128, 128), np.float32), np.zeros((128, 128), bool))
    assert how.validate(how.build(TINY), [bare]) == {"dice": 0.0}


def test_a_sheet_shows_what_was_found(learned):
    samples = [how.Sampler([], TINY)[number] for number in range(3)]
    assert how.pictures(learned[1].network, samples).shape == (128, 388, 3)


def test_its_weights_answer_as_it_did(learned):
    out, finished, _ = learned
    sample = how.Sampler([], TINY)[9]
    intensities = np.tile(sample.intensities, (2, 2))  # the size that it is asked for in use
    with torch.no_grad():
        wanted = finished.network.eval()(torch.from_numpy(intensities)[None, None])[0, 0].numpy()
    logits = line_logits(load_network(str(out / mend.LINES)), intensities)
    assert np.abs(logits - np.clip(wanted, -8, 8)).mean() < 0.05


def test_a_folder_with_it_alone_takes_its_place(learned):
    own, shipped = mend.networks(learned[0]), mend.networks(None)
    intensities = how.Sampler([], TINY)[9].intensities
    assert not np.allclose(line_logits(own.lines, intensities), line_logits(shipped.lines, intensities))
    x = {"x": np.zeros((1, 4, 128, 128), np.float32)}
    np.testing.assert_array_equal(own.reader.run(x)["f0"], shipped.reader.run(x)["f0"])
