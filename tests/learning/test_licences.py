"""Which sets may teach weights that are given away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segmend.errors import FileError
from segmend.learning.licences import may_ship


def test_only_what_is_said_to_be_free_is_free(tmp_path: Path) -> None:
    assert may_ship(tmp_path) is None
    said = {"free": {"may_ship": True, "licence": "CC0"}, "not": {"may_ship": False}, "odd": {"may_ship": "true"}}
    (tmp_path / "licences.json").write_text(json.dumps(said))

    assert may_ship(tmp_path) == {"free"}


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": 1}', '{"a": {"licence": "CC0"}}'])
def test_another_file_of_that_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "licences.json").write_text(text)

    with pytest.raises(FileError, match="may_ship"):
        may_ship(tmp_path)
