"""Networks that learned drawn shapes, kept so that the tests of their use need not wait until they have.

`python -m tests.trained` makes them anew; `make test-long` teaches others and asks the same of them.
"""

from pathlib import Path

HERE = Path(__file__).parent


def trained(name: str) -> Path:
    """Return the folder of a network's weights, which nothing may change."""
    return HERE / name
