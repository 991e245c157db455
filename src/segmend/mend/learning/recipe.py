"""How mend learns: games between robots and the network, in which every answer is corrected.

A sample is an object seen through a window, or a block in space, with a robot that will correct the network's own
answers a few times. The image is encoded once, with gradient. The games are played on its features, without; then the
decoder answers every turn of every game once more, with gradient, and learns from all of them: to find the object, and
to predict the Dice and the errors of its own mask.

A task model (`task`) learns one kind of image besides: half of its samples are views with a label for every cell, and a
third network, the semantic head, learns to predict it, which makes the first masks by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.errors import SettingsError
from segmend.learning.precision import autocast, keep_float32
from segmend.learning.sheets import Example, sheet
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.mend.learning.games import Game, play_games, with_guess, without_mask
from segmend.mend.learning.plane import PlaneSampler
from segmend.mend.learning.plane import turn_channels as plane_channels
from segmend.mend.learning.settings import Settings
from segmend.mend.learning.task import LabelledGame, TaskSampler, game_of, task_labels
from segmend.mend.learning.volume import CELLS as BLOCK
from segmend.mend.learning.volume import VolumeSampler
from segmend.mend.learning.volume import turn_channels as volume_channels
from segmend.nets.mend import ImageEncoder, PromptDecoder, SemanticHead, inflated
from segmend.runtime.engine import export_network, torch_network, weights_file
from segmend.runtime.versions import in_use
from segmend.solvers.finetune import Head, save_head
from segmend.users import LargestError
from segmend.users.play import Turn

NAME = "mend"
FEATURES = 16  # channels of the encoder's output at each level
SEMANTIC_WIDTH = {2: 24, 3: 16}  # channels of the semantic head, by dimensions
SEMANTIC_RATE = 4.0  # the semantic head's learning rate, in that of the pretrained networks
IMAGE_CHANNELS = 4  # of the encoder's input
PROMPT_CHANNELS = 4  # of the decoder's input: mask so far, positive marks, negative marks, boxes
TURN_WEIGHT = 0.15  # the loss of turn n of a game is weighted by 1 + TURN_WEIGHT * n
# The initial bias of the output layer: objects are rare (as in focal loss). Begun at 0, the first steps drive all
# logits down so fast that units of the last layers die.
PRIOR_LOGIT = -2.0
CHANGE_SHARE = 0.5  # the share of the soft Dice that is taken of the change to the mask so far, the rest of the mask
QUALITY_WEIGHT = 1.0  # the weight in the loss of the error of the predicted Dice
ERROR_WEIGHT = 0.3  # the weight in the loss of the cross entropy of the predicted errors
# What a folder of weights calls the file of each part, as in mend2d_reader.onnx.
FILES = {"encoder": "reader", "decoder": "refiner", "semantic_head": "namer"}


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object: in space volumes, and pictures if bodies are made of them."""
    space = settings.dimensions == 3
    flat = False if space and not settings.bodies else None
    return found_subjects(data, split, names=settings.sets, flat=flat, channels=space)


def fitted(settings: Settings, training: Sequence[Subject]) -> Settings:
    """Return a task's settings with the labels that its cases have."""
    if not settings.task:
        return settings
    labels, called = task_labels(training, settings)
    return replace(settings, labels=labels, names=called)


def Sampler(cases: Sequence[Subject], settings: Settings) -> PlaneSampler | VolumeSampler | TaskSampler:
    """Return what draws samples by number: the same number is the same sample in any process."""
    games = VolumeSampler(cases, settings) if settings.dimensions == 3 else PlaneSampler(cases, settings)
    return TaskSampler(games, settings) if settings.task else games


class MendNetwork(nn.Module):
    """The image encoder, the prompt decoder and, of a task, the semantic head, which learn together."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, dimensions: int, semantic_head: nn.Module | None = None
    ) -> None:
        super().__init__()
        # Optimiser states number the parameters in this order: keep it.
        self.encoder, self.decoder, self.dimensions, self.semantic_head = encoder, decoder, dimensions, semantic_head


def _options(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of the encoder and of the decoder."""
    both = {"dimensions": settings.dimensions, "features": FEATURES}
    return {**both, "inputs": IMAGE_CHANNELS, "widths": list(settings.encoder_widths)}, {
        **both,
        "prompts": PROMPT_CHANNELS,
        "widths": list(settings.decoder_widths),
    }


