"""The order of the tests: `make test` gives each process a file at a time, and a long one must not be the last."""

from pathlib import Path

ROOT = Path(__file__).parent

# Files of a quarter of a minute and more on a quiet machine, the longest first. One that is missing here does no harm
# but that, at the end, one process may wait for another.
LONGEST = (
    "web/test_marks.py", "continual/test_improve.py", "server/test_kill.py", "cli/test_unasked.py",
    "fuzz/test_readers.py",
    "evaluation/test_compare.py", "methods/test_marks.py", "web/test_voxels.py", "mend/test_weights.py",
    "mend/test_task.py", "learning/test_loop.py", "papers/quality/test_experiment.py",
    "methods/test_loading.py", "learning/test_distributed.py", "mend/learning/test_vessels.py",
    "methods/test_untrained.py", "papers/refinenet/test_method.py", "server/test_fuzz.py",
    "papers/bifseg/test_experiment.py", "cli/test_adapt_command.py", "mend/test_folder.py",
    "papers/iunet/test_experiment.py", "papers/editing/test_experiment.py", "papers/refinenet/test_experiment.py",
    "test_docs.py", "cli/test_weights.py", "cli/test_training.py", "test_layers.py",
    "web/test_connection.py", "web/test_safety.py", "web/test_hands.py", "viewers/test_nninteractive.py",
    "test_soak_tool.py", "cli/test_commands.py", "test_packaging.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Put the longest files first; what is in a file, and all other files, keep their order."""
    places = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
