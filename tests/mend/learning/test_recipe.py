"""How mend learns: the games, the views in the plane and in space, what goes on from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segmend.core.image import Box, Image, MaskArray, scale_affine
from segmend.core.prompts import Click
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.perturb import add_local_error, blur_mask, perturb_mask
from segmend.learning.recipe import names, recipe
from segmend.mend.learning import plane as mend_plane
from segmend.mend.learning import recipe as how
from segmend.mend.learning import volume as mend_volume
from segmend.mend.learning.games import (
    Game,
    MixedRobots,
    OpenThen,
    PlaneBox,
    correcting_robot,
    new_game,
    opening_robot,
    play_games,
    rough_box,
    with_guess,
    without_mask,
)
from segmend.mend.learning.plane import PlaneSampler
from segmend.mend.learning.volume import VolumeSampler
from segmend.runtime.engine import load_network, torch_network
from segmend.sampling.channels import Guess
from segmend.solvers.finetune import load_head
from segmend.users import ExtremePoints, LargestError
from segmend.users.play import Turn
from tests.datasets.test_folder import write_case, write_split

FLAT = how.Settings(widths=(4, 4, 4, 4, 4, 4), light=(4, 4), steps=4, batch=2)
SPACE = replace(FLAT, dimensions=3, widths=(4, 4, 4), small=1.0)


def bright_ball() -> how.Subject:
    z, y, x = np.ogrid[:12, :40, :36]
    truth = (2.5 * (z - 6)) ** 2 + (y - 22) ** 2 + (x - 15) ** 2 < 10**2
    noise = np.random.default_rng(0).normal(0, 5, (2, *truth.shape))
    image = np.where(truth, 200.0, 60.0) + noise
    return how.Subject(
        Image(image.astype(np.float32), scale_affine((2.5, 1, 1))), truth.astype(np.uint16), False, "ball"
    )


def disc(n: int = 32, radius: int = 9) -> MaskArray:
    y, x = np.ogrid[:n, :n]
    return np.asarray((y - n // 2) ** 2 + (x - n // 2) ** 2 < radius**2)[None]


def quiet(_: str) -> None:
    pass


def game(**differs: object) -> Game:
    truth = disc()
    usual = {"start": np.zeros_like(truth), "user": LargestError(), "interactions": 3, "again": False}
    return Game(np.zeros((4, 32, 32), np.float32), truth, **{**usual, **differs})  # type: ignore[arg-type]


def nothing(which: Sequence[int], turns: Sequence[Turn]) -> list[MaskArray]:
    return [np.zeros((1, 32, 32), bool) for _ in which]


def test_every_recipe_is_found_under_its_own_name() -> None:
    assert {"mend", "mend_lines", "bifseg", "gan_refine"} <= set(names())
    assert [recipe(name).NAME for name in names()] == list(names())


def test_every_turn_of_every_game_is_kept() -> None:
    turns = play_games([game(), game(interactions=1), game(interactions=2)], nothing)

    assert [[len(turn.prompts) for turn in some] for some in turns] == [[1, 2, 3], [1], [1, 2]]


def test_a_game_may_look_again_at_its_last_answer() -> None:
    truth = disc()

    (turns,) = play_games([game(interactions=1, again=True)], lambda which, turns: [truth])

    assert [len(turn.prompts) for turn in turns] == [1, 1]
    assert (turns[1].mask == truth).all()


def test_a_robot_that_is_content_ends_its_game() -> None:
    truth = disc()

    turns = play_games([game(), game(again=True)], lambda which, turns: [truth for _ in which])

    assert [len(some) for some in turns] == [1, 2]


def test_a_mask_may_be_mended_without_a_prompt() -> None:
    start = disc(radius=5)

    (turns,) = play_games([game(start=start, interactions=0)], nothing)

    assert (turns[0].prompts, bool((turns[0].mask == start).all())) == ((), True)


def test_an_opening_is_for_games_without_a_mask() -> None:
    robot, truth = OpenThen(ExtremePoints(), LargestError()), disc()

    assert len(robot.opening(truth, np.zeros_like(truth)).points) == 4  # type: ignore[union-attr]
    assert isinstance(robot.opening(truth, disc(radius=4)), Click)
    assert isinstance(robot(truth, np.zeros_like(truth)), Click)


def test_a_mixed_robot_always_does_the_same_with_the_same_mistake() -> None:
    truth, robot = disc(), MixedRobots((LargestError(), ExtremePoints()), 3)
    masks = [disc(radius=r) for r in range(1, 9)]

    kinds = [type(robot(truth, mask)).__name__ for mask in masks]

    assert set(kinds) == {"Click", "Extremes"}
    assert kinds == [type(robot(truth, mask)).__name__ for mask in masks]
    assert robot(truth, truth) is None


def test_a_box_of_one_plane_holds_the_widest_part_there() -> None:
    truth = np.zeros((5, 9, 11), bool)
    truth[1:4, 2:7, 3:9] = True
    truth[2, 1:8, 2:10] = True
    empty = np.zeros_like(truth)

    boxes = [PlaneBox(seed, margin=0.0)(truth, empty) for seed in range(12)]

    thin = [sum(n == 1 for n in box.shape) for box in boxes if box is not None]
    assert thin == [1] * 12
    assert Box((2, 1, 2), (3, 8, 10)) in boxes
    assert PlaneBox(0)(truth, truth) is None


def test_games_begin_in_every_way() -> None:
    rng, truth = np.random.default_rng(0), disc()
    games = [new_game(rng, np.zeros((4, 32, 32), np.float32), truth, None) for _ in range(60)]
    openings = {type(play_games([g], nothing)[0][0].prompts[0]).__name__ for g in games}

    assert openings == {"Click", "Stroke", "Box", "Extremes"}
    assert {g.interactions for g in games} == {1, 2, 3, 5}
    openers = [opening_robot(rng, correcting_robot(rng), space=True) for _ in range(40)]
    assert {type(robot).__name__ for robot in openers} == {
        "BoxFirst",
        "OpenThen",
    }


@pytest.mark.parametrize("settings", [FLAT, SPACE], ids=["plane", "space"])
def test_the_same_number_is_the_same_sample(settings: how.Settings) -> None:
    one, two = (how.Sampler([bright_ball()], settings) for _ in range(2))

    for number in range(10):
        a, b = one[number], two[number]
        for left, right in ((a.image, b.image), (a.truth, b.truth), (a.start, b.start)):
            np.testing.assert_array_equal(left, right)
        assert (a.user, a.interactions, a.again) == (b.user, b.interactions, b.again)
        assert a.truth.any() and 0 <= a.image.min() and a.image.max() <= 1
        assert a.image.shape[1:] == a.truth.shape[-(a.image.ndim - 1) :]


def test_real_objects_are_seen_where_they_are() -> None:
    only = {"synthetic": 0.0, "regions": 0.0, "pasted": 0.0}
    for settings in (replace(FLAT, **only), replace(SPACE, **only)):
        sampler = how.Sampler([bright_ball()], settings)
        intensities = [
            (s.image[0][s.truth if s.image.ndim == 4 else s.truth[0]], s.image[0])
            for s in map(sampler.__getitem__, range(25))
        ]
        soft_dice_loss = [abs(inside.mean() - whole.mean()) > 0.1 for inside, whole in intensities if inside.size]
        assert np.mean(soft_dice_loss) > 0.7


def test_views_are_near_and_far_whole_and_in_part() -> None:
    sampler = PlaneSampler([bright_ball()], replace(FLAT, synthetic=0.0, regions=0.0, pasted=0.0))

    samples = [sampler[number] for number in range(80)]

    shares = np.array([sample.truth.mean() for sample in samples])
    assert shares.min() < 0.08 and shares.max() > 0.4
    assert 0.2 < np.mean([sample.start.any() for sample in samples]) < 0.6
    assert any(not sample.interactions for sample in samples)


def test_blocks_of_a_batch_have_one_size() -> None:
    sampler = VolumeSampler([bright_ball()], replace(SPACE, small=0.4, large=0.2))

    sides = np.array([sampler[number].truth.shape[0] for number in range(20)]).reshape(10, 2)

    assert (sides[:, 0] == sides[:, 1]).all() and set(sides[:, 0].tolist()) == {32, 48, 64}
    samples = [sampler[number] for number in range(20)]
    groups = how.grouped_by_size(samples, most=3)
    assert sum(map(len, groups)) == 20 and max(map(len, groups)) == 3
    assert all(len({sample.image.shape for sample in group}) == 1 for group in groups)


def test_masks_to_start_from_differ_from_the_truth_but_not_too_much() -> None:
    flat, solid = disc(64, 15)[0], np.zeros((32, 32, 32), bool)
    solid[8:22, 10:24, 6:20] = True
    rng = np.random.default_rng(0)
    for truth in (flat, solid):
        for make, least in ((blur_mask, 0.5), (add_local_error, 0.4), (perturb_mask, 0.3)):
            scores = [how.dice(truth, make(rng, truth)) for _ in range(20)]
            assert min(scores) > least and np.mean(scores) < 1, make
            assert not make(rng, np.zeros_like(truth)).sum() > 0.6 * truth.size
    assert all((mend_plane.loose_lasso(rng, flat) >= flat).all() for _ in range(5))
    assert not mend_plane.loose_lasso(rng, np.zeros_like(flat)).any()
    plane = mend_volume.single_plane(rng, solid)
    assert plane.sum() == 14 * 14 and not mend_volume.single_plane(rng, np.zeros_like(solid)).any()
    assert len({mend_plane.initial_mask(rng, flat).tobytes() for _ in range(30)}) > 20
    assert len({mend_volume.initial_mask(rng, solid).tobytes() for _ in range(30)}) > 15


def test_turns_are_seen_as_mask_marks_and_boxes() -> None:
    mask = np.zeros((1, 128, 128), bool)
    mask[0, :3] = True
    prompts = (Click((0, 60, 70)), Click((0, 9, 9), positive=False), Box((0, 5, 5), (1, 8, 9)))
    flat = mend_plane.turn_channels(Turn(prompts, mask))
    assert [int(part.sum()) for part in flat] == [384, 29, 29, 12]
    assert flat[1, 60, 70] == 1

    whole = np.zeros((32, 32, 32), bool)
    solid = mend_volume.turn_channels(Turn((Click((4, 5, 6)), Box((1, 2, 3), (3, 4, 6))), whole))
    assert (solid.shape, solid[1, 4, 5, 6], int(solid[3].sum())) == ((4, 32, 32, 32), 1.0, 12)


def test_objects_are_taken_from_real_blocks_by_their_intensities() -> None:
    sampler = VolumeSampler([bright_ball()], replace(SPACE, synthetic=0.0, regions=1.0, pasted=0.0))
    truths = [sampler[number].truth for number in range(12)]
    seen = [sampler._block(np.random.default_rng(number), 32) for number in range(12)]
    assert all(truth.any() for truth in truths)
    fit = [block for block in seen if block.truth.any() and not block.truth[block.valid].all()]
    inside = [
        block.intensities[block.truth].mean() - block.intensities[~block.truth & block.valid].mean() for block in fit
    ]
    assert max(inside) > 1 and min(inside) < -1  # the ball, and what is round it


def bright_disc() -> how.Subject:
    truth = disc(64, 12)
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(1).normal(0, 5, (1, *truth.shape))
    return how.Subject(Image(image.astype(np.float32)), truth.astype(np.uint16), False, "disc")


def test_bodies_are_made_of_pictures_where_some_are_wanted_and_given() -> None:
    only = replace(SPACE, synthetic=0.0, regions=0.0, pasted=0.0, bodies=1.0)
    both = VolumeSampler([bright_ball(), bright_disc()], only)
    assert (list(both.pool.groups), list(both.pictures.groups)) == (["ball"], ["disc"])
    blocks = [both._block(np.random.default_rng(number), 32) for number in range(8)]
    assert all(block.truth.any() and not block.real for block in blocks)
    assert all(both[number].truth.any() for number in range(4))

    volumes = VolumeSampler([bright_ball()], only)
    assert all(volumes._block(np.random.default_rng(number), 32).real for number in range(4))


def test_the_cases_in_space_are_volumes_and_where_bodies_are_made_pictures_too(tmp_path: Path) -> None:
    labels = np.zeros((8, 20, 30), np.uint16)
    labels[2:6, 5:15, 8:20] = 1
    write_case(tmp_path, "picture", labels[3:4])
    write_case(tmp_path, "volume", labels, suffix=".nii.gz")
    write_split(tmp_path, train=["picture", "volume"])
    kinds = [
        {case.image.flat for case in how.subjects(tmp_path, "train", replace(SPACE, bodies=bodies))}
        for bodies in (0.0, 0.2)
    ]
    assert kinds == [{False}, {False, True}]


@pytest.mark.parametrize("settings", [FLAT, SPACE], ids=["plane", "space"])
def test_the_loss_teaches_every_part(settings: how.Settings) -> None:
    settings = replace(settings, light=(4,) * len(settings.widths))
    network, sampler = how.build(settings), how.Sampler([bright_ball()], settings)

    how.loss(network, [sampler[n] for n in range(2)]).backward()

    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())


@pytest.mark.parametrize("settings", [FLAT, SPACE], ids=["plane", "space"])
def test_some_games_are_learned_from_without_the_masks_so_far(settings: how.Settings) -> None:
    plain, forgetful = (how.Sampler([bright_ball()], replace(settings, forget=share)) for share in (0.0, 1.0))
    assert not plain[0].forgetful and forgetful[0].forgetful
    assert (plain[0].image == forgetful[0].image).all()  # the games are the same ones
    turn = Turn((Click((0, 1, 1)),), np.ones((1, 4, 4), bool))
    assert without_mask(turn).prompts == turn.prompts and not without_mask(turn).mask.any()
    bare = Turn((), turn.mask)
    assert without_mask(bare) is bare  # of nothing at all no answer can be asked


@pytest.mark.parametrize("settings", [FLAT, SPACE], ids=["plane", "space"])
def test_a_network_answers_as_it_learned_and_each_sample_as_if_alone(settings: how.Settings) -> None:
    """With the norms of a batch, clicks in space raised the Dice to .69 in use and to .58 in training's norms."""
    network, sampler = how.build(settings), how.Sampler([bright_ball()], settings)
    samples = how.grouped_by_size([sampler[number] for number in range(4)])[0]

    with torch.no_grad():
        network.encoder.train()
        learning = how.encode(network, samples)
        network.encoder.eval()
        answering = how.encode(network, samples)
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        together, alone = network.encoder(images), network.encoder(images[:1])  # halved, roundings vary with the batch

    for one, other in zip(learning, answering, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[:1], other, atol=0.02, rtol=0.02)


