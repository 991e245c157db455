"""Runs that are followed elsewhere: by the real packages, where they are installed."""

import csv
from pathlib import Path

import pytest

from segmend.errors import SettingsError
from segmend.learning import track
from segmend.learning.loop import run
from tests.learning import recipe_of_halves as recipe


def train(out: Path, steps: int, where: str) -> None:
    run(
        recipe, [], [], recipe.Settings(steps=steps, batch=2), out,
        every=2, exam=2, workers=0, threads=1, log=lambda line: None, track=where,
    )  # fmt: skip


def test_tensorboard_reads_what_the_curve_says_and_a_run_goes_on_there(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, 4, "tensorboard")
    train(tmp_path, 8, "tensorboard")

    events = EventAccumulator(str(tmp_path / track.EVENTS)).Reload()
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [one.step for one in events.Scalars("right")] == [2, 4, 6, 8]
    for name in ("loss", "right"):
        told = [one.value for one in events.Scalars(name)]
        assert told == pytest.approx([float(row[name]) for row in rows], rel=1e-5)
    assert events.Scalars("samples_per_second")[0].value > 0


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of its database
def test_mlflow_keeps_settings_and_scores_and_a_run_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "halves")

    train(tmp_path / "out", 4, "mlflow")
    train(tmp_path / "out", 8, "mlflow")

    client = mlflow.MlflowClient()
    place = client.get_experiment_by_name("halves")
    (found,) = client.search_runs([place.experiment_id])
    assert (found.info.run_name, found.info.status, found.data.params["method"]) == ("out", "FINISHED", "recipe")
    told = client.get_metric_history(found.info.run_id, "right")
    assert [one.step for one in told] == [2, 4, 6, 8]


def test_a_missing_package_and_an_unknown_tracker_are_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="track needs tensorboard or mlflow; got 'wandb'"):
        train(tmp_path / "out", 2, "wandb")
    monkeypatch.setattr(track, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"track=mlflow needs a package; .*: pip install 'mlflow-skinny'"):
        train(tmp_path / "out", 2, "mlflow")
    with pytest.raises(SettingsError, match=r"pip install 'segmend\[tensorboard\]'"):
        train(tmp_path / "out", 2, "tensorboard")

    assert not (tmp_path / "out").exists()
