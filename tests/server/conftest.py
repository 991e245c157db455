import sys

import pytest

from segmend import methods
from segmend.store import Store
from tests.server.running import PLUGIN, http, in_thread, install_plugin, rooms, settings


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
