"""What is known of each voxel before a solver decides the others."""

from __future__ import annotations

UNKNOWN, FOREGROUND, BACKGROUND = 0, 1, 2
