"""Click on an object, look at its mask, mend it with a second click."""

import numpy as np

import segmend
from segmend.samples import make

sample = make("skin")  # a photograph of 384 x 512 pixels whose right mask is known
truth = sample.truth == 1
middle = tuple(np.argwhere(truth).mean(axis=0).astype(int).tolist())  # (z, y, x)

workspace = segmend.load("mend").open(sample.image)  # whatever is worth doing once happens here
empty = np.zeros(sample.image.shape, bool)

prompts = [segmend.Click(middle)]
mask = segmend.answer(workspace, prompts, empty).over(empty)
print(f"one click:  {mask.sum()} voxels, Dice {2 * (mask & truth).sum() / (mask.sum() + truth.sum()):.2f}")

wrong = np.argwhere(mask & ~truth)  # too much: say so where it is
missed = np.argwhere(truth & ~mask)  # too little: ask for it
if len(wrong) > len(missed):
    prompts.append(segmend.Click(tuple(wrong[len(wrong) // 2].tolist()), positive=False))
else:
    prompts.append(segmend.Click(tuple(missed[len(missed) // 2].tolist())))
mask = segmend.answer(workspace, prompts, mask).over(mask)
print(f"two clicks: {mask.sum()} voxels, Dice {2 * (mask & truth).sum() / (mask.sum() + truth.sum()):.2f}")

for prompt in prompts:  # marks are law: every mark has its way
    assert mask[prompt.index] == prompt.positive
