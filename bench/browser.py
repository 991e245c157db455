"""The browser of this machine, as the tests find it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.web.driving import CHROMIUM

PATH: str = str(CHROMIUM["executable_path"])
