"""A store that the first version wrote: its masks are read bit for bit, whatever the method would answer today."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from segmend.core.prompts import Adjust, Box, Click, Lasso, Mask, Stroke
from segmend.core.session import Canvas, Prompted, Session
from segmend.store import Store
from tests.server.running import Client, clicked, in_thread, settings

HERE = Path(__file__).parent
SESSIONS = json.loads((HERE / "sessions.json").read_text(encoding="utf-8"))  # their ids, by name
NAMES = ["clicks", "two labels", "in space"]


def maps_of(name):
    """Return the label maps after each of a session's events, as the first version had them [e z y x]."""
    return np.load(HERE / "maps.npz")[name.replace(" ", "_")]


def prompts_of(session):
    return [event for event in session.events if isinstance(event, Prompted)]


@pytest.fixture
def data(tmp_path):
    """A copy of the store, to be changed."""
    return Path(shutil.copytree(HERE / "store", tmp_path / "data"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of a copy of it, whose method has other weights: whatever it computes again comes out otherwise."""
    data = Path(shutil.copytree(HERE / "store", tmp_path_factory.mktemp("landed") / "data"))
    with in_thread(settings(data, method="mend", weights={"mend": HERE / "weights" / "mend"})) as server:
        yield server


@pytest.mark.parametrize("name", NAMES)
def test_every_mask_is_read_bit_for_bit(name, data):
    with Store.local(data) as store:
        session = store.session(SESSIONS[name])

    wanted = maps_of(name)
    assert len(session.events) == len(wanted)
    assert not session.pending
    for count, after in enumerate(wanted, start=1):
        canvas = Canvas(session.shape)
        canvas.follow(Session(session.shape, session.events[:count], session.answers))
        np.testing.assert_array_equal(canvas.map, after)


def test_what_was_said_is_read(data):
    with Store.local(data) as store:
        sessions = {name: store.session(session) for name, session in SESSIONS.items()}
        cases = {case.name: (case.modality, case.shape, case.channels) for case in store.cases()}
        users = [user.name for user in store.accounts.everybody()]

    clicks, two, space = (prompts_of(sessions[name]) for name in NAMES)
    assert [type(event.prompt) for event in clicks] == [Click, Click, Stroke, Adjust]
    assert [event.finetune for event in clicks] == ["auto", "auto", "on", "off"]
    assert [type(event.prompt) for event in two] == [Box, Mask, Click] and [event.label for event in two] == [1, 2, 1]
    assert [type(event.prompt) for event in space] == [Click, Box, Lasso, Click]
    assert sessions["two labels"].labels[2].name == "hairs" and sessions["two labels"].labels[2].locked
    assert cases == {"a spot": ("XC", (1, 60, 80), 3), "a head": ("MR", (8, 44, 36), 1)}
    assert users == ["Ada"]


def test_a_saved_mask_and_a_token_are_kept(data):
    with Store.local(data) as store:
        (saved,) = store.masks(SESSIONS["in space"])

        assert saved.name == "as it was"
        np.testing.assert_array_equal(store.mask(saved.id), maps_of("in space")[-1])
        assert store.accounts.with_token("a token of sixteen letters or more") == "Ada"


@pytest.mark.parametrize("name", NAMES)
def test_a_session_goes_on_with_the_masks_that_are_stored(name, served):
    """A processor that rounds otherwise must not change what a person has accepted: nothing is computed again."""
    wanted = maps_of(name)

    with Client(served.address, SESSIONS[name]) as live:
        live.next("frame")
        opened = live.map.copy()
        live.do({"event": "redone"})
        redone = live.map.copy()
        live.do({"event": "undone"})
        undone = live.map.copy()
        live.do(clicked([0, 2, 2], method="mend"))
        clicked_map = live.map.copy()
        live.do({"event": "undone"})
        back = live.map.copy()

    np.testing.assert_array_equal(opened, wanted[-1])
    np.testing.assert_array_equal(redone, wanted[-2])
    np.testing.assert_array_equal(undone, wanted[-1])
    assert clicked_map[0, 2, 2] == 1
    np.testing.assert_array_equal(back, wanted[-1])


def test_a_click_that_nobody_answered_is_answered(served):
    with Client(served.address, SESSIONS["waiting"]) as live:
        live.next("answered", position=1)

    index = prompts_of(served.config.app.state.shared.store.session(SESSIONS["waiting"]))[0].prompt.index
    assert live.map[index] == 1
