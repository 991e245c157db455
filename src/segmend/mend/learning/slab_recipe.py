"""How the networks for slabs learn: games between robots and the network, in which answers are corrected.

A sample is a plane of a picture or a volume, or an image drawn from a label map, with a robot that will correct the
network's own answers (`slab_games`). The image is encoded once, with gradient. The games are played on its features,
without; then the decoder answers some turns of every game once more, with gradient, and learns from them: to find the
object, and to predict the Dice and the errors of its own mask. Near every mark an error costs more, and so does a
change of what was right far from the newest mark.

Runs on a processor, on GPUs and on Apple's (`--set device=cuda`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, max_pool2d, smooth_l1_loss

from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.datasets import sets
from segmend.errors import SettingsError
from segmend.learning.licences import may_ship
from segmend.learning.precision import autocast, device_of
from segmend.learning.record import UNSEEN
from segmend.learning.sheets import Example, sheet
from segmend.learning.subjects import Subject, label_maps
from segmend.learning.subjects import subjects as found_subjects
from segmend.mend.learning.prompt_batch import prompt_batch
from segmend.mend.learning.recipe import ERROR_WEIGHT, PRIOR_LOGIT, QUALITY_WEIGHT, TURN_WEIGHT, soft_dice_loss
from segmend.mend.learning.robot_pool import Ask, ask_here, robot_pool
from segmend.mend.learning.slab_games import LooseBox, SlabGame, SlabTurn, play_slabs
from segmend.mend.learning.slab_sampler import SlabSampler
from segmend.mend.slab_method import FILES
from segmend.mend.slab_networks import CELLS
from segmend.nets.folded import FOLD, FoldedDecoder, FoldedEncoder
from segmend.runtime.engine import export_network, torch_network
from segmend.sampling.slab import IMAGE_CHANNELS, PROMPT_CHANNELS, neighbour_channel
from segmend.solvers.finetune import Head, save_head
from segmend.users import LargestError, RandomError
from segmend.users.play import User, as_prompts

NAME = "mend_slabs"
ANY_DEVICE = True
HIDDEN = 16  # channels of the decoder's last features
FEATURES = 32  # channels of the encoder's output at each level
FINE = 4  # channels of the encoder's output at full size
NEAR_CELLS = 8  # how far round a mark errors cost more
FAR_CELLS = 24  # how far from the newest marks nothing that is right should change
NEAR_WEIGHT = 3.0  # the weight of errors near a mark, besides 1
KEPT_WEIGHT = 1.0  # the weight of what was right and lies far from the newest marks, besides 1
CHANGE_SHARE = 0.4  # the share of the soft Dice that is taken of the change to the mask so far, the rest of the mask


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 20000
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-3
    seed: int = 0
    average: float = 0.999  # of the weights' moving mean
    start: str = ""  # a folder of earlier weights to go on from
    widths: tuple[int, ...] = (64, 96, 160, 256)  # of the encoder
    light: tuple[int, ...] = (48, 64, 96, 128)  # of the decoder
    synthetic: float = 0.12  # the share of drawn scenes
    painted: float = 0.28  # of images drawn from label maps
    regions: float = 0.08  # of real slabs, objects taken from them by their intensities
    pasted: float = 0.06  # of real slabs, drawn objects put into them
    layered: float = 0.06  # of real slabs, objects that are given layers of other intensities
    learned: int = 2  # turns of a game that are learned from, drawn anew each time; 0 for all
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    shippable: bool = True  # only sets whose licence lets their weights be given away, where licences.json says so
    unseen: tuple[str, ...] = ()  # sets to check on that nothing is learned from
    warm: int = 500  # steps in which the rate rises
    hold: float = 0.7  # the share of the steps after which the rate falls, along a cosine


def share(step: int, settings: Settings) -> float:
    """Return the share of the learning rate at a step: it rises, stays, and falls at the end.

    A run that is judged every few hours has no end that is known when it begins: the rate stays, and only the last
    part is a cosine.
    """
    if step < settings.warm:
        return (step + 1) / settings.warm
    fall = max(int(settings.hold * settings.steps), settings.warm)
    if step < fall:
        return 1.0
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (step - fall) / max(settings.steps - fall, 1))))


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split; to check on, those of the unseen sets besides."""
    allowed = may_ship(data) if settings.shippable else None
    names = _names(data, split, settings, allowed)
    found = found_subjects(data, split, names=names, channels=True)
    if split == "train":
        chosen = set(settings.sets) if settings.sets else None
        maps = label_maps(data, split, names=allowed if chosen is None else chosen)
        return [*found, *maps]
    there = {one.name for one in sets(data, split)}
    unseen = [name for name in settings.unseen if name in there]
    return [*found, *found_subjects(data, split, names=unseen, channels=True)] if unseen else found


