import sys
import threading
import time

import pytest

from segmend import methods
from segmend.store import Store
from tests.server.running import PATIENCE, PLUGIN, http, in_thread, install_plugin, rooms, settings


def _forget_methods():
    methods._others.cache_clear()
    methods._loaded.cache_clear()


@pytest.fixture(scope="package")
def plugin_path(tmp_path_factory):
    """A folder that, on the path, makes the test methods installed ones."""
    folder = tmp_path_factory.mktemp("plugin")
    install_plugin(folder)
    return folder


@pytest.fixture(scope="package", autouse=True)
def plugin(plugin_path):
    paths = [str(plugin_path), str(PLUGIN)]
    sys.path[:0] = paths
    _forget_methods()
    yield
    for path in paths:
        sys.path.remove(path)
    _forget_methods()


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """One server for all tests that do not change how it is set."""
    with in_thread(
        settings(tmp_path_factory.mktemp("server"), link_folders=(tmp_path_factory.getbasetemp(),))
    ) as running:
        yield running


@pytest.fixture
def client(server):
    with http(server) as client:
        yield client


@pytest.fixture
def store(server):
    return server.config.app.state.shared.store


@pytest.fixture
def case(store: Store):
    """The id of a new case with two rooms."""
    return store.add_case("rooms", rooms()).id


@pytest.fixture
def session(client, case):
    """The id of a new session of that case."""
    return client.post(f"/api/cases/{case}/sessions").json()["id"]


class Held:
    """What holds a method: `begun` says that it is held, and `released` lets it go on."""

    def __init__(self):
        self.begun = threading.Event()
        self.released = threading.Event()
        self.parts = 0  # that are let through before it is held

    def pause(self):
        if self.parts:
            self.parts -= 1
            return
        self.begun.set()
        self.released.wait(PATIENCE)

    def after(self, parts):
        """Hold it after so many parts from now."""
        self.parts = parts
        self.begun.clear()
        self.released.clear()


@pytest.fixture
def held(monkeypatch, server):
    """Hold the method "slow" before its first part, or after some, until it is released; then it takes no time."""
    import slow

    held = Held()
    monkeypatch.setattr(slow.SlowWorkspace, "pause", held.pause)
    yield held
    held.released.set()
    wait_until_idle(server)  # or an answer that was taken back would be held in the next test's place


def wait_until_idle(server):
    """Wait until no thread of a server works for a session."""
    sessions, end = server.config.app.state.shared.sessions, time.monotonic() + PATIENCE
    while any(slot.session.done() and slot.session.result()._working for slot in list(sessions._slots.values())):
        assert time.monotonic() < end
        time.sleep(0.005)
