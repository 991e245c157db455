"""For all tests: names for doctests, nothing in the home folder, nothing that asks how quick a machine is."""

import atexit
import os
import tempfile

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

if "MPLCONFIGDIR" not in os.environ:  # libraries that tests compare with import matplotlib, which writes there
    _plots = tempfile.TemporaryDirectory(prefix="segmend-tests-")
    atexit.register(_plots.cleanup)
    os.environ["MPLCONFIGDIR"] = _plots.name


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["np"] = np
