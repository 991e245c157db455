"""Libraries that would call home or write into the home folder when they are imported: here they do neither.

Whoever uses one of them calls its function here first. A library that a program has imported already is left as it is.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def openvino() -> ModuleType:
    """Return OpenVINO, which then tells its maker nothing.

    `import openvino` loads its model converter, which through the package openvino_telemetry asks for
    www.google-analytics.com and writes a client's number to ~/intel. Where that package is missing, the converter does
    without, so it is missing while OpenVINO is imported.
    """
    hidden = "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino as library
    finally:
        if hidden:
            sys.modules.pop("openvino_telemetry", None)
    return library  # type: ignore[no-any-return]


def prepare_matplotlib() -> None:
    """See to it that matplotlib, when it is imported next, keeps its list of fonts for this process alone.

    It would make ~/.config/matplotlib and ~/.cache/matplotlib. Whoever sets MPLCONFIGDIR decides otherwise.
    """
    if "matplotlib" in sys.modules or "MPLCONFIGDIR" in os.environ or find_spec("matplotlib") is None:
        return
    folder = tempfile.TemporaryDirectory(prefix="segmend-matplotlib-")
    atexit.register(folder.cleanup)
    os.environ["MPLCONFIGDIR"] = folder.name
    try:
        import_module("matplotlib.font_manager")  # asks for the names of both folders
    finally:
        del os.environ["MPLCONFIGDIR"]
