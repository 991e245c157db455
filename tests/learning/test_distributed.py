"""Two real processes train as one: the same loss curve, the same batch norm, gradients that are the batch's."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segmend.errors import SettingsError
from segmend.learning.distributed import ALONE, SharedBatchNorm, World, share_batch_norms
from segmend.learning.loop import run
from tests.learning import recipe_of_halves as recipe

ROOT = Path(__file__).parent.parent.parent
TRAINS = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[1])
from tests.learning import recipe_of_halves as recipe
from segmend.learning.loop import run
from segmend.learning.distributed import join_processes
lines = []
with join_processes() as world:
    done = run(recipe, [], [], recipe.Settings(), pathlib.Path(sys.argv[2]), every=1, exam=3, workers=0, threads=1,
               log=lines.append, world=world)
    assert done.steps == 20 and set(done.scores) == {"right"} and all(path.is_file() for path in done.weights)
    assert bool(lines) == (world.rank == 0), lines
threads = [pathlib.Path(f"/proc/self/task/{task}/comm").read_text() for task in os.listdir("/proc/self/task")]
assert not [name for name in threads if "gloo" in name], "a thread of the group that outlives it may abort the process"
"""
MEASURES = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from segmend.learning.distributed import join_processes, share_batch_norms
with join_processes() as world:
    torch.manual_seed(3)
    batch = torch.randn(5, 3, 4, 2, dtype=torch.float32) * 7 + 100  # far from zero: sums of squares would lose it
    weight = torch.randn(5, 3, 4, 2)
    whole, halves = torch.nn.BatchNorm2d(3), share_batch_norms(torch.nn.Sequential(torch.nn.BatchNorm2d(3)), world)[0]
    everything, mine = batch.clone().requires_grad_(), batch[world.rank :: 2].clone().requires_grad_()
    (whole(everything) * weight).sum().backward()
    (halves(mine) * weight[world.rank :: 2]).sum().backward()
    world.sum_gradients(halves, 0.0)
    close = dict(rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.grad, everything.grad[world.rank :: 2], **close)
    torch.testing.assert_close(halves.weight.grad, whole.weight.grad, **close)
    torch.testing.assert_close(halves.bias.grad, whole.bias.grad, **close)
    torch.testing.assert_close(halves.running_mean, whole.running_mean, **close)
    torch.testing.assert_close(halves.running_var, whole.running_var, **close)
    torch.testing.assert_close(halves.eval()(batch), whole.eval()(batch), **close)

    linear = torch.nn.Linear(2, 1)
    linear.bias.requires_grad_(False)
    idle = torch.nn.Module()
    idle.first, idle.second, idle.third = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1), linear
    used = idle.first if world.rank else idle.second
    for parameter in idle.parameters():
        parameter.grad = None
    used(torch.ones(1, 2)).sum().backward()
    assert world.sum_gradients(idle, world.rank + 1.0) == 3.0
    assert idle.first.weight.grad.tolist() == idle.second.weight.grad.tolist() == [[1.0, 1.0]]
    assert linear.weight.grad is None
    assert world.broadcast(["leader"] if world.leads else None) == ["leader"]
"""


def side_by_side(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program in two processes that torchrun starts."""
    torchrun = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*torchrun, *command], capture_output=True, text=True, timeout=500, cwd=ROOT)


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in csv.DictReader((folder / "curve.csv").read_text().splitlines())]


@pytest.mark.long  # 11 s; that gradients and norms are those of one process is tested below
def test_two_processes_give_the_loss_curve_of_one(tmp_path):
    program = tmp_path / "trains.py"
    program.write_text(TRAINS)

    done = side_by_side(str(program), str(ROOT), str(tmp_path / "two"))
    run(recipe, [], [], recipe.Settings(), tmp_path / "one", every=1, exam=3, workers=0, threads=1, log=lambda _: None)

    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "one")[-1] < losses(tmp_path / "one")[0] - 0.05
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = (torch.load(tmp_path / name / "halves.pt", weights_only=True) for name in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-4)


def test_norms_gradients_and_words_of_two_processes_are_those_of_one(tmp_path):
    program = tmp_path / "measures.py"
    program.write_text(MEASURES)

    done = side_by_side(str(program), str(ROOT))

    assert done.returncode == 0, done.stderr


def test_every_sample_of_a_batch_goes_to_one_process():
    worlds = [World(rank, 3) for rank in range(3)]

    for first, count in ((0, 5), (5, 5), (7, 3)):
        parts = [world.part(first, count) for world in worlds]
        assert sorted(number for part in parts for number in part) == list(range(first, first + count))
        assert all(parts)


def test_a_batch_too_small_to_share_is_refused(tmp_path):
    settings = replace(recipe.Settings(), batch=2)

    with pytest.raises(SettingsError, match="3 processes need a batch of 3 or more samples; got 2"):
        run(recipe, [], [], settings, tmp_path / "out", world=World(0, 3))

    assert not (tmp_path / "out").exists()


def test_alone_a_network_stays_as_it_is():
    network = recipe.build(recipe.Settings())

    assert share_batch_norms(network, ALONE) is network
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())


def test_the_names_and_values_of_parameters_survive_the_change():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 1), torch.nn.Sequential(torch.nn.BatchNorm3d(4))).eval()
    network[1][0].running_mean.fill_(0.5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.randn(2, 1, 2, 3, 4)
    expected = network(image)

    changed = share_batch_norms(network, World(0, 2))

    assert isinstance(changed[1][0], SharedBatchNorm) and not changed[1][0].training
    assert list(changed.state_dict()) == list(before)
    torch.testing.assert_close(changed(image), expected)


def test_a_norm_without_memory_stays_one():
    changed = share_batch_norms(torch.nn.BatchNorm2d(3, affine=False, track_running_stats=False), World(0, 2))

    assert changed.running_mean is None and changed.weight is None
