"""Which axes of a file become an image's channels."""

from __future__ import annotations

from collections.abc import Iterable

from segmend.errors import FileError
from segmend.io.intensities import Numbers

# What is noted of an image whose channels are one image at several times.
TIMED = "The fourth axis is time"
# DICOM's tags that tell times apart; volumes that differ by others, such as an echo, are several images.
TIME_TAGS = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "TriggerTime", "NominalPercentageOfCardiacPhase",
    "AcquisitionTime", "ContentTime",
)  # fmt: skip


def is_timed(notes: Iterable[str]) -> bool:
    """Tell by an image's notes whether its channels are one image at several times.

    >>> is_timed(["Every place was scanned 9 times; the volumes are told apart by TriggerTime."]), is_timed([])
    (True, False)
    """
    told = tuple(f"told apart by {tag}." for tag in TIME_TAGS)
    return any(note.startswith(TIMED) or note.endswith(told) for note in notes)


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
