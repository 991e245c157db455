"""The grid search: what serves the tasks best wins, and the paper's values where nothing does better."""

from dataclasses import replace

import numpy as np

from segmend.core.image import Box
from segmend.core.masks import dice
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.papers.bifseg.crop_grid import Grid
from segmend.papers.bifseg.method import TUNINGS, Crop, refined
from segmend.papers.bifseg.search import GRIDS, KERNELS, Task, best_kernels, best_tuning, settings_of
from segmend.solvers.finetune import Head


def crop_of_square(noise=0.1):
    truth = np.zeros((1, 24, 32), bool)
    truth[0, 6:18, 8:24] = True
    tones = (np.where(truth, 1.0, -0.6) + np.random.default_rng(0).normal(0, noise, truth.shape)).astype(np.float32)
    features = np.stack([np.maximum(tones, 0), np.maximum(-tones, 0)])
    head = Head((np.array([[4, -4]], np.float32),), (np.zeros(1, np.float32),))
    return Crop(Grid(Box((0, 0, 0), (1, 24, 32)), (1, 24, 32)), (1.0, 1.0, 1.0), tones, features), head, truth


def test_every_setting_of_the_paper_is_in_the_grids_and_its_value_is_the_first():
    flat, deep = ({name: values[0] for grid in GRIDS[n] for name, values in grid.items()} for n in (2, 3))

    assert flat == {"sigma": 0.1, "near": 0.2, "smoothness": 3.0, "low": 0.2, "high": 0.7, "marks": 5.0}
    assert deep == flat | {"smoothness": 10.0, "high": 0.6}
    assert list(settings_of({"low": (1.0, 2.0), "high": (3.0,)})) == [
        {"low": 1.0, "high": 3.0},
        {"low": 2.0, "high": 3.0},
    ]


def test_the_setting_that_serves_best_is_chosen_and_the_first_where_all_are_equal():
    crop, head, truth = crop_of_square()
    task = Task(crop, np.zeros(truth.shape, np.uint8), lambda labels: dice(truth, labels > 0.5))
    usual, said = replace(TUNINGS[2], guarded=False), []
    steep = {"smoothness": (300.0, 1.0), "sigma": (5.0,)}  # a boundary that costs too much cuts the square away

    chosen = best_tuning([task], head, usual, (steep, {"marks": (5.0, 20.0)}), log=said.append)

    assert (chosen.smoothness, chosen.marks) == (1.0, 5.0)
    assert len(said) == 3  # what is known already is not asked again
    assert best_kernels([task], head) in KERNELS


def test_a_scribble_that_reaches_over_the_object_does_not_make_it_fall_to_nothing():
    """With an epsilon that wide no voxel of the object counts: from the background alone all becomes background."""
    crop, head, truth = crop_of_square()
    weak = Head((head.weights[0] * 0.25,), head.biases)
    marked = np.zeros(truth.shape, np.uint8)
    marked[0, 2, 3:29] = BACKGROUND
    wide = replace(TUNINGS[2], near=9.0, low=0.45, high=0.55, rate=0.3)

    kept = refined(crop, weak, marked, "finetune", wide)
    fallen = refined(crop, weak, marked, "finetune", replace(wide, guarded=False))

    assert not fallen.labels.any()  # the fault that is kept out
    assert dice(kept.labels, truth) > 0.9
    assert not kept.labels[0, 2, 3:29].any()
    assert kept.head is weak


def test_an_update_after_which_marks_are_denied_is_left_out():
    crop, head, truth = crop_of_square()
    marked = np.zeros(truth.shape, np.uint8)
    marked[0, 12, 10:20] = FOREGROUND
    marked[0, 2, 3:29] = BACKGROUND
    wild = replace(TUNINGS[2], rate=3e3)

    kept = refined(crop, head, marked, "finetune", wild)

    assert (kept.probability[marked == FOREGROUND] > 0.5).all()
    assert (kept.probability[marked == BACKGROUND] < 0.5).all()
    assert dice(kept.labels, truth) > 0.9


def test_a_first_cut_that_takes_everything_away_is_left_out():
    crop, head, truth = crop_of_square()
    marked = np.zeros(truth.shape, np.uint8)
    marked[0, 20, 2:30] = BACKGROUND
    costly = replace(TUNINGS[2], smoothness=300.0, sigma=9.0)

    for refinement in ("finetune", "unweighted", "cut"):
        assert dice(refined(crop, head, marked, refinement, costly).labels, truth) > 0.9
    assert not refined(crop, head, marked, "cut", replace(costly, guarded=False)).labels.any()


def test_in_volumes_no_mark_is_lost_and_no_object_falls_to_nothing_whatever_the_scribbles():
    """Networks that are hardly sure, and strokes anywhere: the rounds of the shipped settings keep both."""
    fallen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = np.zeros((5, 10, 12), bool)
        truth[1:4, 3:7, 3:9] = True
        tones = np.asarray(np.where(truth, 1.0, -0.6) + rng.normal(0, 1.0, truth.shape), np.float32)
        weights = np.array([[1, -1]], np.float32) + rng.normal(0, 0.4, (1, 2)).astype(np.float32)
        head = Head((weights,), (rng.normal(0, 0.5, 1).astype(np.float32),))
        features = np.stack([np.maximum(tones, 0), np.maximum(-tones, 0)])
        crop = Crop(Grid(Box((0, 0, 0), truth.shape), truth.shape), (1.0, 1.0, 1.0), tones, features)
        marked = np.zeros(truth.shape, np.uint8)
        z, y = rng.integers(0, (5, 10))
        marked[z, y, 1:11] = rng.choice([FOREGROUND, BACKGROUND])
        wild = replace(TUNINGS[3], near=float(rng.choice([0.05, 9.0])), rate=float(rng.choice([0.01, 3.0])))

        first = refined(crop, head, marked, "network", wild).labels & (marked == 0)
        for refinement in ("finetune", "unweighted", "cut"):
            labels = refined(crop, head, marked, refinement, wild).labels
            assert labels[marked == FOREGROUND].all() and not labels[marked == BACKGROUND].any()
            assert not first.any() or (labels & (marked == 0)).any(), (seed, refinement)
        fallen += not refined(crop, head, marked, "finetune", replace(wild, guarded=False)).labels.any()

    assert fallen  # the fault that is kept out


def test_in_a_box_an_object_that_the_network_does_not_find_is_where_it_is_likeliest():
    crop, head, truth = crop_of_square()
    shy = Head(head.weights, (np.array([-12.0], np.float32),))
    marked = np.zeros(truth.shape, np.uint8)
    marked[0, 2, 3:29] = BACKGROUND

    said = {
        (refinement, expected): refined(crop, shy, marked, refinement, TUNINGS[2], expected=expected).labels
        for refinement in ("finetune", "cut")
        for expected in (True, False)
    }

    assert not shy.probability(crop.features).max() > 0.5
    for refinement in ("finetune", "cut"):
        assert not said[refinement, False].any()
        assert dice(said[refinement, True], truth) > 0.9
        assert not said[refinement, True][marked == BACKGROUND].any()
