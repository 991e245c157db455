"""How mend learns a task: which labels, which views, and that a tiny one is learned in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segmend.core.image import Image, scale_affine
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.mend.learning import recipe as how
from segmend.mend.learning.task import LabelledGame, augment_intensity_mildly, label_map
from tests.tasks import DISC, SQUARE, drawn_picture, drawn_volume

FLAT = how.Settings(
    task=True, labels=(SQUARE, DISC), names=("square", "disc"), widths=(4, 4, 4), light=(4, 4, 4), batch=2,
    synthetic=0.0, regions=0.0, pasted=0.0, absent=True,
)  # fmt: skip
SPACE = replace(FLAT, dimensions=3, small=1.0)


def picture(number: int, **differs: object) -> Subject:
    image, labels = drawn_picture(number)
    usual = {"image": image, "labels": labels, "instances": False, "group": "drawn", "name": f"case{number}"}
    return Subject(**{**usual, **differs})  # type: ignore[arg-type]


def volume(number: int) -> Subject:
    return Subject(*drawn_volume(number), False, "drawn", f"case{number}")


def views(settings: how.Settings, cases: Sequence[Subject], count: int) -> list[LabelledGame]:
    sampler = how.Sampler(cases, settings)
    return [one for one in map(sampler.__getitem__, range(count)) if isinstance(one, LabelledGame)]


def quiet(_: str) -> None:
    pass


def test_the_labels_of_a_task_are_those_of_its_cases() -> None:
    plain = how.Settings(task=True)
    told = picture(0, names={SQUARE: "square"})

    assert how.fitted(plain, [told, picture(1)]).labels == (SQUARE, DISC)
    assert how.fitted(plain, [told, picture(1)]).names == ("square", f"label {DISC}")
    assert how.fitted(replace(plain, labels=(DISC,), names=("moon",)), [picture(0)]).names == ("moon",)
    assert how.fitted(how.Settings(), [picture(0)]) == how.Settings()


@pytest.mark.parametrize(
    ("cases", "settings", "words"),
    [
        ([picture(0), picture(1, group="other")], {}, "learns one data set; got 2: drawn, other"),
        ([picture(0, instances=True)], {}, "number single things; a task model needs kinds of things"),
        ([picture(0)], {"labels": (2,)}, r"No case of drawn to learn from has label 2; they have \[3, 5\]"),
        ([picture(0)], {"labels": (0,)}, "needs whole numbers of 1 to 65535; got 0"),
        ([picture(0)], {"names": ("one",)}, "needs a name for each of 2 labels; got 1"),
        (
            [picture(0), picture(1, labels=np.where(drawn_picture(1)[1] == DISC, 0, drawn_picture(1)[1]))],
            {},
            "The case case1 of drawn has no label 5, which others have.*--set absent=true",
        ),
        (
            [picture(0, labels=np.arange(70 * 72, dtype=np.uint16).reshape(1, 70, 72) // 72)],
            {},
            "names 64 labels at most; drawn has 69",
        ),
    ],
)
def test_cases_that_make_no_task_are_refused(cases: list[Subject], settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        how.fitted(how.Settings(task=True, **settings), cases)  # type: ignore[arg-type]


def test_a_label_may_be_missing_where_that_is_said() -> None:
    labels = np.where(drawn_picture(1)[1] == DISC, 0, drawn_picture(1)[1])

    settings = how.fitted(how.Settings(task=True, absent=True), [picture(0), picture(1, labels=labels)])

    assert settings.labels == (SQUARE, DISC)


def test_a_network_of_a_task_needs_its_labels() -> None:
    with pytest.raises(SettingsError, match="A task model needs its labels"):
        how.build(how.Settings(task=True, widths=(4, 4), light=(4, 4)))


def test_without_a_task_the_samples_are_what_they_were() -> None:
    cases = [picture(0)]
    usual = replace(FLAT, task=False)

    games = how.Sampler(cases, FLAT).games  # type: ignore[union-attr]

    assert type(games) is type(how.Sampler(cases, usual))
    for number in range(4):
        np.testing.assert_array_equal(games[number].image, how.Sampler(cases, usual)[number].image)  # type: ignore[union-attr]


@pytest.mark.parametrize(("settings", "case"), [(FLAT, picture(0)), (SPACE, volume(0))], ids=["plane", "space"])
def test_views_name_what_is_bright_and_what_is_dark(settings: how.Settings, case: Subject) -> None:
    one, two = (views(settings, [case], 30) for _ in range(2))

    assert 8 < len(one) < 22
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.names, b.names)
        np.testing.assert_array_equal(a.game.image, b.game.image)
        assert a.names.shape == a.valid.shape == a.game.image.shape[1:]
    seen = [view for view in one if min((view.names == 1).sum(), (view.names == 2).sum()) > 30]
    assert len(seen) > 4
    for view in seen:
        intensities = view.game.image[0]
        bright, dark = (intensities[(view.names == name) & view.valid].mean() for name in (1, 2))
        assert bright > dark + 0.2
        if view.target:
            np.testing.assert_array_equal(
                view.game.truth.reshape(view.names.shape), (view.names == view.target) & view.valid
            )


def test_squares_stay_left_of_discs() -> None:
    for view in views(FLAT, [picture(0)], 40):
        columns = [np.nonzero(view.names == name)[-1] for name in (1, 2)]
        if all(len(found) > 50 for found in columns):
            assert columns[0].mean() < columns[1].mean()


def test_a_plane_without_a_label_is_learned_from_too() -> None:
    some = views(FLAT, [volume(1)], 60)

    empty = [view for view in some if not view.names.any()]

    assert empty and all(view.target == 0 and not view.game.truth.any() for view in empty)


def test_intensities_change_a_little_and_are_never_inverted() -> None:
    ramp = np.linspace(0, 50, 32 * 32, dtype=np.float32).reshape(1, 32, 32)
    for number in range(20):
        changed = augment_intensity_mildly(np.random.default_rng(number), ramp)
        assert np.corrcoef(changed.ravel(), ramp.ravel())[0, 1] > 0.8


def test_cells_between_labels_are_named_by_the_larger_share() -> None:
    assert label_map([np.array([0.6, 0.2, 0.1]), np.array([0.3, 0.7, 0.1])]).tolist() == [1, 2, 0]


@pytest.mark.parametrize(("settings", "case"), [(FLAT, picture(0)), (SPACE, volume(0))], ids=["plane", "space"])
def test_the_loss_teaches_every_part(settings: how.Settings, case: Subject) -> None:
    network, sampler = how.build(settings), how.Sampler([case], settings)
    numbers = [n for n in range(12) if isinstance(sampler[n], LabelledGame)][:2]

    how.loss(network, [sampler[n] for n in numbers]).backward()

    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_a_batch_without_a_view_teaches_no_names() -> None:
    network, sampler = how.build(FLAT), how.Sampler([picture(0)], FLAT)
    games = [n for n in range(12) if not isinstance(sampler[n], LabelledGame)][:2]

    how.loss(network, [sampler[n] for n in games]).backward()

    assert network.semantic_head is not None and all(p.grad is None for p in network.semantic_head.parameters())


def test_right_names_cost_nothing_and_what_is_off_the_image_does_not_count() -> None:
    names = torch.zeros(1, 6, 6, dtype=torch.long)
    names[:, :3, :3], names[:, 4:, :] = 1, 2
    valid = torch.ones(1, 6, 6, dtype=torch.bool)
    valid[:, :, 5] = False
    right = 20 * torch.nn.functional.one_hot(names, 3).movedim(-1, 1).float()

    cost = how.semantic_losses(right, names, valid)
    beyond = right.clone()
    beyond[..., 5] = beyond[:, [1, 2, 0], :, 5]

    assert float(cost) < 0.01 < float(how.semantic_losses(-right, names, valid))
    torch.testing.assert_close(how.semantic_losses(beyond, names, valid), cost)


def test_a_label_that_is_not_in_a_view_is_not_pushed_away_by_its_overlap() -> None:
    names = torch.zeros(1, 8, 8, dtype=torch.long)
    names[:, :3] = 1
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    logits = (4 * torch.nn.functional.one_hot(names, 3).movedim(-1, 1).float()).requires_grad_()

    how.semantic_losses(logits, names, valid).sum().backward()
    entropy = torch.nn.functional.cross_entropy(again := logits.detach().clone().requires_grad_(), names)
    entropy.backward()

    assert logits.grad is not None and again.grad is not None
    rare, plain = (float(grad[:, 2].sum()) for grad in (logits.grad, again.grad))
    assert rare < 2 * plain  # with the overlap of what is not there 8 times as much


def test_a_task_goes_on_from_the_weights_in_the_package() -> None:
    start = how.default_start(how.Settings(task=True))

    assert start is not None and start.exists()
    assert how.default_start(how.Settings()) is None
    assert how.default_start(FLAT) is None  # of other widths


@pytest.mark.long
def test_a_run_of_a_task_leaves_all_its_weights_and_goes_on_from_them(tmp_path: Path) -> None:
    cases = [volume(0), volume(1)]
    settings = replace(SPACE, steps=2)
    told = {"exam": 4, "workers": 0, "threads": 1, "log": quiet}

    done = run(how, cases, cases, settings, tmp_path, **told)  # type: ignore[arg-type]

    parts = ("reader.onnx", "refiner.onnx", "head.npz", "namer.onnx", "labels.json")
    assert [path.name for path in done.weights] == [f"mend3d_{part}" for part in parts]
    labels = json.loads(done.weights[-1].read_text())["labels"]
    assert labels == [{"value": SQUARE, "name": "square"}, {"value": DISC, "name": "disc"}]
    assert list(done.scores)[:3] == ["automatic", "automatic_1", "automatic_2"]
    assert {"dice_1", "dice_5", "judged", "known"} < set(done.scores)
    further = run(how, cases, cases, replace(settings, steps=3), tmp_path, **told)  # type: ignore[arg-type]
    assert further.steps == 3
    on = how.build(replace(settings, start=str(tmp_path)))
    for key, value in on.named_parameters():
        torch.testing.assert_close(value.float(), further.network.state_dict()[key].float(), atol=2e-3, rtol=1e-2)
    other = how.build(replace(settings, start=str(tmp_path), labels=(1, 2, 3), names=("a", "b", "c")))
    assert other.semantic_head is not None  # another task begins anew, on the same encoder


def test_a_volume_may_have_any_spacing() -> None:
    image, labels = drawn_volume(2)
    thick = Subject(Image(image.voxels, scale_affine((1, 1, 4))), labels, False, "drawn", "thick")

    for settings in (FLAT, SPACE):
        assert all(np.isfinite(view.game.image).all() for view in views(settings, [thick], 12))
