"""The order of the tests: `make test` gives each process a file at a time, and a long one must not be the last."""

from pathlib import Path

ROOT = Path(__file__).parent

# Files of a quarter of a minute and more on a quiet machine, the longest first. One that is missing here does no harm
# but that, at the end, one process may wait for another.
LONGEST = (
    "fuzz/test_readers.py", "continual/test_improve.py", "test_docs.py", "cli/test_unasked.py", "cli/test_many.py",
    "learning/test_loop.py", "server/test_fuzz.py", "web/test_hands.py", "web/test_accessibility.py",
    "web/test_marks.py", "web/test_whole.py", "cli/test_commands.py", "server/cases/test_slides.py",
    "web/test_files.py", "web/test_worklist.py", "web/test_views.py", "evaluation/test_compare.py",
    "viewers/test_nninteractive.py", "mend/test_weights.py", "store/test_store.py",
    "server/sessions/test_replaying.py", "cli/test_weights.py", "store/test_failures.py", "web/test_safety.py",
    "mend/learning/test_recipe.py", "server/test_kill.py", "server/protocols/test_nninteractive.py",
    "store/test_backup.py", "test_packaging.py", "server/cases/test_uploads.py", "server/sessions/test_others.py",
    "mend/learning/test_slabs.py", "landed/test_weights.py", "server/cases/test_reading.py",
    "runtime/test_warming.py", "viewers/test_dimse.py", "web/test_connection.py", "test_soak_tool.py",
    "web/test_archive.py", "web/test_types.py", "learning/test_distributed.py", "server/sessions/test_freeze.py",
    "mend/test_many_marks.py", "web/test_admin.py", "web/test_slides.py", "cli/test_machine.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Put the longest files first; what is in a file, and all other files, keep their order."""
    places = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
