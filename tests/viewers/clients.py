"""Real clients of others, each in an environment of its own under `.viewers`, which `make viewers` makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

import segmend

ROOT = Path(__file__).parents[2]
VIEWERS = Path(os.environ.get("SEGMEND_VIEWERS", ROOT / ".viewers"))
DEMANDED = "SEGMEND_DEMAND_VIEWERS"  # set by `make test-viewers`, which fails where CI=true and one is missing


def need(place: Path, name: str, *, large: bool = False) -> Path:
    """Return where a client is; skip, or fail where all are demanded, when it is not there."""
    if place.exists():
        return place
    words = f"{name} is not installed; 'make viewers{'-large' if large else ''}' does that"
    demanded = os.environ.get(DEMANDED)
    if os.environ.get("CI") == "true" and (demanded == "large" if large else demanded):
        pytest.fail(words)
    pytest.skip(words)


class Client:
    """A client of others in a process of its own, which takes lines of JSON."""

    mark = ""  # that its own lines begin with

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "NN_"))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**kept, **(environment or {})},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a method of the client; return what it said."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        while (line := self._process.stdout.readline()) and not line.startswith(self.mark):
            pass  # it prints, too
        line = line.removeprefix(self.mark)
        assert line, self._process.communicate()[1]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, name: str, /, **arguments: Any) -> Any:
        """Call a method of the client, which does not fail; return its value."""
        answer = self.ask(name, **arguments)
        assert "error" not in answer, answer
        return answer["value"]


def python_of(home: Path) -> str:
    """Return the Python of an environment."""
    return str(home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


class Monai(Client):
    """One run of MONAI Label's client."""

    def __init__(self) -> None:
        home = need(VIEWERS / "monai", "monailabel")
        super().__init__([python_of(home), str(Path(__file__).with_name("monai_client.py"))])


class NnInteractive(Client):
    """One run of nnInteractive's client, of one version."""

    def __init__(self, version: str, folder: Path) -> None:
        home = VIEWERS / "nninteractive"
        client = need(home / version, f"nninteractive-client {version}")
        driver = Path(__file__).with_name("nninteractive_client.py")
        self.version = version
        self.folder = folder
        self._count = 0
        command = [python_of(home), "-W", "error::RuntimeWarning", str(driver)]
        super().__init__(command, {"PYTHONPATH": str(client)})

    def ask(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a method of the client, arrays by files; return what it said."""
        given = {key: self._file(value) if isinstance(value, np.ndarray) else value for key, value in arguments.items()}
        return super().ask(name, **given)

    @property
    def mask(self) -> Any:
        """The mask that the client has now."""
        path = self.folder / "mask.npy"
        self.do("save", path=str(path))
        return np.load(path)

    def _file(self, array: Any) -> dict[str, str]:
        self._count += 1
        path = self.folder / f"{self._count}.npy"
        np.save(path, array)
        return {"npy": str(path)}


class Napari(Client):
    """napari with its plugin for nnInteractive, on a display that nobody sees."""

    mark = "JSON "
    driver = "napari_client.py"

    def __init__(self, folder: Path, **environment: str) -> None:
        home = need(VIEWERS / "napari", "napari", large=True)
        screen = need(Path(shutil.which("Xvfb") or "/usr/bin/Xvfb"), "Xvfb", large=True)
        told, tell = os.pipe()
        command = [str(screen), "-displayfd", str(tell), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
        self._screen = subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=[tell])
        os.close(tell)
        with os.fdopen(told) as lines:
            display = f":{lines.readline().strip()}"
        kept = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), **environment}
        driver = Path(__file__).with_name(self.driver)
        super().__init__([python_of(home), str(driver)], {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", **kept})
        self._folder = folder

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._screen.kill()
        self._screen.wait()

    @property
    def mask(self) -> Any:
        """The mask of the object that is worked on."""
        path = self._folder / "mask.npy"
        self.do("save", path=str(path))
        return np.load(path) != 0


class SegmendNapari(Napari):
    """napari with Segmend's own plugin, as pip installs it."""

    driver = "segmend_napari_client.py"

    def __init__(self, folder: Path) -> None:
        plugin = folder / "plugin"
        need(VIEWERS / "napari", "napari", large=True)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            *options,
            "--target",
            str(plugin),
            str(ROOT / "plugins/napari"),
        ]
        subprocess.run(command, check=True)
        super().__init__(folder, SEGMEND_PLUGIN=str(plugin), SEGMEND_PATHS=own_paths())

    @property
    def map(self) -> Any:
        """The label map that is shown."""
        path = self._folder / "mask.npy"
        self.do("save", path=str(path))
        return np.load(path)


def own_paths() -> str:
    """Return where Segmend and what it stands on are, for a Python of another environment to look behind its own."""
    return os.pathsep.join([str(Path(segmend.__file__).parents[1]), *(p for p in sys.path if p.endswith("-packages"))])
