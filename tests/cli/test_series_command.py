"""`segmend series`: scans beside a case's image."""

import json

import numpy as np
import pytest

from segmend import io
from segmend.cli import run
from segmend.core.image import Image
from segmend.store import Store
from tests.server.running import rooms


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with Store.local(folder) as store:
        return folder, store.add_case("rooms", rooms()).id


@pytest.fixture
def said(capsys, kept):
    def call(*words):
        code = run(["series", kept[1], *map(str, words), "--folder", str(kept[0])])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_series_are_added_listed_and_removed(said, tmp_path):
    assert said() == (0, "No series is shown beside this case's image.\n", "")
    io.write_image(tmp_path / "flair.nii.gz", rooms())
    io.write_image(tmp_path / "other.nii", rooms())

    code, out, _ = said(tmp_path / "flair.nii.gz", tmp_path / "other.nii", "--json")
    found = json.loads(out)
    assert code == 0 and [(one["name"], one["shape"]) for one in found] == [("flair", [3, 6, 8]), ("other", [3, 6, 8])]

    code, out, _ = said("--remove", found[0]["series"])
    assert code == 0 and out == f"{found[1]['series']}  other  3 x 6 x 8\n"
    assert said("--remove", found[0]["series"])[0] == 2


def test_what_does_not_lie_there_is_refused_with_all_that_came_with_it(said, tmp_path):
    before = said()
    io.write_image(tmp_path / "photo.png", Image(np.zeros((1, 1, 4, 5), np.uint8)))

    code, _, err = said(tmp_path / "photo.png")

    assert code == 2 and "says no place in a patient" in err and said() == before
