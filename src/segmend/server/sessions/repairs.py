"""Stored answers that are damaged, worked out anew when their session is opened.

An answer is the exclusive or of the map before and after, so the ones after it only make sense over the very same one.
It is worked out on the session as it was when its event came, and its checksum says whether it is the same bit for bit,
which it is as long as the method and its weights are. Where it is another, or nothing tells, the later answers are
worked out anew in turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from segmend.core.image import Image
from segmend.core.session import EMPTY, Asking, Patch, Session
from segmend.errors import SegmendError, StoreError
from segmend.server.sessions.answering import OpenWorkspace
from segmend.server.sessions.replaying import answered_anew
from segmend.store import LoadedSession, Store
from segmend.store.checksums import patch_crc

log = logging.getLogger("segmend.server")


def repair(
    store: Store,
    session_id: str,
    loaded: LoadedSession,
    open_workspace: OpenWorkspace,
    image: Callable[[], Image],
    *,
    exact: bool = False,
) -> Session:
    """Return the session with its damaged answers worked out anew and stored.

    What cannot be worked out, because its method is gone, is left without an answer, as are the later ones. With
    `exact` nothing is stored but what is the same bit for bit: StoreError where an answer comes out otherwise.
    """
    session = loaded.session
    empty = {i for i, crc in loaded.damaged.items() if crc == patch_crc(session_id, i, EMPTY)}
    for position, crc in sorted(loaded.damaged.items()):
        patch = EMPTY if position in empty else _answer(session, position, open_workspace, image)
        if patch is None or patch_crc(session_id, position, patch) != crc:
            if exact:
                raise StoreError(
                    f"The answer to event {position} does not come out as it was: name the --weights that it was made "
                    "with, or open the session in the annotator, which then works out anew what came later, too."
                )
            return _replay(store, session_id, loaded, position, open_workspace, image)
        log.warning(
            "The answer to event %d of session %s was damaged; it was worked out anew, the same bit for bit.",
            position,
            session_id,
        )
        store.answer(session_id, position, patch)
        session = session.answered(position, patch)
    return session


def _replay(
    store: Store,
    session_id: str,
    loaded: LoadedSession,
    since: int,
    open_workspace: OpenWorkspace,
    image: Callable[[], Image],
) -> Session:
    """Return the session with the answers to an event and all later ones worked out anew."""
    log.warning(
        "The answer to event %d of session %s is damaged; it and the later ones are worked out anew.", since, session_id
    )
    before = store.load_session(session_id)  # with what was repaired already
    later = sorted(i for i in {*before.session.answers, *before.damaged} if i >= since)
    empty = {i for i, crc in loaded.damaged.items() if crc == patch_crc(session_id, i, EMPTY)}
    empty |= {i for i, patch in before.session.answers.items() if patch == EMPTY}  # cancelled, or nothing to change
    store.forget_answers(session_id, since=since)
    session = replace(before.session, answers={i: p for i, p in before.session.answers.items() if i < since})
    for position in later:
        patch = EMPTY if position in empty else _answer(session, position, open_workspace, image)
        if patch is None:
            break
        store.answer(session_id, position, patch)
        session = session.answered(position, patch)
    return session


def _answer(session: Session, position: int, open_workspace: OpenWorkspace, image: Callable[[], Image]) -> Patch | None:
    """Return the answer to an event, None where its method is not installed any longer or does not take it."""
    if not isinstance(session.events[position], Asking):
        return EMPTY
    try:
        return answered_anew(session, position, open_workspace, image).patch()
    except SegmendError as error:
        log.warning("Event %d cannot be answered anew: %s", position, type(error).__name__)
        return None
