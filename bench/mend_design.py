"""Which design learns more in one time of one core: the image encoded once, or image and prompts together.

    python bench/mend_design.py --data DATA --seconds 150

Both play the same games on the same samples and learn from every answer; early fusion is one U-Net of the encoder's
widths on image and prompts together. Prints the Dice after 1, 3 and 5 clicks on validation samples, and the time of one
answer at 128 x 128.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from segmend.learning.loop import run
from segmend.mend.learning import recipe as mend
from segmend.nets.mend import ImageEncoder

SETS = ("fetal_head_us_hc18", "hippocampus_mr", "nuclei_dsb2018", "sarcoma_ct")


class Untouched(nn.Module):
    """An encoder that returns the image as it is."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x,)


class Fused(nn.Module):
    """The encoder's U-Net on image and prompts, with a constant quality and no uncertainty."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.whole = ImageEncoder(dimensions=2, inputs=8, widths=widths, features=1)

    def forward(self, prompts: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits = self.whole(torch.cat([image, prompts], dim=1))[0]
        return logits, torch.full((len(logits),), 0.5), logits, torch.zeros_like(logits)


def early_fusion(settings: mend.Settings) -> mend.MendNetwork:
    torch.manual_seed(settings.seed)
    return mend.MendNetwork(Untouched(), Fused(settings.encoder_widths), 2).to(memory_format=torch.channels_last)


def recipe(build: object) -> ModuleType:
    made = ModuleType("segmend.mend.learning.recipe")
    made.__dict__.update({name: value for name, value in vars(mend).items() if not name.startswith("__")})
    made.__dict__.update(build=build, export=lambda network, settings, folder: ())
    del made.pictures
    return made


def seconds_a_step(how: ModuleType, cases: list[mend.Subject], settings: mend.Settings) -> float:
    """Return the processor's time of a step, samples and robots included."""
    sampler, network = how.Sampler(cases, settings), how.build(settings)
    for step in range(4):
        if step == 1:
            begun = time.process_time()
        samples = [sampler[number] for number in range(step * settings.batch, (step + 1) * settings.batch)]
        how.loss(network, samples).backward()
    return (time.process_time() - begun) / 3


def milliseconds_an_answer(network: mend.MendNetwork) -> float:
    image, prompts = torch.zeros(1, 4, 128, 128), torch.zeros(1, 4, 128, 128)
    with torch.inference_mode():
        features = network.eval().encoder(image)
        network.decoder(prompts, *features)
        begun = time.process_time()
        for _ in range(10):
            network.decoder(prompts, *features)
    return (time.process_time() - begun) * 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder of data sets")
    parser.add_argument("--seconds", type=float, default=150.0, help="of one core for each design")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.data is None:
        print("skipped: it needs --data, real images to learn from")
        return
    torch.set_num_threads(1)
    usual = mend.Settings(sets=SETS, seed=chosen.seed)
    training, validation = (mend.subjects(chosen.data, split, usual) for split in ("train", "val"))
    for name, build in (("features once", mend.build), ("early fusion", early_fusion)):
        how = recipe(build)
        steps = int(chosen.seconds / seconds_a_step(how, training, usual))
        settings = mend.Settings(sets=SETS, seed=chosen.seed, steps=steps)
        with tempfile.TemporaryDirectory() as out:
            done = run(
                how, training, validation, settings, Path(out),
                threads=1, workers=0, every=steps, exam=128, log=lambda _: None,
            )  # fmt: skip
        dice = "  ".join(f"{key} {done.scores[key]:.3f}" for key in ("dice_1", "dice_3", "dice_5"))
        print(f"{name:14} {steps:5} steps  {dice}  {milliseconds_an_answer(done.network):.1f} ms an answer", flush=True)


if __name__ == "__main__":
    main()
