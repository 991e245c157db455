"""Slides for tests: pictures in which every place can be told from every other, written with a pyramid of tiles."""

import numpy as np
import tifffile
from PIL import Image as Pillow


def picture(height=2100, width=2601, seed=0):
    """Return smooth colours [y x 3] that differ from place to place."""
    small = np.random.default_rng(seed).integers(20, 236, (height // 40, width // 40, 3), np.uint8)
    return np.asarray(Pillow.fromarray(small).resize((width, height), Pillow.Resampling.BILINEAR))


def halved(pixels):
    """Return a picture with half the sides, as the levels of a pyramid are."""
    size = -(-pixels.shape[1] // 2), -(-pixels.shape[0] // 2)
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BOX))


def write_slide(path, pixels, *, levels=2, step=1, um=0.5, tile=256, inner=True, description=None, **packing):
    """Write a picture as a slide whose levels halve `step` times each; `inner` ones are SubIFDs, others pages."""
    options = {"tile": (tile, tile), "photometric": "rgb", "metadata": None, **packing}
    if um is not None:
        options |= {"resolution": (10_000 / um, 10_000 / um), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(pixels, subifds=levels - 1 if inner else None, description=description, **options)
        for _ in range(levels - 1):
            for _ in range(step):
                pixels = halved(pixels)
            writer.write(pixels, subfiletype=1, **options)
    return path
