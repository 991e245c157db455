"""How a run goes, told to TensorBoard or MLflow as well, where a person wants to compare runs there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from segmend.errors import SettingsError
from segmend.learning.checkpoint import Run, keep

EVENTS = "tensorboard"  # the folder of a run's events
MLFLOW_RUN = "mlflow_run.txt"  # holds the run's id at MLflow, so that a run that goes on is the same run there
EXPERIMENT = "segmend"
PACKAGES = {"tensorboard": "segmend[tensorboard]", "mlflow": "mlflow-skinny"}  # what to install for each

Note = Callable[[int, Mapping[str, float]], object]  # the step, values by name


def check_tracker(where: str) -> None:
    """Raise SettingsError where there is no such tracker, or its package is missing."""
    if where and where not in PACKAGES:
        raise SettingsError(f"The setting track needs {' or '.join(PACKAGES)}; got {where!r}.")
    if where and find_spec(where) is None:
        raise SettingsError(f"track={where} needs a package; install it with: pip install '{PACKAGES[where]}'.")


@contextmanager
def tracked(where: str, out: Path, run: Run, step: int) -> Iterator[Note]:
    """Give a function that notes values of a step; `where` is "tensorboard", "mlflow", or "" for nowhere.

    A run that goes on from `step` goes on there, too.

    >>> with tracked("", Path("out"), Run("mend", {}, {}), 0) as note:
    ...     note(1, {"loss": 0.5})
    """
    check_tracker(where)
    with {"": _nowhere, "tensorboard": _tensorboard, "mlflow": _mlflow}[where](out, run, step) as note:
        yield note


@contextmanager
def _nowhere(_out: Path, _run: Run, _step: int) -> Iterator[Note]:
    yield lambda step, values: None


@contextmanager
def _tensorboard(out: Path, run: Run, step: int) -> Iterator[Note]:
    """Write events beside the weights; those of steps that are done again no longer show."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(out / EVENTS), purge_step=step + 1 if step else None)
    writer.add_text("settings", json.dumps(dict(run.settings), indent=1))

    def note(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    try:
        yield note
    finally:
        writer.close()


@contextmanager
def _mlflow(out: Path, run: Run, _step: int) -> Iterator[Note]:
    """Log to where MLflow's own settings say, such as MLFLOW_TRACKING_URI; it asks nobody else."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Param

    client = MlflowClient()
    known = out / MLFLOW_RUN
    if known.is_file():
        number = known.read_text(encoding="utf-8").strip()
        client.update_run(number, "RUNNING")
    else:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = client.get_experiment_by_name(experiment)
        place = client.create_experiment(experiment) if found is None else found.experiment_id
        number = client.create_run(place, run_name=out.resolve().name).info.run_id
        settings = {"method": run.method, **run.settings}
        client.log_batch(number, params=[Param(name, str(value)[:500]) for name, value in settings.items()])
        keep(known, number.encode())
    ended = "FAILED"
    try:
        yield lambda step, values: [client.log_metric(number, key, value, step=step) for key, value in values.items()]
        ended = "FINISHED"
    finally:
        client.set_terminated(number, ended)
