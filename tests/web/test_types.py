"""The types that the page is written against are those of the server."""

import os
import subprocess
import sys
from pathlib import Path

import hatch_build

WEB = Path(__file__).parent.parent.parent / "web"


def test_the_types_of_the_page_are_made_from_the_server_as_it_is():
    node = hatch_build.recent_node() or hatch_build.node_from_wheel()
    environment = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}", "PYTHON": sys.executable}

    done = subprocess.run(
        ["node", "scripts/api.mjs", "--check"], cwd=WEB, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
