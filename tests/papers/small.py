"""Networks so small that a paper's whole experiment runs in seconds, all of its arms on drawn cases."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import pytest


def make_small(patch: pytest.MonkeyPatch, recipe: ModuleType, **sizes: Any) -> None:
    """Let the usual settings of a recipe have these sizes; what an experiment itself asks for stays."""
    patch.setattr(recipe, "Settings", partial(recipe.Settings, **sizes))
