"""How long a person takes to put down marks: a model, for a robot has no hands.

The papers time people, but only whole objects. BIFSeg's two users took 82.3 s in the mean for a tumour core and 68.0 s
for a whole tumour; deep editing's took one to two minutes for 2.68 edits of a volume. What one mark takes is from
studies of annotation: 2.4 s a click and 10.9 s a free stroke (Bearman et al., What's the point, ECCV 2016), 7.0 s four
extreme points or the box that follows from them (Papadopoulos et al., Extreme clicking, ICCV 2017). In these a picture
is looked at, too. To look through a volume takes what is left of deep editing's edit of 90 s / 2.68 when a mean mark of
its three tools is taken away: 27 s. A number for an adjustment takes as long as a click.
"""

from __future__ import annotations

from collections.abc import Iterable

from segmend.core.prompts import Drawn, Prompt, kind_of

SECONDS = {"click": 2.4, "stroke": 10.9, "box": 7.0, "extremes": 7.0, "lasso": 10.9, "adjust": 2.4}
SLICE = 79.0  # a mask of one slice is its outline by hand: a polygon of MS COCO (Bearman et al.)
LOOKING = 28.0  # through a volume, before the marks of an interaction
GIVEN_UP = 120.0  # a mask that is not accepted until then is given up: the longest that deep editing's paper says


def seconds_of(prompts: Iterable[Prompt], *, flat: bool) -> float:
    """Return how long a person takes for one interaction with an image, flat or a volume.

    >>> from segmend.core.prompts import Box, Click
    >>> marks = (Box((0, 2, 3), (1, 9, 9)), Click((0, 4, 4)))
    >>> round(seconds_of(marks, flat=True), 1), round(seconds_of(marks, flat=False), 1)
    (9.4, 37.4)
    """
    return (0.0 if flat else LOOKING) + sum(_seconds(prompt) for prompt in prompts)


def _seconds(prompt: Prompt) -> float:
    return SECONDS.get("stroke" if isinstance(prompt, Drawn) else kind_of(prompt), SLICE)
