"""Names that every doctest may use, and no file in the home folder of whoever runs the tests."""

import atexit
import os
import tempfile

import numpy as np
import pytest

if "MPLCONFIGDIR" not in os.environ:  # libraries that tests compare with import matplotlib, which writes there
    _plots = tempfile.TemporaryDirectory(prefix="segmend-tests-")
    atexit.register(_plots.cleanup)
    os.environ["MPLCONFIGDIR"] = _plots.name


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["np"] = np