def _names(data: Path, split: str, settings: Settings, allowed: frozenset[str] | None) -> tuple[str, ...]:
    there = [one.name for one in sets(data, split)]
    if refused := sorted(set(settings.sets) - allowed) if allowed is not None else []:
        raise SettingsError(
            f"The licence of {refused[0]} does not let weights that learned from it be given away; leave it out, or "
            f"say shippable=false."
        )
    kept = [
        name
        for name in settings.sets or there
        if name in there and name not in settings.unseen and (allowed is None or name in allowed)
    ]
    if not kept:
        raise SettingsError(f"There is no set with a {split} split in {data} that may be learned from.")
    return tuple(kept)


Sampler = SlabSampler


def to_check(settings: Settings) -> Settings:
    """Return settings with which only real objects are drawn."""
    return replace(settings, synthetic=0.0, painted=0.0, regions=0.0, pasted=0.0, layered=0.0)


class SlabNetwork(nn.Module):
    """The encoder and the decoder, which learn together."""

    def __init__(self, encoder: FoldedEncoder, decoder: FoldedDecoder, settings: Settings) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.learned, self.unseen = settings.learned, frozenset(settings.unseen)
        self.ask: Ask = ask_here  # how robots are asked for their moves


@contextmanager
def with_robots(network: SlabNetwork, processes: int) -> Iterator[None]:
    """Ask robots in so many processes meanwhile."""
    with robot_pool(processes) as network.ask:
        yield
    network.ask = ask_here


def _options(settings: Settings) -> tuple[dict[str, object], dict[str, object]]:
    both = {"features": FEATURES, "fine": FINE}
    return {**both, "inputs": IMAGE_CHANNELS, "widths": list(settings.widths)}, {
        **both,
        "prompts": PROMPT_CHANNELS,
        "widths": list(settings.light),
        "hidden": HIDDEN,
        "head": HIDDEN,
    }


def build(settings: Settings) -> SlabNetwork:
    """Return an untrained network, or one that goes on from earlier weights."""
    if len(settings.widths) != len(settings.light):
        raise SettingsError(
            f"The decoder (light) needs as many levels as the encoder (widths); "
            f"got {len(settings.light)} for {len(settings.widths)}."
        )
    torch.manual_seed(settings.seed)
    encoder_options, decoder_options = _options(settings)
    network = SlabNetwork(
        FoldedEncoder(**encoder_options),  # type: ignore[arg-type]
        FoldedDecoder(**decoder_options),  # type: ignore[arg-type]
        settings,
    )
    nn.init.constant_(network.decoder.head[-1].bias, PRIOR_LOGIT)  # type: ignore[arg-type]
    if settings.start:
        _load(network, Path(settings.start))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _load(network: SlabNetwork, folder: Path) -> None:
    for part in ("encoder", "decoder"):
        file = folder / FILES[part]
        if not file.is_file():
            raise SettingsError(f"The folder to start from needs {FILES[part]}; {folder} has none.")
        try:
            getattr(network, part).load_state_dict(torch_network(str(file))[0].state_dict())
        except RuntimeError:
            raise SettingsError(f"The {part} in {folder} has other widths than the settings.") from None


