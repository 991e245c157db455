"""A session is a log of events: undo, redo and removing an earlier prompt change no array."""

import numpy as np

from segmend import Canvas, Click, Defined, Label, Patch, Prompted, Redone, Session, Undone

session = Session((1, 4, 6)).add(Defined(Label(1, "lesion", (230, 75, 60))))
session = session.add(Prompted(Click((0, 1, 2)), label=1, method="mend"))
assert session.pending == (1,)  # stored, not answered yet

before = np.zeros(session.shape, np.uint16)
after = before.copy()
after[0, 1:3, 2:5] = 1
session = session.answered(1, Patch.between(before, after))

canvas = Canvas(session.shape)  # the label map, following the session
canvas.follow(session)
assert canvas.mask(1).sum() == 6

canvas.follow(session.add(Undone()))
assert canvas.mask(1).sum() == 0
canvas.follow(session.add(Undone()).add(Redone()))
assert canvas.mask(1).sum() == 6
