"""`segmend train` as a person or torchrun starts it: a bar on a terminal, lines in a log, one process or several."""

import io
import socket
import sys

import pytest

from segmend.cli import run
from tests.datasets.test_folder import flat_labels, write_case, write_split

SMALL = ["steps=1", "batch=1", "exam=1", "workers=0", "widths=[4, 4, 4, 4, 4, 4]"]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "cells"
    for name in ("a", "b"):
        write_case(folder, name, flat_labels())
    write_split(folder, train=["a"], val=["b"])
    return folder


def train(data, *more: str) -> int:
    changes = [word for change in SMALL for word in ("--set", change)]
    return run(["train", "mend", "--data", str(data), *changes, *more])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_weights_go_to_a_folder_of_the_methods_name(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    code = train(data)

    assert code == 0
    assert (tmp_path / "runs" / "mend" / "mend2d_reader.onnx").is_file()
    assert "\r[############################] step 1/1  loss " in terminal.getvalue()
    assert capsys.readouterr().out.startswith("runs/mend/mend2d_reader.onnx, ")


def test_a_process_that_torchrun_started_joins_the_others(data, tmp_path, monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", str(port)), ("RANK", "0"), ("WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")

    code = train(data, "--out", str(tmp_path / "out"))

    assert code == 0
    assert (tmp_path / "out" / "mend2d_reader.onnx").is_file()
    assert "step 1/1" in capsys.readouterr().err
    import torch.distributed

    assert not torch.distributed.is_initialized()


def test_a_setting_of_the_wrong_kind_is_one_line(data, tmp_path, capsys):
    code = train(data, "--out", str(tmp_path / "out"), "--set", "patience=long")

    assert code == 2
    assert capsys.readouterr().err == "The setting patience needs a whole number; got 'long'.\n"
    assert not (tmp_path / "out").exists()
