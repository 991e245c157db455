"""Teach the kept networks anew, from the same seeds."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mend import test_task
from tests.papers.refinenet import test_method
from tests.tasks import write_folder
from tests.trained import trained

KEPT = (".onnx", ".npz", ".json")


def keep(run: Path, name: str) -> None:
    """Take the weights of a run, without what is only of use to go on with it."""
    shutil.rmtree(trained(name), ignore_errors=True)
    trained(name).mkdir()
    for path in sorted(run.iterdir()):
        if path.suffix in KEPT and path.name != "run.json":
            shutil.copy(path, trained(name))


with TemporaryDirectory() as temporary:
    folder = Path(temporary)
    test_task.learn(folder / "task", write_folder(folder / "drawn", cases=16))
    keep(folder / "task", "mend_task")
    test_method.learn(folder / "refinenet")
    keep(folder / "refinenet", "refinenet")