def build(settings: Settings) -> MendNetwork:
    """Return an untrained network, or one that goes on from earlier weights."""
    torch.manual_seed(settings.seed)
    encoder_options, decoder_options = _options(settings)
    encoder, decoder = ImageEncoder(**encoder_options), PromptDecoder(**decoder_options)
    nn.init.constant_(decoder.head[-1].bias, PRIOR_LOGIT)  # type: ignore[arg-type]
    semantic_head = SemanticHead(**_semantic_options(settings)) if settings.task else None
    network = MendNetwork(encoder, decoder, settings.dimensions, semantic_head)
    if settings.dimensions == 3:
        keep_float32(encoder.down[-1])
        keep_float32(decoder.down[-1])
        if semantic_head is not None:
            keep_float32(semantic_head.deepest)
    start = Path(settings.start) if settings.start else default_start(settings)
    if start is not None:
        load_start(network, start)
    return network.to(memory_format=LAYOUT[settings.dimensions + 2])  # type: ignore[call-overload,no-any-return]


def optimiser(network: MendNetwork, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW; a semantic head, which begins untrained beside pretrained networks, has a larger learning rate."""
    groups: list[dict[str, Any]] = [{"params": [*network.encoder.parameters(), *network.decoder.parameters()]}]
    if network.semantic_head is not None:
        groups.append({"params": list(network.semantic_head.parameters()), "times": SEMANTIC_RATE})
    return torch.optim.AdamW(groups, lr=settings.rate, weight_decay=settings.decay)


def _semantic_options(settings: Settings) -> dict[str, Any]:
    """Return the arguments of the semantic head."""
    if not settings.labels:
        raise SettingsError("A task model needs its labels, which are found in the cases to learn from; got none.")
    return {
        "dimensions": settings.dimensions,
        "labels": len(settings.labels),
        "levels": len(settings.encoder_widths),
        "features": FEATURES,
        "width": SEMANTIC_WIDTH[settings.dimensions],
    }


def default_start(settings: Settings) -> Path | None:
    """Return what a task goes on from where nobody says: the weights in the package, if they are of its widths."""
    if not settings.task or settings.widths or settings.light:
        return None
    encoder = weights_file(f"mend{settings.dimensions}d_{FILES['encoder']}.onnx")
    return encoder.parent if encoder.is_file() else None


def inflated_from_planes(plane: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return 2D weights as those of a 3D network, whose input channels differ.

    Red, green and blue of a grey image are its intensities after window and level, the fourth channel are its equalised
    ones. The decoder's input is the same in both: more channels, of which the first are prompts.
    """
    state = inflated(plane, own)
    first = "down.0.0.within.weight"
    if first in state and plane["down.0.0.weight"].shape[1] == IMAGE_CHANNELS:
        weight = torch.zeros_like(state[first])
        weight[:, 1], weight[:, 2] = state[first][:, :3].sum(1), state[first][:, 3]
        state[first] = weight
    return state


def load_start(network: MendNetwork, path: Path) -> None:
    """Load the encoder and the decoder of a folder of weights; the semantic head, if it is of the same task.

    Where the folder has networks for planes only, a network in space begins as these do in every plane.
    """
    path = in_use(path)
    if not path.is_dir():
        raise SettingsError(f"The setting start needs a folder of weights; there is none at {path}.")
    parts = ["encoder", "decoder"] if network.semantic_head is None else ["encoder", "decoder", "semantic_head"]
    for part in parts:
        file, flat = (path / f"mend{dimensions}d_{FILES[part]}.onnx" for dimensions in (network.dimensions, 2))
        if not file.is_file() and part == "semantic_head":
            continue
        if not file.is_file() and not flat.is_file():
            raise SettingsError(f"The folder to start from needs {file.name}; {path} has none.")
        module = getattr(network, part)
        own = module.state_dict()
        state = torch_network(str(file if file.is_file() else flat))[0].state_dict()
        if not file.is_file():
            state = inflated_from_planes(state, own)
        if any(name not in state or own[name].shape != state[name].shape for name in own):
            if part == "semantic_head":
                continue  # of another task
            raise SettingsError(f"The {part} in {path} has other widths than the settings.")
        module.load_state_dict(state)


def export(network: MendNetwork, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the encoder, the decoder and the decoder's last layers for the engine."""
    name, dimensions = f"mend{settings.dimensions}d", settings.dimensions
    encoder_options, decoder_options = _options(settings)
    cells = (1, IMAGE_CHANNELS, *[2 * 2 ** (len(settings.encoder_widths) - 1)] * dimensions)
    image = torch.zeros(cells)
    with torch.no_grad():
        features = network.encoder.eval()(image)
    levels = [f"f{i}" for i in range(len(features))]
    encoder, decoder = (folder / f"{name}_{FILES[part]}.onnx" for part in ("encoder", "decoder"))
    head = folder / f"{name}_head.npz"
    export_network(
        network.encoder,
        encoder,
        architecture="mend:ImageEncoder",
        settings=encoder_options,
        inputs={"x": image},
        outputs=levels,
    )
    used = dict(list(zip(levels, features, strict=True))[: len(settings.decoder_widths)])
    export_network(
        network.decoder,
        decoder,
        architecture="mend:PromptDecoder",
        settings=decoder_options,
        inputs={"prompts": torch.zeros(1, PROMPT_CHANNELS, *cells[2:]), **used},
        outputs=("logits", "quality", "hidden", "error_logits"),
    )
    save_head(last_layers(network), head)
    if network.semantic_head is None:
        return encoder, decoder, head
    semantic_head, labels = folder / f"{name}_{FILES['semantic_head']}.onnx", folder / f"{name}_labels.json"
    named = dict(zip(levels, features, strict=True))
    export_network(
        network.semantic_head,
        semantic_head,
        architecture="mend:SemanticHead",
        settings=_semantic_options(settings),
        inputs=named,
    )
    called = [{"value": value, "name": text} for value, text in zip(settings.labels, settings.names, strict=True)]
    labels.write_text(json.dumps({"labels": called}, indent=1) + "\n", encoding="utf-8")
    return encoder, decoder, head, semantic_head, labels


def last_layers(network: MendNetwork) -> Head:
    """Return the decoder's last layers, which see each voxel alone."""
    layers = [layer for layer in network.decoder.head if hasattr(layer, "weight")]  # type: ignore[union-attr]
    weights = tuple(layer.weight.detach().flatten(1).float().numpy() for layer in layers)
    return Head(weights, tuple(layer.bias.detach().float().numpy() for layer in layers))


LAYOUT = {4: torch.channels_last, 5: torch.channels_last_3d}


def _tensor(arrays: Sequence[NDArray[np.float32]]) -> Tensor:
    """Return a batch with its channels last: half the time of the decoder in the plane, two thirds in space."""
    batch = torch.from_numpy(np.stack(arrays))
    return batch.contiguous(memory_format=LAYOUT[batch.ndim])


def decoder_input(network: MendNetwork, turns: Sequence[Turn]) -> Tensor:  # [b 4 ...]
    seen = volume_channels if network.dimensions == 3 else plane_channels
    return _tensor([seen(turn) for turn in turns])


def encode(network: MendNetwork, samples: Sequence[Game]) -> tuple[Tensor, ...]:
    """Return the features of the samples' images."""
    with autocast():
        return tuple(network.encoder(_tensor([sample.image for sample in samples])))


@dataclass(frozen=True, eq=False)
class Answers:
    """The network's masks and how good it thinks they are."""

    masks: list[MaskArray]
    quality: list[float]


def decode(
    network: MendNetwork,
    features: Sequence[Tensor],
    which: Sequence[int],
    turns: Sequence[Turn],
    *,
    most: int = 16,
) -> Answers:
    """Return the decoder's answers to one turn of some games, without gradient."""
    network.decoder.eval()
    masks: list[MaskArray] = []
    quality: list[float] = []
    with torch.no_grad(), autocast():
        for at in range(0, len(which), most):
            part = slice(at, at + most)
            chosen = features if len(which[part]) == len(features[0]) else _select(features, which[part])
            logits, judged, *_ = network.decoder(decoder_input(network, turns[part]), *chosen)
            found = (logits[:, 0] > 0).numpy()
            masks.extend(found if found.ndim == 4 else found[:, None])
            quality.extend(judged.float().tolist())
    return Answers(masks, quality)


def _select(features: Sequence[Tensor], which: Sequence[int]) -> list[Tensor]:
    index = torch.tensor(list(which))
    return [part.index_select(0, index) for part in features]


def loss(network: MendNetwork, drawn: Sequence[Game | LabelledGame], step: int = 0) -> Tensor:
    """Play a batch of games and return the loss of all their answers, later ones counting a little more.

    Of a task, add the semantic head's loss on the labelled views.
    """
    network.encoder.train()
    samples = [game_of(one) for one in drawn]
    features = encode(network, samples)
    still = [part.detach() for part in features]
    semantic: Tensor | None = None
    if network.semantic_head is not None:
        semantic, samples = _semantic_loss(network, features, drawn, samples)
    games = play_games(
        samples, lambda which, turns: decode(network, still, which, _with_guesses(samples, which, turns)).masks
    )
    whose = [i for i, turns in enumerate(games) for _ in turns]
    turns = [without_mask(turn) if samples[i].forgetful else turn for i, some in enumerate(games) for turn in some]
    turns = _with_guesses(samples, whose, turns)
    network.decoder.train()
    seen = decoder_input(network, turns)
    with autocast():
        logits, judged, _, uncertainty = network.decoder(seen, *_select(features, whose))
    flat = np.stack([samples[i].truth.reshape(logits.shape[2:]) for i in whose])[:, None]
    truth = torch.from_numpy(flat.astype(np.float32))
    wrong = losses(logits.float(), judged.float(), uncertainty.float(), truth, seen[:, :1])
    shares = [np.arange(len(some)) * TURN_WEIGHT + 1.0 for some in games]
    counts = np.concatenate([share / share.sum() for share in shares]) / len(samples)
    answering = (wrong * torch.from_numpy(counts.astype(np.float32))).sum()
    return answering if semantic is None else answering + semantic


def _with_guesses(samples: Sequence[Game], which: Sequence[int], turns: Sequence[Turn]) -> list[Turn]:
    """Return turns of some games, with what is guessed of their objects."""
    return [with_guess(samples[i], turn) for i, turn in zip(which, turns, strict=True)]


def _semantic_loss(
    network: MendNetwork, features: Sequence[Tensor], drawn: Sequence[Game | LabelledGame], samples: list[Game]
) -> tuple[Tensor, list[Game]]:
    """Return the semantic head's loss, a mean over all samples, and the games, some of which start from its masks."""
    which = [i for i, one in enumerate(drawn) if isinstance(one, LabelledGame)]
    views = [one for one in drawn if isinstance(one, LabelledGame)]
    if not views:
        return features[0].new_zeros(()), samples
    logits = semantic_logits(network, _select(features, which))
    names = torch.from_numpy(np.stack([view.names for view in views]).astype(np.int64))
    valid = torch.from_numpy(np.stack([view.valid for view in views]))
    said = logits.detach().argmax(1).numpy()
    samples = list(samples)
    for i, view, found in zip(which, views, said, strict=True):
        start = ((found == view.target) & view.valid).reshape(view.game.truth.shape)
        if view.few is not None and view.target and start.any():
            samples[i] = replace(view.game, start=start, interactions=view.few)
    return semantic_losses(logits, names, valid).sum() / len(samples), samples


def semantic_logits(network: MendNetwork, features: Sequence[Tensor]) -> Tensor:  # [b labels+1 ...]
    """Return the semantic head's logits."""
    assert network.semantic_head is not None
    with autocast():
        logits: Tensor = network.semantic_head(*features)
    return logits.float()


def semantic_losses(logits: Tensor, names: Tensor, valid: Tensor) -> Tensor:  # [b k ...], 2 [b ...] -> [b]
    """Return each view's cross entropy and the mean soft Dice of the labels in it, where it lies on the image.

    Of a label that is not in a view overlap says only "nothing, anywhere", and says it loudest where little is found
    yet: what is rare would never be learned.
    """
    there = valid.float().flatten(1)
    entropy = cross_entropy(logits, names, reduction="none").flatten(1)
    entropy = (entropy * there).sum(1) / (there.sum(1) + 1)
    probability = (logits.softmax(1) * valid[:, None]).flatten(2)[:, 1:]
    wanted = torch.stack([(names == i) & valid for i in range(1, logits.shape[1])], dim=1).float().flatten(2)
    overlap = (2 * (probability * wanted).sum(2) + 1) / (probability.sum(2) + wanted.sum(2) + 1)
    present = (wanted.sum(2) > 0).float()
    return entropy + (present * (1 - overlap)).sum(1) / present.sum(1).clamp_min(1)


def _smaller_than_in_use(samples: Sequence[Game]) -> bool:
    """Tell whether the samples are blocks smaller than those that are looked at in use."""
    return samples[0].image.ndim == 4 and samples[0].image.shape[-1] < BLOCK


def losses(logits: Tensor, judged: Tensor, uncertainty: Tensor, truth: Tensor, shown: Tensor) -> Tensor:
    """Return each answer's cross entropy, soft Dice of the object and of the change, and errors in judging itself.

    Of a mask so far (`shown`) nearly all is right, so copying it is the first thing that a network learns. The change
    says what is to be learned besides: where the mask is wrong, and nowhere else.
    """  # all [b 1 ...] but the judged Dice [b] -> [b]
    entropy = binary_cross_entropy_with_logits(logits, truth, reduction="none").flatten(1).mean(1)
    probability, wanted, before = logits.sigmoid().flatten(1), truth.flatten(1), shown.flatten(1)
    overlap = CHANGE_SHARE * soft_dice_loss((probability - before).abs(), (wanted - before).abs()) + (
        1 - CHANGE_SHARE
    ) * soft_dice_loss(probability, wanted)
    sure = (logits.detach() > 0).float().flatten(1)
    right = (2 * (sure * wanted).sum(1) + 1e-3) / (sure.sum(1) + wanted.sum(1) + 1e-3)
    mistakes = ((logits.detach() > 0) != (truth > 0.5)).float()
    suspected = binary_cross_entropy_with_logits(uncertainty, mistakes, reduction="none").flatten(1).mean(1)
    judging = smooth_l1_loss(judged, right, reduction="none", beta=0.1)
    return entropy + overlap + QUALITY_WEIGHT * judging + ERROR_WEIGHT * suspected


def soft_dice_loss(one: Tensor, other: Tensor) -> Tensor:  # 2 [b n] -> [b]
    """Return one less the soft Dice."""
    return 1 - (2 * (one * other).sum(1) + 1) / (one.sum(1) + other.sum(1) + 1)


def grouped_by_size(samples: Sequence[Game], *, most: int = 16) -> list[list[Game]]:
    """Return the samples in groups of one size."""
    sizes: dict[tuple[int, ...], list[Game]] = {}
    for sample in samples:
        sizes.setdefault(sample.image.shape, []).append(sample)
    return [group[at : at + most] for group in sizes.values() for at in range(0, len(group), most)]


def validate(network: MendNetwork, drawn: Sequence[Game | LabelledGame], *, interactions: int = 5) -> dict[str, float]:
    """Return the mean Dice after 1, 3 and 5 clicks at the centre of the largest mistake, and how well it is judged.

    `judged` is one less the mean absolute error of the expected Dice, `known` its correlation with the true one. In
    space only blocks of the size that is looked at in use are asked about, if there are any. Of a task, `automatic`
    comes first: the mean over its labels of the Dice of the masks without a prompt, then those of each, `automatic_1`
    and so on by the label's place.
    """
    drawn = [one for one in drawn if not _smaller_than_in_use([game_of(one)])] or drawn
    views = [one for one in drawn if isinstance(one, LabelledGame)]
    samples = [one.game for one in views if one.target] + [one for one in drawn if isinstance(one, Game)]
    found = validate_labels(network, views) if views else {}
    return {**found, **validate_games(network, samples, interactions)} if samples else found


def validate_labels(network: MendNetwork, views: Sequence[LabelledGame], *, most: int = 16) -> dict[str, float]:
    """Return the Dice of each label over all views together, and their mean; labels that are nowhere do not count."""
    network.eval()
    counts = []  # of views, [3 labels+1]: right, said, true
    for at in range(0, len(views), most):
        some = views[at : at + most]
        with torch.no_grad():
            logits = semantic_logits(network, encode(network, [view.game for view in some]))
        valid = np.stack([view.valid for view in some])
        said, true = logits.argmax(1).numpy()[valid], np.stack([view.names for view in some])[valid]
        counts.append([np.bincount(part, minlength=logits.shape[1]) for part in (true[said == true], said, true)])
    right, said_all, true_all = np.sum(counts, axis=0)[:, 1:]
    scores = {
        f"automatic_{i}": float(2 * a / (b + c))
        for i, (a, b, c) in enumerate(zip(right, said_all, true_all, strict=True), start=1)
        if b + c
    }
    return {"automatic": float(np.mean(list(scores.values()))) if scores else 0.0, **scores}


def validate_games(network: MendNetwork, samples: Sequence[Game], interactions: int) -> dict[str, float]:
    """Return how good the answers to clicks are, and how well the network judges them."""
    robot = LargestError()
    scores: dict[str, list[float]] = {"dice_1": [], "dice_3": [], f"dice_{interactions}": []}
    expected: list[float] = []
    true: list[float] = []
    for some in grouped_by_size(samples):
        network.encoder.eval()
        with torch.no_grad():
            features = encode(network, some)
        turns = [Turn((), np.zeros_like(sample.truth)) for sample in some]
        for count in range(1, interactions + 1):
            clicks = [robot(sample.truth, turn.mask) for sample, turn in zip(some, turns, strict=True)]
            turns = [
                Turn(turn.prompts if click is None else (*turn.prompts, click), turn.mask)
                for turn, click in zip(turns, clicks, strict=True)
            ]
            said = decode(network, features, range(len(some)), _with_guesses(some, range(len(some)), turns))
            overlap = [dice(sample.truth, mask) for sample, mask in zip(some, said.masks, strict=True)]
            expected, true = expected + said.quality, true + overlap
            turns = [Turn(turn.prompts, mask) for turn, mask in zip(turns, said.masks, strict=True)]
            scores.get(f"dice_{count}", []).extend(overlap)
    found = {name: float(np.mean(values)) for name, values in scores.items()}
    spread = min(np.std(expected), np.std(true)) > 1e-6
    known = float(np.corrcoef(expected, true)[0, 1]) if spread else 0.0
    return {**found, "judged": 1 - float(np.mean(np.abs(np.subtract(expected, true)))), "known": known}


def pictures(network: MendNetwork, drawn: Sequence[Game | LabelledGame]) -> NDArray[np.uint8]:  # [y x 3]
    """Return a sheet of the masks after one click; of a volume its middle slice through the object."""
    robot = LargestError()
    network.encoder.eval()
    samples = grouped_by_size([game_of(one) for one in drawn])[0]
    with torch.no_grad():
        features = encode(network, samples)
    empty = [np.zeros_like(sample.truth) for sample in samples]
    clicks = [robot(sample.truth, mask) for sample, mask in zip(samples, empty, strict=True)]
    turns = [Turn(() if click is None else (click,), mask) for click, mask in zip(clicks, empty, strict=True)]
    masks = decode(network, features, range(len(samples)), _with_guesses(samples, range(len(samples)), turns)).masks
    return sheet([_example(sample, mask) for sample, mask in zip(samples, masks, strict=True)])


def _example(sample: Game, mask: MaskArray) -> Example:
    z = int(np.argmax(sample.truth.sum(axis=(1, 2))))
    image = sample.image[:3] if sample.image.ndim == 3 else sample.image[:1, z]
    return Example(image, sample.truth[z], mask[z])
