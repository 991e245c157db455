"""Which axes of a file become an image's channels."""

from __future__ import annotations

from segmend.errors import FileError
from segmend.io.intensities import Numbers


def select_channels(stored: Numbers, *, fourth: str, frame: int, name: str) -> Numbers:
    """Return [c z y x] of [u t z y x]: the 4th axis as channels, or one frame of it as time.

    >>> stored = np.arange(3).reshape(1, 3, 1, 1, 1)
    >>> select_channels(stored, fourth="time", frame=2, name="scan.nii").ravel().tolist()
    [2]
    """
    channels, frames = stored.shape[:2]
    if fourth == "time":
        if not 0 <= frame < frames:
            raise FileError(f"{name} has frames 0 to {frames - 1}; got frame {frame}.")
        return stored[:, frame]
    if channels > 1 and frames > 1:
        raise FileError(f"{name} has {frames} frames of {channels} channels; read one with fourth='time' and frame=.")
    return stored.reshape(channels * frames, *stored.shape[2:])
