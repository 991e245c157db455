"""A robot annotates beside the person: it knows the right mask of a label, and a method answers it, mark by mark.

Nothing of it is stored and nothing is remembered here: each step is asked for with the marks and the mask so far, so
whoever watches may stop at any time.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from segmend.core.image import Box, MaskArray, bounds, whole
from segmend.core.masks import dice
from segmend.core.prompts import Click, Mask, Prompt, check
from segmend.core.segmenter import Method, answers
from segmend.core.session import Session
from segmend.errors import PromptError
from segmend.server.sessions.answering import OpenWorkspace
from segmend.server.sessions.previews import Values
from segmend.users import LargestError

# It clicks in the middle of the largest error, as challenges play it.
ROBOT = LargestError()


@dataclass(frozen=True, eq=False)
class Step:
    """One mark of the robot, and what came of it; without a mark the mask is the right one already."""

    prompt: Click | None
    mask: Mask
    dice: float  # with the right mask


@dataclass(frozen=True, eq=False)
class Game:
    """What has been played so far: the label whose mask is right, the method, the robot's marks, and their mask."""

    label: int
    method: Method
    prompts: Sequence[Prompt]
    mask: Mask | None = None


def check_game(game: Game, session: Session) -> None:
    """Raise PromptError unless a game can be played in a session."""
    if game.label not in session.labels:
        raise PromptError(f"Label {game.label} is not defined here; there are {sorted(session.labels)}.")
    if not set(ROBOT.kinds) <= set(game.method.prompts):
        raise PromptError(f"The robot clicks, and {game.method.title} takes {', '.join(game.method.prompts)} alone.")
    for prompt in (*game.prompts, *([] if game.mask is None else [game.mask])):
        check(prompt, session.shape)


def played(session: Session, game: Game, open_workspace: OpenWorkspace, values: Values) -> Generator[None, None, Step]:
    """Play one mark of a game."""
    truth: MaskArray = np.asarray(values(whole(session.shape), session.labels[game.label].layer) == game.label)
    if not truth.any():
        raise PromptError("The robot needs a right mask to play for, and this label has none yet.")
    mask = np.zeros(session.shape, bool)
    if game.mask is not None:
        mask[game.mask.box.slices] = game.mask.inside
    prompt = ROBOT(truth, mask)
    if prompt is None:
        return Step(None, _packed(mask), dice(truth, mask))
    workspace = open_workspace(game.method.id).with_finetuning("off")
    after = mask.copy()
    for part in answers(workspace, [*game.prompts, prompt], mask, new=1):
        after[part.box.slices] = part.mask
        yield
    return Step(prompt, _packed(after), dice(truth, after))


def _packed(mask: MaskArray) -> Mask:
    box = bounds(mask) or Box((0, 0, 0), (1, 1, 1))
    return Mask(mask[box.slices].copy(), box.low)