def export(network: SlabNetwork, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the encoder, the decoder and the decoder's last layers for the engine."""
    network = network.cpu().eval()
    encoder_options, decoder_options = _options(settings)
    side = 4 * 2 ** len(settings.widths)
    image = torch.zeros(1, IMAGE_CHANNELS, side, side)
    with torch.no_grad():
        features = network.encoder(image)
    levels = [f"f{i}" for i in range(len(features))]
    encoder, decoder, head = (folder / name for name in FILES.values())
    export_network(
        network.encoder,
        encoder,
        architecture="folded:FoldedEncoder",
        settings=encoder_options,
        inputs={"x": image},
        outputs=levels,
    )
    export_network(
        network.decoder,
        decoder,
        architecture="folded:FoldedDecoder",
        settings=decoder_options,
        inputs={
            "prompts": torch.zeros(1, PROMPT_CHANNELS, side, side),
            **dict(zip(levels, features, strict=True)),
        },
        outputs=("logits", "quality", "hidden", "error_logits"),
    )
    layers = [layer for layer in network.decoder.head if isinstance(layer, nn.Conv2d)]
    weights = tuple(layer.weight.detach().flatten(1).float().numpy() for layer in layers)
    biases = [layer.bias.detach().float().numpy() for layer in layers if layer.bias is not None]
    save_head(Head(weights, tuple(biases)), head)
    return encoder, decoder, head


def _batch(arrays: Sequence[NDArray[np.float32] | NDArray[np.bool_]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).to(device).contiguous(memory_format=torch.channels_last)


def encode(network: SlabNetwork, games: Sequence[SlabGame]) -> tuple[Tensor, ...]:
    """Return the features of the games' images."""
    device = device_of(network)
    with autocast(device):
        return tuple(network.encoder(_batch([game.image for game in games], device)))


def prompts_of(games: Sequence[SlabGame], which: Sequence[int], turns: Sequence[SlabTurn], at: torch.device) -> Tensor:
    """Return the decoder's input of some turns."""
    return prompt_batch(turns, [games[i].context for i in which], CELLS, at)


@dataclass(frozen=True, eq=False)
class Answers:
    """The network's masks and how good it thinks they are."""

    masks: list[NDArray[np.bool_]]
    quality: list[float]


def decode(
    network: SlabNetwork,
    features: Sequence[Tensor],
    games: Sequence[SlabGame],
    which: Sequence[int],
    turns: Sequence[SlabTurn],
    *,
    most: int = 64,
) -> Answers:
    """Return the decoder's answers to one turn of some games, without gradient."""
    network.decoder.eval()
    device = device_of(network)
    masks: list[NDArray[np.bool_]] = []
    quality: list[float] = []
    with torch.no_grad(), autocast(device):
        for at in range(0, len(which), most):
            some = which[at : at + most]
            seen = prompts_of(games, some, turns[at : at + most], device)
            logits, judged, *_ = network.decoder(seen, *_select(features, some))
            masks.extend((logits[:, 0] > 0).cpu().numpy())
            quality.extend(judged.float().tolist())
    masks = [mask & games[i].valid for i, mask in zip(which, masks, strict=True)]
    return Answers(masks, quality)


def _select(features: Sequence[Tensor], which: Sequence[int]) -> list[Tensor]:
    index = torch.tensor(list(which), device=features[0].device)
    return [part.index_select(0, index) for part in features]


def loss(network: SlabNetwork, games: Sequence[SlabGame], step: int = 0) -> Tensor:
    """Play a batch of games and return the loss of some of their answers, later ones counting a little more."""
    device = device_of(network)
    network.encoder.train()
    features = encode(network, games)
    still = [part.detach() for part in features]
    played = play_slabs(games, lambda which, turns: decode(network, still, games, which, turns).masks, network.ask)
    rng = np.random.default_rng((step, len(games)))
    chosen = [(i, n) for i, turns in enumerate(played) for n in _learned(rng, len(turns), network.learned)]
    whose = [i for i, _ in chosen]
    turns = [played[i][n] for i, n in chosen]
    network.decoder.train()
    seen = prompts_of(games, whose, turns, device)
    with autocast(device):
        logits, judged, _, uncertainty = network.decoder(seen, *_select(features, whose))
    truth = _batch([games[i].truth[None] for i in whose], device).float()
    valid = _batch([games[i].valid[None] for i in whose], device).float()
    wrong = losses(logits.float(), judged.float(), uncertainty.float(), truth, valid, seen)
    weights = np.asarray([1.0 + TURN_WEIGHT * n for _, n in chosen])
    totals = np.bincount(whose, weights, minlength=len(games))
    shares = torch.from_numpy((weights / totals[whose] / len(games)).astype(np.float32)).to(device)
    return (wrong * shares).sum()


def _learned(rng: np.random.Generator, turns: int, most: int) -> list[int]:
    """Return which turns of a game are learned from: some of them, drawn anew."""
    if not most or turns <= most:
        return list(range(turns))
    return sorted(rng.choice(turns, most, replace=False).tolist())


def losses(logits: Tensor, judged: Tensor, uncertainty: Tensor, truth: Tensor, valid: Tensor, seen: Tensor) -> Tensor:
    """Return each answer's weighted cross entropy, soft Dice of the object and of the change, and errors in judging.

    All are [b 1 n n] but the judged Dice [b] and the decoder's input [b 7 n n]; the losses are [b].
    """
    shown = seen[:, :1] + seen[:, 1:2]
    weight = valid * (1 + NEAR_WEIGHT * _near_marks(seen) + KEPT_WEIGHT * _to_be_kept(seen, shown, truth))
    entropy = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = (entropy * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1)
    probability, wanted = (logits.sigmoid() * valid).flatten(1), truth.flatten(1)
    before = shown.flatten(1)
    overlap = CHANGE_SHARE * soft_dice_loss((probability - before).abs(), (wanted - before).abs()) + (
        1 - CHANGE_SHARE
    ) * soft_dice_loss(probability, wanted)
    sure = ((logits.detach() > 0) * valid).float().flatten(1)
    right = (2 * (sure * wanted).sum(1) + 1e-3) / (sure.sum(1) + wanted.sum(1) + 1e-3)
    mistakes = ((logits.detach() > 0) != (truth > 0.5)).float() * valid
    suspected = binary_cross_entropy_with_logits(uncertainty, mistakes, reduction="none").flatten(1).mean(1)
    judging = smooth_l1_loss(judged, right, reduction="none", beta=0.1)
    return entropy + overlap + QUALITY_WEIGHT * judging + ERROR_WEIGHT * suspected


def _near_marks(seen: Tensor) -> Tensor:
    """Return 1 in a square round every mark of this plane."""
    return _spread((seen[:, 2:4].amax(1, keepdim=True) >= 1.0).float(), NEAR_CELLS)


def _spread(places: Tensor, cells: int) -> Tensor:
    """Return 1 within about so many cells of any place that is 1: on squares of FOLD cells, which is quick."""
    reach = cells // FOLD
    coarse = max_pool2d(max_pool2d(places, FOLD), 2 * reach + 1, stride=1, padding=reach)
    return interpolate(coarse, scale_factor=float(FOLD), mode="nearest")


def _to_be_kept(seen: Tensor, shown: Tensor, truth: Tensor) -> Tensor:
    """Return 1 where the network's own mask was right far from the newest marks."""
    newest = (seen[:, 5:6] != 0).float()
    near = _spread(newest, FAR_CELLS)
    own = (seen[:, :1].flatten(1).amax(1) > 0).float()[:, None, None, None]
    return own * (1 - near) * ((shown > 0.5) == (truth > 0.5)).float()


def validate(network: SlabNetwork, games: Sequence[SlabGame]) -> dict[str, float]:
    """Return the mean Dice of real objects by robots, first on kinds that were learned, then on unseen ones.

    `dice_N` is after N clicks at the centre of the largest error, `anywhere` after a first click anywhere in the
    object, `box` after a loose box, `carried` of a mask that is carried over from the true one of the plane beside it,
    `expected_dice_error` the mean absolute error of the expected Dice, `expected_dice_r` its correlation with the true.
    """
    real = [game for game in games if game.group and game.truth.sum() >= 20]
    seen = [game for game in real if game.group not in network.unseen]
    unseen = [game for game in real if game.group in network.unseen]
    scores = _scores(network, seen)
    return {**scores, **{UNSEEN + name: value for name, value in _scores(network, unseen).items()}}


def _scores(network: SlabNetwork, games: Sequence[SlabGame], *, clicks: int = 5, most: int = 32) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    expected: list[float] = []
    true: list[float] = []
    for at in range(0, len(games), most):
        some = [replace(game, start=None, context=_neighbour_alone(game)) for game in games[at : at + most]]
        network.encoder.eval()
        with torch.no_grad():
            features = encode(network, some)
        alone = [replace(game, context=None) for game in some]
        blank = np.zeros((CELLS, CELLS), bool)
        turns = [SlabTurn((), 0, blank, own=False) for _ in some]
        for count in range(1, clicks + 1):
            turns = [_after(game, turn, LargestError()) for game, turn in zip(alone, turns, strict=True)]
            said = decode(network, features, alone, range(len(some)), turns)
            found = [dice(game.truth, mask) for game, mask in zip(some, said.masks, strict=True)]
            expected, true = expected + said.quality, true + found
            if count in (1, 3, clicks):
                scores.setdefault(f"dice_{count}", []).extend(found)
            turns = [SlabTurn(turn.prompts, 0, mask, True) for turn, mask in zip(turns, said.masks, strict=True)]
        for name, robot in (("anywhere", RandomError(1)), ("box", LooseBox(1))):
            first = [_after(game, SlabTurn((), 0, blank, False), robot) for game in alone]
            masks = decode(network, features, alone, range(len(some)), first).masks
            scores.setdefault(name, []).extend(dice(g.truth, mask) for g, mask in zip(some, masks, strict=True))
        carried = [i for i, game in enumerate(some) if game.context is not None]
        if carried:
            masks = decode(network, features, some, carried, [SlabTurn((), 0, blank, False)] * len(carried)).masks
            scores.setdefault("carried", []).extend(
                dice(some[i].truth, mask) for i, mask in zip(carried, masks, strict=True)
            )
    if not expected:
        return {}
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    spread = min(np.std(expected), np.std(true)) > 1e-6
    known = float(np.corrcoef(expected, true)[0, 1]) if spread else 0.0
    error = float(np.mean(np.abs(np.subtract(expected, true))))
    return {**means, "expected_dice_error": error, "expected_dice_r": known}


def _neighbour_alone(game: SlabGame) -> NDArray[np.float32] | None:
    """Return a game's context without the marks of other planes; None where no neighbour's mask is known."""
    if game.context is None or not game.context[2].any():
        return None
    context = np.zeros_like(game.context)
    strength = float(np.abs(game.context[2]).max())
    context[2] = neighbour_channel(game.context[2] > 0, 0.0) * strength
    return context


def _after(game: SlabGame, turn: SlabTurn, robot: User) -> SlabTurn:
    """Return a turn with what a robot puts down next."""
    new = robot(game.truth[None], turn.mask[None])
    marks: tuple[Prompt, ...] = () if new is None else as_prompts(new)
    return SlabTurn((*turn.prompts, *marks), len(marks), turn.mask, turn.own)


def pictures(network: SlabNetwork, games: Sequence[SlabGame]) -> NDArray[np.uint8]:  # [y x 3]
    """Return a sheet of the masks after one click."""
    network.encoder.eval()
    with torch.no_grad():
        features = encode(network, games)
    blank = np.zeros((CELLS, CELLS), bool)
    alone = [replace(game, start=None, context=None) for game in games]
    turns = [_after(game, SlabTurn((), 0, blank, False), LargestError()) for game in alone]
    masks = decode(network, features, alone, range(len(games)), turns).masks
    return sheet([Example(_shown(g.image), g.truth, mask) for g, mask in zip(games, masks, strict=True)])


def _shown(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colours of a picture, or the grey of a plane at its window level."""
    grey = np.array_equal(image[1], image[2])
    return image[:1] if grey else image[:3]