def test_the_loss_is_a_mean_over_samples() -> None:
    logits, truth = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) > 0.5).float()
    judged, none, bare = torch.tensor([0.2, 0.5, 0.9]), torch.full((3, 1, 8, 8), -20.0), torch.zeros(3, 1, 8, 8)

    each = how.losses(logits, judged, none, truth, bare)

    assert each.shape == (3,)
    sure = how.losses(20 * (2 * truth - 1), torch.ones(3), none, truth, bare)
    assert float(sure.max()) < 0.02 < float(each.min())
    worse = how.losses(20 * (2 * truth - 1), torch.zeros(3), none, truth, bare)
    torch.testing.assert_close(worse - sure, torch.full((3,), 0.95))  # smooth L1 of an error of 1
    uncertain = how.losses(20 * (2 * truth - 1), torch.ones(3), -none, truth, bare)
    torch.testing.assert_close(uncertain - sure, torch.full((3,), 20 * how.ERROR_WEIGHT))


def test_the_loss_asks_for_the_change_and_not_for_a_copy() -> None:
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., 2:14, 2:14] = 1
    shown = truth.clone()
    shown[..., 2:4, 2:14] = 0  # a fifth of it is missing
    right, none = torch.ones(1), torch.full_like(truth, -20.0)

    def lost(mask: torch.Tensor, before: torch.Tensor) -> float:
        return float(how.losses(6 * (2 * mask - 1), right, none, truth, before))

    copied, lazy = lost(shown, shown), lost(shown, torch.zeros_like(truth))
    assert copied > lazy + 0.4 * how.CHANGE_SHARE  # the same mask costs less where nothing had to change
    assert lost(truth, shown) < 0.05


