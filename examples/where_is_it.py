"""From voxel indices to millimetres and back, on a grid with unequal spacing."""

import numpy as np

import segmend
from segmend.core.image import bounds, scale_affine

# 4 slices of 5 rows and 6 columns; slices 3 mm apart, pixels 0.5 mm: axes are always (z, y, x).
image = segmend.Image(np.zeros((1, 4, 5, 6), np.int16), scale_affine((3.0, 0.5, 0.5)))
assert image.shape == (4, 5, 6)
assert image.spacing.tolist() == [3.0, 0.5, 0.5]

# World positions are RAS millimetres: to the Right, to the Anterior, to the Superior.
assert image.to_mm((2, 4, 1)).tolist() == [0.5, 2.0, 6.0]
assert image.to_index((0.5, 2.0, 6.0)).tolist() == [2.0, 4.0, 1.0]

# Boxes are half-open, as slices are: `low` is inside, `high` just outside.
box = segmend.Box((1, 0, 2), (3, 5, 4))
assert box.shape == (2, 5, 2)
mask = np.zeros(image.shape, bool)
mask[box.slices] = True
assert bounds(mask) == box
