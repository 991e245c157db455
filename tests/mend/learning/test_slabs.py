"""How the networks for slabs learn: robots, samples, losses, and what a run leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Click, Extremes, Stroke
from segmend.errors import SettingsError
from segmend.learning.loop import main, run
from segmend.learning.subjects import Subject, label_maps
from segmend.mend.learning import slab_recipe as how
from segmend.mend.learning.prompt_batch import prompt_batch
from segmend.mend.learning.robot_pool import ask_here
from segmend.mend.learning.slab_games import (
    LOOSE,
    TIGHT,
    BorderClick,
    LooseBox,
    NowAndThenWrong,
    SeveralMarks,
    SlabGame,
    SlabTurn,
    correcting_user,
    opening_user,
    play_slabs,
)
from segmend.mend.learning.slab_sampler import SlabSampler
from segmend.runtime.engine import load_network
from segmend.sampling.slab import Shown, slab_prompt_channels
from segmend.sampling.window import Window
from segmend.users import LargestError
from tests.datasets.test_folder import write_case, write_split

TINY = how.Settings(widths=(8, 8), light=(8, 8), steps=3, batch=2, warm=2)


def disc(radius: int = 20, n: int = 128) -> np.ndarray:
    y, x = np.ogrid[:n, :n]
    return np.asarray((y - 60) ** 2 + (x - 70) ** 2 < radius**2)


def ball(spacing: tuple[float, float, float] = (1, 1, 1), group: str = "ball") -> Subject:
    z, y, x = np.ogrid[:24, :40, :36]
    truth = (spacing[0] * (z - 12)) ** 2 + (y - 22) ** 2 + (x - 15) ** 2 < 9**2
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(0).normal(0, 5, truth.shape)
    return Subject(Image(image[None].astype(np.float32), scale_affine(spacing)), truth.astype(np.uint16), False, group)


def photograph(group: str = "photographs") -> Subject:
    truth = disc()[None].astype(np.uint16)
    image = np.random.default_rng(1).uniform(0, 1, (3, 1, 128, 128)).astype(np.float32) + truth
    return Subject(Image(image), truth, False, group)


def game(**differs: object) -> SlabGame:
    everywhere = np.ones((128, 128), bool)
    usual = {
        "image": np.zeros((6, 128, 128), np.float32),
        "start": None,
        "user": LargestError(),
        "interactions": 2,
        "blank": False,
        "again": False,
    }
    return SlabGame(truth=disc(), valid=everywhere, **{**usual, **differs})  # type: ignore[arg-type]


def everything(which: object, turns: list[SlabTurn]) -> list[np.ndarray]:
    return [np.ones((128, 128), bool) for _ in turns]


def test_turns_say_which_marks_are_new_and_whose_mask_it_is() -> None:
    start = disc(5)
    first, blank, again, done = play_slabs(
        [game(start=start), game(blank=True), game(interactions=1, again=True), game(start=disc())], everything
    )

    assert [(len(t.prompts), t.newest, t.own) for t in first] == [(1, 1, False), (2, 1, True)]
    assert np.array_equal(first[0].mask, start)
    assert [(len(t.prompts), t.newest, t.own) for t in blank] == [(0, 0, False), (1, 1, True), (2, 1, True)]
    assert [(len(t.prompts), t.newest, t.own) for t in again] == [(1, 1, False), (1, 0, True)]
    assert done == []


def test_a_content_robot_ends_its_game() -> None:
    (turns,) = play_slabs([game(interactions=5)], lambda which, turns: [disc() for _ in turns])

    assert len(turns) == 1


def test_boxes_are_loose_or_cut_in_as_people_draw_them() -> None:
    truth = disc()[None]
    sides = []
    for seed in range(200):
        box = LooseBox(seed)(truth, np.zeros_like(truth))
        assert isinstance(box, Box)
        sides += [(41 - box.low[1]) / 39, (box.high[1] - 80) / 39, (51 - box.low[2]) / 39, (box.high[2] - 90) / 39]

    assert min(sides) >= -TIGHT - 0.05 and max(sides) <= LOOSE + 0.05
    assert min(sides) < -0.05 and max(sides) > 0.35


def test_first_clicks_lie_anywhere_in_the_object_and_on_its_border() -> None:
    truth = disc()[None]
    empty = np.zeros_like(truth)
    border = [BorderClick(seed)(truth, empty) for seed in range(40)]
    assert all(isinstance(click, Click) and truth[click.index] for click in border)
    away = [np.hypot(click.index[1] - 60, click.index[2] - 70) for click in border if click is not None]
    assert min(away) > 8

    several = SeveralMarks(0, 3)(truth, empty)
    assert isinstance(several, tuple) and len(several) == 3

    rng = np.random.default_rng(0)
    kinds = {type(opening_user(rng, LargestError()).opening(truth, empty)).__name__ for _ in range(80)}  # type: ignore[attr-defined]
    assert {"Click", "Box", "Stroke", "tuple"} <= kinds


def test_a_slip_of_the_hand_has_the_other_sign() -> None:
    truth = disc()[None]
    empty = np.zeros_like(truth)

    assert NowAndThenWrong(LargestError(), 0, share=1.0)(truth, empty) == Click((0, 60, 70), positive=False)
    assert NowAndThenWrong(LargestError(), 0, share=0.0)(truth, empty) == Click((0, 60, 70))
    assert correcting_user(np.random.default_rng(0))(truth, truth) is None


@pytest.mark.parametrize("subject", [ball(), ball((3, 1, 1)), photograph(), replace(ball(), has_image=False)])
def test_samples_of_any_case_are_whole_and_the_same_by_number(subject: Subject) -> None:
    settings = replace(TINY, synthetic=0.0, painted=0.0 if subject.has_image else 1.0)
    sampler = SlabSampler([subject], settings)
    games = [sampler[number] for number in range(40)]

    for one in games:
        assert one.image.shape == (6, 128, 128) and one.image.dtype == np.float32
        assert np.isfinite(one.image).all() and one.image.min() >= 0 and one.image.max() <= 1
        assert not (one.truth & ~one.valid).any()
        assert one.start is None or not (one.start & ~one.valid).any()
        assert one.truth.any() or one.blank
    again = SlabSampler([subject], settings)[7]
    assert np.array_equal(again.image, games[7].image) and np.array_equal(again.truth, games[7].truth)
    volumes = not subject.image.flat
    assert any(one.blank and one.start is None for one in games) == volumes
    carried = [one for one in games if one.blank and one.context is not None and one.truth.any()]
    for one in carried:
        assert one.context is not None
        overlap = (one.truth & (one.context[2] > 0)).sum() / max(one.truth.sum(), 1)
        assert overlap > 0.1 or one.context[2].max() <= 0


def test_what_is_drawn_needs_no_case() -> None:
    games = [SlabSampler([], TINY)[number] for number in range(6)]

    assert all(one.truth.any() and one.group == "" for one in games)


def test_errors_near_a_mark_cost_more_and_so_do_changes_of_what_was_right() -> None:
    truth = torch.from_numpy(disc()[None, None].astype(np.float32))
    valid, judged = torch.ones_like(truth), torch.ones(1)
    right = (2 * truth - 1) * 8.0
    seen = torch.zeros(1, 7, 128, 128)
    seen[:, 0] = truth[:, 0]
    seen[:, 2, 60, 70] = seen[:, 5, 60, 70] = 1

    def cost(*where: slice) -> float:
        logits = right.clone()
        logits[(0, 0, *where)] *= -1
        return float(how.losses(logits, judged, torch.zeros_like(logits), truth, valid, seen)[0])

    near, far = cost(slice(58, 63), slice(68, 73)), cost(slice(110, 115), slice(10, 15))
    assert near > far > cost(slice(0, 0), slice(0, 0))
    seen[:, 0], seen[:, 1] = 0, truth[:, 0]  # another's mask: its cells are not to be kept
    assert cost(slice(110, 115), slice(10, 15)) < far


def test_a_step_learns_from_some_turns_and_the_gradient_reaches_both_networks() -> None:
    network = how.build(TINY)
    games = [game(image=np.random.default_rng(i).random((6, 128, 128)).astype(np.float32)) for i in range(2)]

    how.loss(network, games, 3).backward()

    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert how._learned(np.random.default_rng(0), 5, 2) != [0, 1, 2, 3, 4]
    assert how._learned(np.random.default_rng(0), 5, 0) == [0, 1, 2, 3, 4]


def test_inputs_of_many_turns_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    context = rng.random((3, 128, 128)).astype(np.float32)
    marks = (
        Click((0, 60, 70)),
        Click((0, 1, 127), positive=False),
        Click((0, 62, 72), positive=False),
        Box((0, 20, 30), (1, 50, 140)),
        Stroke(((0, 5, 5), (0, 40, 90)), positive=False),
        Stroke(((0, 8, 8), (0, 20, 60))),
        Extremes(((0, 10, 30), (0, 90, 40), (0, 50, 5), (0, 60, 100))),
    )
    turns = [SlabTurn(marks[:n], new, disc(n + 5), bool(n % 2)) for n in range(8) for new in range(n + 1)]
    contexts = [context if i % 3 else None for i in range(len(turns))]

    found = prompt_batch(turns, contexts, 128, torch.device("cpu"))

    assert found.is_contiguous(memory_format=torch.channels_last)
    for turn, known, one in zip(turns, contexts, found.numpy(), strict=True):
        shown = Shown(turn.prompts, turn.newest, turn.mask, turn.own, known)
        np.testing.assert_array_equal(one, slab_prompt_channels(shown, 0, 0, Window(0, 0, 128, 128), 128))


def test_robots_in_other_processes_make_the_same_moves() -> None:
    sampler = SlabSampler([ball(), photograph()], TINY)
    games = [sampler[number] for number in range(24)]
    network = how.build(TINY)
    here = how.loss(network, games, 3).item()

    network = how.build(TINY)
    with how.with_robots(network, 2):
        assert network.ask is not ask_here
        there = how.loss(network, games, 3).item()

    assert network.ask is ask_here
    assert there == here


def test_the_rate_rises_stays_and_falls_at_the_end() -> None:
    settings = replace(TINY, steps=1000, warm=100, hold=0.5)

    shares = [how.share(step, settings) for step in (0, 99, 100, 499, 750, 999)]

    assert shares[0] == 0.01 and shares[1:4] == [1.0, 1.0, 1.0]
    assert 0.3 < shares[4] < 0.7 and shares[5] < 0.02


def test_a_run_leaves_networks_that_answer_as_the_trained_ones(tmp_path: Path) -> None:
    unseen = replace(ball(group="other"), group="other")
    settings = replace(TINY, unseen=("other",))
    finished = run(how, [ball(), photograph()], [ball(), photograph(), unseen], settings, tmp_path, every=3, exam=12)

    assert {"dice_1", "dice_5", "anywhere", "box", "unseen_dice_1"} <= finished.scores.keys()
    encoder, decoder = (load_network(tmp_path / how.FILES[part]) for part in ("encoder", "decoder"))
    image = np.random.default_rng(0).random((1, 6, 128, 128)).astype(np.float32)
    prompts = np.zeros((1, 7, 128, 128), np.float32)
    prompts[0, 2, 60:64, 60:64] = 1
    found = decoder.run({"prompts": prompts, **encoder.run({"x": image})})
    network = finished.network.eval()
    with torch.no_grad():
        features = network.encoder(torch.from_numpy(image))  # type: ignore[operator]
        logits, quality, *_ = network.decoder(torch.from_numpy(prompts), *features)  # type: ignore[operator]
    assert np.abs(found["logits"] - logits.numpy()).max() < 0.05
    assert abs(float(found["quality"][0]) - float(quality[0])) < 0.02
    onward = how.build(replace(settings, start=str(tmp_path)))
    assert torch.allclose(onward.encoder.fine.weight, network.encoder.fine.weight, atol=1e-2)  # type: ignore[union-attr]
    with pytest.raises(SettingsError, match="other widths"):
        how.build(replace(settings, start=str(tmp_path), widths=(8, 12)))
    with pytest.raises(SettingsError, match="as many levels"):
        how.build(replace(settings, light=(8,)))


def a_folder(tmp_path: Path) -> Path:
    for name in ("free", "not_free"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        write_split(folder, train=["a", "b"], val=["c"])
        for case in "abc":
            write_case(folder, case, disc()[None].astype(np.uint16))
    heads = tmp_path / "heads"
    heads.mkdir()
    write_split(heads, train=["a"], val=[])
    write_case(heads, "a", ball().labels, suffix=".nii.gz")
    for path in (heads / "images").iterdir():
        path.unlink()
    (heads / "images").rmdir()
    free = {"free": {"may_ship": True}, "not_free": {"may_ship": False}, "heads": {"may_ship": True}}
    (tmp_path / "licences.json").write_text(json.dumps(free))
    return tmp_path


def test_only_free_sets_and_label_maps_are_learned_from(tmp_path: Path) -> None:
    data = a_folder(tmp_path)

    def groups(split: str, settings: how.Settings) -> list[str]:
        return sorted({one.group for one in how.subjects(data, split, settings)})

    assert groups("train", TINY) == ["free", "heads"]
    assert groups("val", replace(TINY, unseen=("not_free", "elsewhere"))) == ["free", "not_free"]
    assert groups("train", replace(TINY, shippable=False)) == ["free", "heads", "not_free"]
    (head,) = label_maps(data, "train")
    assert not head.has_image and head.labels.any() and head.image.shape == head.labels.shape
    with pytest.raises(SettingsError, match="licence of not_free"):
        how.subjects(data, "train", replace(TINY, sets=("not_free",)))
    with pytest.raises(SettingsError, match="may be learned from"):
        how.subjects(data, "train", replace(TINY, unseen=("free",)))


def test_it_is_trained_by_its_name_on_a_device_that_is_there(tmp_path: Path) -> None:
    tiny = {"widths": (8, 8), "light": (8, 8), "steps": 1, "batch": 1, "exam": 2, "every": 1}
    data = a_folder(tmp_path / "data")

    finished = main("mend_slabs", data, tmp_path / "run", device="auto", **tiny)

    assert [path.name for path in finished.weights] == list(how.FILES.values())
    with pytest.raises(SettingsError, match="device needs one that is there"):
        main("mend_slabs", data, tmp_path / "other", device="tpu", **tiny)
