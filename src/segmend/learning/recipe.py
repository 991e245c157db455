"""How methods learn: what a recipe is, and which there are.

`cards.toml` names their modules, which are imported only to train.

A recipe is a module with these names; `loop.run` is the loop that uses them:

    NAME         what `segmend train` calls it: its method's id, or the part of the method that learns
    Settings     a frozen dataclass of plain values, with at least `steps`, `batch`, `rate`, `decay`, `seed`
                 and `average` (of the weights' EMA: the share that is kept at each step; 0 keeps the last weights)
    subjects(data, split, settings) -> list of cases
    Sampler(subjects, settings)[number] -> a sample; the same number is the same sample in any process
    build(settings) -> the untrained torch module; one that learns two networks holds both
    loss(network, samples, step) -> the loss of a batch, a mean over its samples; in training mode the network runs
                 equally often whatever the samples are, for several processes share a batch
    validate(network, samples) -> scores by name; the first one is watched, higher is better
    export(network, settings, folder) -> the weights files it wrote, for the engine

and may have

    ANY_DEVICE           True where `loss` and `validate` put their tensors where the network's parameters lie
    Settings.patience    validations without a better first score after which a run stops, 0 for never
    fitted(settings, training) -> the settings, with what the cases to learn from say of them, such as their labels
    samples_in(training, settings) -> how many samples a pass over the cases is, where it is not one a case
    to_check(settings) -> the settings with which samples to check on are drawn, where they are others
    optimiser(network, settings) -> another optimiser than AdamW
    share(step, settings) -> the share of the learning rate at a step, in place of a cosine
    with_robots(network, processes) -> a context in which the robots that play with the network do so in processes of
                         their own, for `--set robots=N`; the loss is the same without
    pictures(network, samples) -> [y x 3] bytes, a sheet that shows a person how it is doing
    patience_from(settings) -> the step from which validations count for the patience, where not all do
    PAPER                the settings of the paper: `segmend train METHOD --preset paper`
    PAPER_LOOP           what the loop is told beside them, such as epochs and patience
    paper(options)       the settings that `--preset paper` begins with, where they are not always `PAPER`
    small(options)       the settings that `--preset small` begins with, where they are not `Settings()`

A new setting's default keeps what was before it came: checkpoints of earlier versions go on without it.

`segmend.learning` has what recipes share: `precision.autocast` for bfloat16 where it pays, `sheets.sheet` for pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from segmend.errors import SettingsError
from segmend.runtime import cards


def names() -> tuple[str, ...]:
    """Return the methods that learn.

    >>> "mend" in names()
    True
    """
    return tuple(sorted(cards.recipes()))


def check_learns(method: str) -> None:
    """Raise SettingsError when a method does not learn; nothing is imported for it."""
    if method not in names():
        raise SettingsError(f"The method {method!r} cannot be trained; those that learn are {', '.join(names())}.")


def preset_of(how: ModuleType, name: str, options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Return the settings that a preset begins with, and what it tells the loop.

    "small" is what trains in minutes on a processor, "paper" the paper's own sizes, loss, augmentation and schedule.
    SettingsError where there is no such preset. `options` may decide which, such as the dimensions.
    """
    match name:
        case "small":
            return getattr(how, "small", lambda _: how.Settings())(options), {}
        case "paper" if hasattr(how, "PAPER"):
            return getattr(how, "paper", lambda _: how.PAPER)(options), getattr(how, "PAPER_LOOP", {})
        case "paper":
            raise SettingsError(f"The method {how.NAME} is of no paper, so it has no preset 'paper'; there is small.")
    raise SettingsError(f"A preset needs to be paper or small; got {name!r}.")


def recipe(method: str) -> ModuleType:
    """Return how a method learns; SettingsError when it does not."""
    check_learns(method)
    return import_module(cards.recipes()[method])