@pytest.mark.parametrize("settings", [FLAT, SPACE], ids=["plane", "space"])
def test_a_run_leaves_weights_that_another_goes_on_from(settings: how.Settings, tmp_path: Path) -> None:
    cases = [bright_ball()]
    done = run(how, cases, cases, replace(settings, steps=2), tmp_path, exam=3, workers=0, threads=1, log=quiet)

    name = f"mend{settings.dimensions}d"
    assert [p.name for p in done.weights] == [f"{name}_reader.onnx", f"{name}_refiner.onnx", f"{name}_head.npz"]
    assert set(done.scores) == {"dice_1", "dice_3", "dice_5", "judged", "known"}
    assert all(-1 <= score <= 1 for score in done.scores.values())
    assert next(tmp_path.glob("pictures/*.png"))
    sample = how.Sampler(cases, settings)[0]
    seen = (mend_volume if settings.dimensions == 3 else mend_plane).turn_channels(Turn((), sample.truth))
    features = load_network(str(done.weights[0]), device="cpu", precision="float32").run({"x": sample.image[None]})
    used = {f"f{i}": features[f"f{i}"] for i in range(2)}
    said = load_network(str(done.weights[1]), device="cpu", precision="float32").run({"prompts": seen[None], **used})
    encoder, decoder = (torch_network(str(path))[0] for path in done.weights[:2])  # their weights are rounded alike
    with torch.no_grad():
        logits = decoder(torch.from_numpy(seen[None]), *encoder(torch.from_numpy(sample.image[None])))[0]
    np.testing.assert_allclose(said["logits"], logits, atol=2e-3)
    np.testing.assert_allclose(load_head(done.weights[2]).logits(said["hidden"][0]), said["logits"][0, 0], atol=0.02)

    on = how.build(replace(settings, start=str(tmp_path)))
    for key, value in on.named_parameters():
        torch.testing.assert_close(value.float(), done.network.state_dict()[key].float(), atol=2e-3, rtol=1e-2)
    with pytest.raises(SettingsError, match="The encoder in .* has other widths"):
        how.build(replace(settings, start=str(tmp_path), widths=(6, 6, 6, 6, 6, 6)))


