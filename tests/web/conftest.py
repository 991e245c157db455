import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

import hatch_build
from segmend import methods
from segmend.core.image import Image, scale_affine
from tests.server.running import in_thread, settings
from tests.web.driving import CHROMIUM, OTHERS, PATIENCE, PLUGIN, Annotator, install_plugin, watched

ROOT = Path(__file__).parent.parent.parent

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package", autouse=True)
def bundle():
    """The page as it is now."""
    if not hatch_build.is_current(ROOT):
        hatch_build.build(ROOT)


@pytest.fixture(scope="package")
def plugin_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web-plugin")
    install_plugin(folder)
    return folder


@pytest.fixture(scope="package")
def server(tmp_path_factory, bundle, plugin_path):
    """One server in this process, with the methods of `plugin/`."""
    paths = [str(plugin_path), str(PLUGIN), str(OTHERS)]
    sys.path[:0] = paths
    methods._others.cache_clear()
    methods._loaded.cache_clear()
    folder, linked = tmp_path_factory.mktemp("web-server"), (tmp_path_factory.getbasetemp(),)
    with in_thread(settings(folder, method="ball", link_folders=linked)) as running:
        yield running
    for path in paths:
        sys.path.remove(path)
    methods._others.cache_clear()
    methods._loaded.cache_clear()


@pytest.fixture
def held(server, monkeypatch):
    """Hold the method "patient" until this event is set."""
    import patient

    released = threading.Event()
    monkeypatch.setattr(patient.PatientWorkspace, "pause", lambda _: released.wait(PATIENCE / 1000))
    yield released
    released.set()


@pytest.fixture(scope="package")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def window(chromium):
    """The window whose tabs are the pages of most tests: it fetches and compiles the annotator's script once."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def page(window):
    """A new page in a browser that has kept nothing of earlier ones but scripts."""
    page = window.new_page()
    session = window.new_cdp_session(page)
    kept = {"origin": "*", "storageTypes": "cookies,local_storage,indexeddb"}
    session.send("Storage.clearDataForOrigin", kept)
    session.detach()
    with watched(page):
        yield page
    page.close()


@pytest.fixture
def annotator(page, server):
    person = Annotator(page, server.address)
    yield person
    person.http.close()


@pytest.fixture
def add(server):
    """Add a case to the server's store; returns its id."""
    store = server.config.app.state.shared.store
    return lambda image, name="case", **options: store.add_case(name, image, **options).id


@pytest.fixture
def volume():
    """11 x 12 x 13 voxels of noise, 3 x 1.5 x 1 mm."""
    voxels = np.random.default_rng(1).integers(0, 256, (1, 11, 12, 13), dtype=np.uint8)
    return Image(voxels, scale_affine((3, 1.5, 1)))


@pytest.fixture
def photo():
    """A photograph of 40 x 60 pixels whose colours tell rows from columns."""
    rows, columns = np.mgrid[0:40, 0:60]
    voxels = np.stack([rows * 6, columns * 4, np.full_like(rows, 60)])[:, None].astype(np.uint8)
    return Image(voxels, np.diag([1.0, 1, 1, 1])[[2, 1, 0, 3]] * [1, -1, -1, 1])
