"""The settings of mend's training: what a run depends on, saved with its weights."""

from __future__ import annotations

from dataclasses import dataclass

from segmend.errors import SettingsError

ENCODER_WIDTHS = {2: (16, 32, 64, 128, 192, 256), 3: (16, 32, 64, 128, 192)}  # channels of each level, by dimensions
DECODER_WIDTHS = {2: (16, 24, 32, 48, 64, 64), 3: (16, 24, 32, 48, 64)}  # channels of each level, by dimensions
MOST_LABEL = 65535  # label maps are uint16


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    dimensions: int = 2
    steps: int = 10000
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    start: str = ""  # a folder of earlier weights to go on from
    widths: tuple[int, ...] = ()  # of the encoder; empty for ENCODER_WIDTHS
    light: tuple[int, ...] = ()  # of the decoder; empty for DECODER_WIDTHS
    synthetic: float = 0.35  # the share of drawn scenes
    regions: float = 0.12  # of objects taken from real images by their intensities
    pasted: float = 0.08  # of drawn objects put into real images
    layered: float = 0.12  # of real objects that are given layers of other intensities
    bodies: float = 0.0  # in space, the share of what is not drawn that is made of pictures
    small: float = 0.35  # in space, the share of batches with blocks of SMALL_BLOCK cells
    large: float = 0.15  # in space, the share of batches with blocks of LARGE_BLOCK cells
    forget: float = 0.0  # the share of games that are learned from without the masks so far, from prompts alone
    average: float = 0.998  # of the weights' moving mean
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    task: bool = False  # learn to find the labels of one data set without a prompt, too
    labels: tuple[int, ...] = ()  # of a task; empty for all there are
    names: tuple[str, ...] = ()  # what the task's labels are called; empty for what the data set calls them
    absent: bool = False  # a label that a case of the task lacks is really not there

    def __post_init__(self) -> None:
        if self.dimensions not in ENCODER_WIDTHS:
            raise SettingsError(f"Mend has 2 or 3 dimensions; got {self.dimensions}.")
        if len(self.decoder_widths) > len(self.encoder_widths):
            raise SettingsError(
                f"The decoder (light) needs at most as many levels as the encoder (widths); "
                f"got {len(self.decoder_widths)} for {len(self.encoder_widths)}."
            )
        for value in self.labels:
            if type(value) is not int or not 1 <= value <= MOST_LABEL:
                raise SettingsError(f"The setting labels needs whole numbers of 1 to {MOST_LABEL}; got {value!r}.")

    @property
    def encoder_widths(self) -> tuple[int, ...]:
        return self.widths or ENCODER_WIDTHS[self.dimensions]

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        return self.light or DECODER_WIDTHS[self.dimensions]
