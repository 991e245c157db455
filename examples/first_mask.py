"""Click on an object, look at its mask, mend it with a second click."""

import numpy as np

import segmend
from segmend.core.masks import dice
from segmend.samples import make

sample = make("skin", seed=5)  # a photograph of 384 x 512 pixels whose right mask is known
truth = sample.truth == 1

workspace = segmend.load("mend").open(sample.image)  # whatever is worth doing once happens here
empty = np.zeros(sample.image.shape, bool)

prompts = [segmend.Click((0, 216, 289))]  # (z, y, x): the middle of the lesion
mask = segmend.answer(workspace, prompts, empty).over(empty)
print(f"one click:  {mask.sum()} pixels, Dice {dice(truth, mask):.3f}")

prompts.append(segmend.Click((0, 336, 303)))  # its lower end is missing: ask for it
mask = segmend.answer(workspace, prompts, mask).over(mask)
print(f"two clicks: {mask.sum()} pixels, Dice {dice(truth, mask):.3f}")

for prompt in prompts:  # marks are law: every mark has its way
    assert mask[prompt.index] == prompt.positive
