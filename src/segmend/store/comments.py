"""What people say of a case, or of a place in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, delete, insert, select

from segmend.core.image import Index, whole
from segmend.errors import LimitError, NotFoundError, SettingsError
from segmend.store import tables
from segmend.store.audit import Deed, note
from segmend.store.database import Database
from segmend.store.records import CaseRecord, Comment, readable

COMMENTS = tables.comments
# Characters of a comment, and comments of a case.
MOST_CHARACTERS, MOST_COMMENTS = 2000, 500


class Comments:
    """The comments of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, case: CaseRecord, text: str, *, user: str = "", place: Index | None = None) -> Comment:
        """Return a new comment, on a voxel where a place is given."""
        text = text.strip()
        if not text or len(text) > MOST_CHARACTERS or not all(readable(line) for line in text.splitlines()):
            raise SettingsError(f"A comment needs 1 to {MOST_CHARACTERS} readable characters.")
        if place is not None and not whole(case.shape).contains(place):
            raise SettingsError(f"A comment needs a place in the image of shape {case.shape}; got {place}.")
        if len(self.of_case(case.id)) >= MOST_COMMENTS:
            raise LimitError(f"A case has at most {MOST_COMMENTS} comments.")
        comment = Comment(uuid4().hex, case.id, user, datetime.now(UTC), text, place)
        with self._database.writing() as connection:
            values = {"id": comment.id, "case": case.id, "user": user, "at": comment.at, "text": text, "place": place}
            connection.execute(insert(COMMENTS).values(values))
            note(connection, Deed(user, "commented", case.project, case.id, detail={"comment": comment.id}))
        return comment

    def of_case(self, case: str) -> list[Comment]:
        """Return the comments on a case, oldest first."""
        query = select(COMMENTS).where(COMMENTS.c.case == case).order_by(COMMENTS.c.at, COMMENTS.c.id)
        with self._database.reading() as connection:
            return [_comment(row) for row in connection.execute(query)]

    def delete(self, comment: str, *, user: str = "") -> None:
        with self._database.writing() as connection:
            case = connection.scalar(select(COMMENTS.c.case).where(COMMENTS.c.id == comment))
            if case is None:
                raise NotFoundError("There is no such comment.")
            connection.execute(delete(COMMENTS).where(COMMENTS.c.id == comment))
            project = connection.scalar(select(tables.cases.c.project).where(tables.cases.c.id == case))
            note(connection, Deed(user, "deleted", project or "", case, detail={"what": "comment", "comment": comment}))


def _comment(row: Row[Any]) -> Comment:
    values = dict(row._mapping)
    place = values["place"]
    return Comment(**{**values, "place": None if place is None else tuple(place)})