def test_what_cannot_be_gone_on_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a folder of weights; there is none at"):
        how.build(replace(FLAT, start=str(tmp_path / "gone")))
    with pytest.raises(SettingsError, match=r"needs mend2d_reader.onnx; .* has none"):
        how.build(replace(FLAT, start=str(tmp_path)))


def test_networks_in_space_begin_as_those_for_planes(tmp_path: Path) -> None:
    plane = how.build(FLAT)
    how.export(plane, FLAT, tmp_path)
    space = how.build(replace(FLAT, dimensions=3, start=str(tmp_path)))
    levelled, equalised = torch.rand(2, 1, 1, 64, 64)
    in_plane = torch.cat([levelled, levelled, levelled, equalised], dim=1)
    other = torch.rand(1, 2, 1, 64, 64)  # what planes do not know: tones that are not levelled, what is inside
    in_space = torch.stack([other[:, 0], levelled, equalised, other[:, 1]], dim=1).expand(-1, -1, 32, -1, -1)

    with torch.no_grad():
        expected = plane.eval().encoder(in_plane)[0]
        found = space.eval().encoder(in_space)[0]

    torch.testing.assert_close(found, expected[:, :, None].expand_as(found), atol=2e-2, rtol=1e-2)  # float16 weights
    assert expected.std() > 0.1
    for widths in ((6, 6, 6, 6, 6, 6), (4,) * 7, (4,) * 5 + (6,)):
        with pytest.raises(SettingsError, match="The encoder in .* has other widths"):
            how.build(replace(FLAT, dimensions=3, start=str(tmp_path), widths=widths))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dimensions": 4}, "Mend has 2 or 3 dimensions; got 4"),
        ({"light": (4,) * 7}, "at most as many levels as the encoder \\(widths\\); got 7 for 6"),
    ],
)
def test_settings_that_fit_no_network_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        how.Settings(**options)  # type: ignore[arg-type]


