"""A second way to fill a polygon, for checking outlines: by winding number, point by point."""

from __future__ import annotations

import numpy as np


def filled_by_winding(ring: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the pixels whose centre a closed line winds round at least once."""
    mask = np.zeros((rows, columns), bool)
    for y in range(rows):
        for x in range(columns):
            rays = ring - (y, x)
            angles = np.arctan2(rays[:, 0], rays[:, 1])
            turns = np.diff(np.append(angles, angles[0]))
            mask[y, x] = round(float(((turns + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi))) != 0
    return mask
