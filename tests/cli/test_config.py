"""A TOML file does what options do, and the command line wins over it."""

import json

import pytest

from segmend.cli import run
from segmend.samples import write_folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_folder(folder, cases=1, kinds=["skin"], shapes={"skin": (1, 64, 64)})
    return folder


def test_a_file_gives_what_the_command_line_does_not(images, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("SEGMEND_DATA", raising=False)  # which wins over a file
    config = tmp_path / "segmend.toml"
    config.write_text(
        f'[evaluate]\ndata = "{images.as_posix()}"\nsplit = "all"\nmethod = "graphcut"\nuser = "box"\n'
        "interactions = 2\njson = true\n"
        '[segment]\nclick = ["0,32,32"]\n'
    )

    first = run(["--config", str(config), "evaluate"])
    of_file = json.loads(capsys.readouterr().out)
    second = run(["--config", str(config), "evaluate", "--interactions", "1", "--merge", "any"])
    of_both = json.loads(capsys.readouterr().out)

    assert (first, second) == (0, 0)
    assert (of_file["method"], list(of_file["mean"]["dice"])) == ("graphcut", ["1", "2"])
    assert list(of_both["mean"]["dice"]) == ["1"]
    assert of_both["mean"]["objects"] == 1


def test_settings_of_a_training_are_a_table(tmp_path, capsys):
    config = tmp_path / "segmend.toml"
    config.write_text('[train]\nmethod = "bifseg"\ndata = "nowhere"\n[train.set]\ndimensions = 4\n')

    assert run(["--config", str(config), "train"]) == 2
    assert "BIFSeg has 2 or 3 dimensions; got 4." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[magic]\n", "needs a table for each command; got 'magic'"),
        ("[evaluate]\nrobot = 1\n", "names the option 'robot' of evaluate; there are "),
        ("[evaluate\n", "need to be TOML"),
    ],
)
def test_what_a_file_cannot_say_is_said_in_a_sentence(text, sentence, tmp_path, capsys):
    config = tmp_path / "segmend.toml"
    config.write_text(text)

    assert run(["--config", str(config), "evaluate"]) == 2
    assert sentence in capsys.readouterr().err
    assert run(["--config", str(tmp_path / "none.toml"), "evaluate"]) == 2