def test_in_space_one_slice_and_one_voxel_can_be_learned_from(tmp_path: Path) -> None:
    speck = np.zeros((3, 20, 15), np.uint16)
    speck[2, 19, 0] = 7
    voxels = np.random.default_rng(0).normal(size=(1, 3, 20, 15)).astype(np.float32)
    cases = [
        how.Subject(Image(voxels, scale_affine((6, 1, 2))), speck, False, "specks"),
        how.Subject(Image(voxels[:, :1]), np.ones((1, 20, 15), np.uint16), True, "full"),
        how.Subject(Image(np.zeros((1, 2, 3, 2), np.uint8)), np.ones((2, 3, 2), np.uint16), True, "tiny"),
    ]
    settings = replace(SPACE, steps=2, synthetic=0.0)

    done = run(how, cases, cases, settings, tmp_path, exam=6, workers=0, threads=1, log=quiet)

    assert all(np.isfinite(score) for score in done.scores.values())


def test_guesses_are_about_right_and_sometimes_too_small_or_too_large() -> None:
    truth = np.zeros((30, 30, 30), bool)
    truth[10:20, 10:20, 10:20] = True
    rng = np.random.default_rng(0)
    found = [guess for _ in range(200) if (guess := rough_box(rng, truth)) is not None]
    sizes = np.array([np.prod(guess.shape) / 1000 for guess in found])

    assert len(found) > 190 and 0.8 < np.median(sizes) < 1.3
    assert (sizes < 0.5).any() and (sizes > 2).any()
    assert rough_box(rng, np.zeros_like(truth)) is None


def test_an_estimated_box_is_given_with_marks_and_holds_what_was_marked_inside() -> None:
    truth = np.zeros((8, 8, 8), bool)
    guess = Guess((2, 2, 2), (4, 4, 4))
    game = Game(np.zeros((4, 8, 8, 8), np.float32), truth, truth, LargestError(), 1, again=False, guess=guess)
    click = Click((3, 3, 6))

    assert with_guess(game, Turn((click,), truth)).prompts == (click, Guess((2, 2, 2), (4, 4, 7)))
    assert with_guess(game, Turn((), truth)).prompts == ()
    assert with_guess(replace(game, guess=None), Turn((click,), truth)).prompts == (click,)
