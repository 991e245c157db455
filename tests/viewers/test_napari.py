"""napari with napari-nninteractive at a real server: what a person does there, voxel for voxel what Segmend shows."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from segmend.core.session import Canvas, Prompted
from tests.server.running import in_thread, settings
from tests.viewers.clients import Napari
from tests.viewers.test_nninteractive import SPACING, newest_session, scan


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("napari"), method="geos")) as running:
        yield running


def test_marks_in_napari_are_events_and_its_masks_are_segmends(server, tmp_path):
    store = server.config.app.state.shared.store
    image, (first, second) = scan()
    np.save(tmp_path / "scan.npy", image[0])

    def log():
        return store.session(newest_session(store))

    def shown(label):
        canvas = Canvas(log().shape)
        canvas.follow(log())
        return canvas.mask(label)

    with Napari(tmp_path) as napari:
        address = server.address.split("?")[0].rstrip("/")
        assert napari.do("open", url=address, npy=str(tmp_path / "scan.npy"), scale=list(SPACING))[0] is True
        masks = []
        for name, arguments in (
            ("point", {"at": [6.3, 19.6, 17.2]}),  # where a pointer is
            ("point", {"at": [6.0, 4.0, 45.0], "positive": False}),
            ("box", {"corners": [[6, 10.2, 9.7], [6, 10.2, 25.1], [6, 30.4, 25.1], [6, 30.4, 9.7]]}),
            ("scribble", {"voxels": [[6, 20, x] for x in range(12, 22)]}),
            ("lasso", {"corners": [[7, 14, 11], [7, 14, 23], [7, 26, 23], [7, 26, 11]]}),
        ):
            napari.do(name, **arguments)
            masks.append(napari.mask)
            np.testing.assert_array_equal(masks[-1], shown(1), err_msg=name)
        marks = [event.prompt for event in log().events if isinstance(event, Prompted)]
        assert [type(mark).__name__ for mark in marks] == ["Click", "Click", "Box", "Drawn", "Lasso"]
        assert marks[0].index == (6, 20, 17) and not marks[1].positive
        assert marks[3].inside.sum() == 10 and masks[-1][first].mean() > 0.5

        napari.do("undo")
        np.testing.assert_array_equal(napari.mask, masks[-2])
        napari.do("undo")
        np.testing.assert_array_equal(napari.mask, masks[-3])
        napari.do("next")
        napari.do("point", at=[8.0, 44.0, 38.0])
        np.testing.assert_array_equal(napari.mask, shown(2))
        assert napari.mask[second].mean() > 0.5 and len(log().labels) == 2
        napari.do("screenshot", path=str(tmp_path / "napari.png"))
        assert np.ptp(np.asarray(Picture.open(tmp_path / "napari.png"))) > 100
        if keep := os.environ.get("SEGMEND_KEEP_PICTURES"):
            Path(keep, "napari.png").write_bytes((tmp_path / "napari.png").read_bytes())
