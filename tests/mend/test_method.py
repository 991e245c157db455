"""mend round a three-line engine: where it looks, what it sends, and how it goes through a volume."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Mask, Stroke
from segmend.core.segmenter import answer
from segmend.errors import PromptError
from segmend.mend import plane_networks
from segmend.mend.method import Mend, MendWorkspace
from segmend.mend.plane_networks import CELLS, Networks, WindowNetworks
from segmend.mend.plane_options import PlaneOptions
from segmend.mend.plane_refine import components_near
from segmend.mend.plane_windows import object_window, snap_window
from segmend.runtime.budget import Memory
from segmend.runtime.engine import Engine
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import clip_to_window_level
from segmend.sampling.probability import expected_dice
from segmend.sampling.slice_prompts import key_index, plane_axis
from segmend.sampling.window import Window
from segmend.solvers.finetune import Head


class Eyes(Engine):
    """Reads the image as it is; remembers what it read."""

    name = "eyes"

    def __init__(self):
        self.read = []

    def run(self, inputs):
        self.read.append(inputs["x"][0])
        return {"f0": inputs["x"]}


class Bright(Engine):
    """Says: the object is what is bright, where anything is; remembers what it was asked."""

    name = "bright"

    def __init__(self):
        self.asked = []

    def run(self, inputs):
        assert len(inputs["f0"]) == len(inputs["prompts"]) == 1
        self.asked.append(np.concatenate([inputs["f0"], inputs["prompts"]], axis=1)[0])
        intensities = inputs["f0"][:, :1]
        plain = np.ptp(intensities, axis=(2, 3), keepdims=True) < 0.5
        logits = np.where(plain, -0.1, 20 * (intensities - 0.5)).astype(np.float32)
        quality = np.float32([0.3 if plain.all() else 0.95])
        return {"logits": logits, "quality": quality, "hidden": intensities, "error_logits": -np.abs(logits)}


def bright(engine=None, eyes=None, **options):
    """Without a second opinion, where a test does not ask for it: it is one pass of the networks more."""
    return Mend(Networks(eyes or Eyes(), engine or Bright()), PlaneOptions(**{"second_prediction": False} | options))


def disc_image(rows=200, columns=150, centre=(60, 90), radius=20, depth=1, thick=range(1)):
    y, x = np.ogrid[:rows, :columns]
    disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    truth = np.zeros((depth, rows, columns), bool)
    truth[list(thick)] = disc
    return np.where(truth, 100, 0).astype(np.int16), truth


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_click_on_a_bright_disc_finds_the_disc():
    voxels, truth = disc_image()
    workspace = bright().open(Image(voxels[None]))

    prediction = answer(workspace, [Click((0, 60, 90))], np.zeros_like(truth))

    assert dice(prediction.over(np.zeros_like(truth)), truth) > 0.97


def test_the_second_look_is_nearer_than_the_first():
    voxels, truth = disc_image(rows=400, columns=400, radius=15)
    engine = Bright()

    answer(bright(engine).open(Image(voxels[None])), [Click((0, 60, 90))], np.zeros_like(truth))

    assert len(engine.asked) == 7  # from six distances, then from near
    first, second = (x[0] > 0.5 for x in (engine.asked[0], engine.asked[-1]))
    assert second.sum() > 20 * first.sum()


def test_a_box_is_looked_at_from_near_at_once():
    voxels, truth = disc_image(rows=400, columns=400, radius=15)
    engine = Bright()

    prediction = answer(
        bright(engine).open(Image(voxels[None])), [Box((0, 44, 74), (1, 77, 107))], np.zeros_like(truth)
    )

    assert len(engine.asked) == 1
    assert 1 / 2**2 < engine.asked[0][7].mean() < 1 / 1.4**2
    assert prediction.box.size < truth.size / 4
    assert dice(prediction.over(np.zeros_like(truth)), truth) > 0.97


class Timid(Bright):
    """Is sure of what is bright and says that grey is rather not the object."""

    def run(self, inputs):
        intensities = inputs["f0"][:, :1]
        logits = np.select([intensities > 0.9, intensities > 0.3], [4.0, -1.0], -8.0).astype(np.float32)
        return {"logits": logits, "quality": np.float32([0.95]), "hidden": intensities, "error_logits": -np.abs(logits)}


@pytest.mark.parametrize(
    ("box", "more", "spans"),
    [
        (Box((0, 40, 70), (1, 81, 111)), [], True),
        (Box((0, 50, 80), (1, 71, 101)), [], False),  # what is bright comes near its sides already
        (Box((0, 40, 70), (1, 81, 111)), [Click((0, 60, 90))], False),
    ],
    ids=["a box alone", "a tight one", "a box and a click"],
)
def test_the_first_answer_to_a_box_comes_near_its_sides(box, more, spans):
    bright_disc, disc = (disc_image(radius=radius)[1] for radius in (10, 20))
    image = Image(np.where(bright_disc, 100, np.where(disc, 50, 0))[None].astype(np.int16))
    here = np.zeros_like(disc)

    masks = [
        answer(bright(Timid(), boundary_cut=False, span=span, finetune="off").open(image), [box, *more], here).over(
            here
        )
        for span in (False, True)
    ]

    assert dice(masks[0], bright_disc) > 0.9
    assert dice(masks[1], disc if spans else bright_disc) > 0.9


def test_a_mask_that_reaches_the_crops_edge_is_looked_at_from_further_away():
    voxels, truth = disc_image(rows=400, columns=400, centre=(200, 200), radius=80)
    engine = Bright()

    prediction = answer(
        bright(engine).open(Image(voxels[None])), [Box((0, 110, 180), (1, 150, 220))], np.zeros_like(truth)
    )

    assert len(engine.asked) > 1
    assert dice(prediction.over(np.zeros_like(truth)), truth) > 0.9


def test_a_volume_is_followed_as_far_as_the_object_goes_and_no_further():
    voxels, truth = disc_image(depth=12, thick=range(3, 9))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))

    prediction = answer(workspace, [Click((5, 60, 90))], np.zeros_like(truth))

    mask = prediction.over(np.zeros_like(truth))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [3, 4, 5, 6, 7, 8]
    assert dice(mask, truth) > 0.97


def test_the_clicked_slice_comes_first():
    voxels, truth = disc_image(depth=12, thick=range(3, 9))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))

    parts = list(workspace.stream([Click((5, 60, 90))], np.zeros_like(truth)))

    assert [(part.box.low[0], part.box.high[0]) for part in parts[:3]] == [(5, 6), (4, 5), (6, 7)]


def test_a_flat_box_in_another_plane_is_answered_in_that_plane():
    voxels, truth = disc_image(rows=60, columns=50, centre=(30, 20), radius=9, depth=1)
    turned = np.ascontiguousarray(np.repeat(voxels, 7, axis=0).transpose(1, 0, 2))  # the disc lies across axis 1
    workspace = bright().open(Image(turned[None]))

    part = next(workspace.stream([Box((20, 3, 10), (40, 4, 30))], np.zeros(turned.shape, bool)))

    assert (part.box.low[1], part.box.high[1]) == (3, 4)
    assert part.mask.sum() == pytest.approx(truth.sum(), rel=0.05)


def test_a_3d_box_holds_the_mask_between_its_slices():
    voxels, truth = disc_image(depth=12, thick=range(12))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))

    prediction = answer(workspace, [Box((4, 38, 68), (7, 83, 113))], np.zeros_like(truth))

    assert np.flatnonzero(prediction.over(np.zeros_like(truth)).any(axis=(1, 2))).tolist() == [4, 5, 6]


def test_a_slice_with_marks_of_its_own_is_left_as_it_is():
    voxels, truth = disc_image(depth=9, thick=range(9))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))

    before = np.zeros_like(truth)
    before[1, 60, 90] = True  # the older click was obeyed

    parts = list(workspace.stream([Click((1, 60, 90)), Click((4, 60, 90))], before))

    assert min(part.box.low[0] for part in parts) == 2


def test_strokes_given_together_are_answered_in_each_of_their_slices_and_carried_to_the_rest():
    voxels, truth = disc_image(depth=9, thick=range(9))
    voxels[5] = 0  # the object is not to be seen where the negative stroke is
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))
    strokes = [Stroke(((z, 60, 86), (z, 60, 94))) for z in (1, 7, 3)]
    beside = Stroke(((5, 60, 86), (5, 60, 94)), positive=False)

    parts = list(workspace.stream([beside, *strokes], np.zeros_like(truth)))

    assert [part.box.low[0] for part in parts[:3]] == [3, 1, 7]
    mask = answer(workspace, [beside, *strokes], np.zeros_like(truth)).over(np.zeros_like(truth))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
    assert dice(mask[[1, 3, 7]], truth[[1, 3, 7]]) > 0.97


def test_a_stroke_through_slices_is_answered_in_each():
    voxels, truth = disc_image(depth=9, thick=range(9))
    voxels[[1, 7]] = 0  # so that nothing is carried beyond
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))

    parts = list(workspace.stream([Stroke(((2, 60, 90), (6, 62, 94)))], np.zeros_like(truth)))

    assert [part.box.low[0] for part in parts[:5]] == [4, 3, 5, 2, 6]
    assert all(part.mask.sum() > 1000 for part in parts[:5])


def test_a_mask_from_elsewhere_is_taken_as_it_is():
    voxels, truth = disc_image()
    previous = np.zeros_like(truth)
    previous[0, 150:160, 5:15] = True
    low = (0, 40, 70)

    prediction = answer(bright().open(Image(voxels[None])), [Mask(truth[:, 40:80, 70:110], low)], previous)

    np.testing.assert_array_equal(prediction.over(previous), truth)


def test_a_lasso_enters_through_the_mask_so_far():
    engine = Bright()
    voxels, truth = disc_image()
    points = tuple((0, y, x) for y, x in ((40, 70), (40, 110), (80, 110), (80, 70)))

    answer(bright(engine).open(Image(voxels[None])), [Lasso(points)], np.zeros_like(truth))

    assert engine.asked[0][4].sum() > 1000


def test_marks_are_drawn_where_they_were_put():
    window = Window(10, 20, 64, 64)
    prompts = [Click((0, 42, 52)), Click((0, 20, 30), positive=False), Stroke(((0, 60, 60), (0, 60, 80)))]

    positive, negative, box = plane_prompt_channels(prompts, 0, 0, window, CELLS)

    assert positive[65, 65] == 1 and negative[21, 21] == 1 and not box.any()
    assert positive[101, 81:121].all()


def test_marks_of_other_slices_are_not_drawn():
    assert not plane_prompt_channels([Click((3, 5, 5))], 0, 2, Window(0, 0, 10, 10), CELLS).any()


def test_extreme_points_are_a_box_and_marks():
    points = ((0, 2, 5), (0, 8, 5), (0, 5, 2), (0, 5, 8))

    positive, _, box = plane_prompt_channels([Extremes(points)], 0, 0, Window(0, 0, 10, 10), 10)

    assert box.sum() == 49
    assert positive[2, 5] == positive[5, 8] == 1


def test_the_axis_follows_the_thick_slices():
    coronal = Image(np.zeros((1, 20, 6, 30)), scale_affine((1, 4, 1)))

    assert plane_axis(Click((3, 3, 3)), coronal) == 1
    assert key_index(Box((2, 0, 1), (6, 6, 9)), 0) == 4


def test_a_constant_image_gives_an_answer_without_warnings():
    workspace = bright().open(Image(np.full((1, 1, 40, 30), 7, np.uint8)))

    prediction = answer(workspace, [Click((0, 5, 5))], np.zeros((1, 40, 30), bool))

    assert prediction.over(np.zeros((1, 40, 30), bool))[0, 5, 5]


def test_no_prompts_are_refused():
    workspace = MendWorkspace(bright().planes, Image(np.zeros((1, 1, 4, 4))))

    with pytest.raises(PromptError, match="needs at least one prompt"):
        workspace.predict([], np.zeros((1, 4, 4), bool))


def test_the_expected_dice_of_a_sure_mask_is_one_and_of_none_is_unknown():
    assert expected_dice(np.ones((1, 2, 2), np.float32)) == 1.0
    assert expected_dice(np.zeros((1, 2, 2), np.float32)) is None


class Believes(Bright):
    """Says what the mask so far says, if there is any; else the object is what is bright."""

    def run(self, inputs):
        found = super().run(inputs)
        so_far = inputs["prompts"][:, :1]
        return found | ({"logits": 20 * (so_far - 0.5)} if (so_far > 0.5).any() else {})


def test_a_second_opinion_is_uncertain_of_what_the_mask_so_far_says():
    voxels, truth = disc_image()
    wrong = np.roll(truth, 12, axis=1)

    clicks = [Click((0, 70, 90)), Click((0, 68, 90))]
    prediction = answer(bright(Believes(), second_prediction=True).open(Image(voxels[None])), clicks, wrong)

    uncertainty = np.zeros(truth.shape)
    uncertainty[prediction.box.slices] = prediction.uncertainty
    mask = prediction.over(wrong)
    inside = np.zeros(truth.shape, bool)
    inside[prediction.box.slices] = True
    assert (mask != truth).sum() > 400
    assert uncertainty[(mask != truth) & inside].mean() > 0.5
    assert uncertainty[(mask == truth) & inside].mean() < 0.05


def test_a_second_opinion_from_where_marks_were_looked_at_asks_nothing_anew():
    voxels, truth = disc_image(rows=400, columns=400, radius=15)
    engine, eyes = Bright(), Eyes()
    click, nothing = [Click((0, 60, 90))], np.zeros_like(truth)

    prediction = answer(bright(engine, eyes, second_prediction=True).open(Image(voxels[None])), click, nothing)

    assert (
        len(engine.asked) == 7 and len(eyes.read) == 6
    )  # from six distances, then from near; from the fifth it is known
    assert prediction.uncertainty.any()


def test_windows_that_are_not_looked_through_again_go_first_when_room_is_needed(monkeypatch):
    monkeypatch.setattr(plane_networks, "MEMORY", memory := Memory(10**9))
    voxels, truth = disc_image(rows=400, columns=400, radius=15)
    eyes, clicks = Eyes(), [Click((0, 60, 90)), Click((0, 55, 85))]
    both = [bright(eyes=eyes, second_prediction=True).open(Image(voxels[None])) for _ in range(2)]
    masks = [play(workspace, clicks[:1], np.zeros_like(truth)) for workspace in both]
    assert len(eyes.read) == 12

    memory.limit_bytes = 4 * memory.size_bytes // 12  # room for each object's window and the one that is twice as wide
    for workspace, mask in zip(both, masks, strict=True):
        answer(workspace, clicks, mask)

    assert len(eyes.read) == 12


def test_a_correction_leaves_what_is_far_from_it_alone():
    voxels, truth = disc_image(depth=9, thick=range(9))
    previous = truth.copy()
    previous[:, 150:170, 20:40] = True  # a second piece, far from the disc, that the engine would drop
    previous[4, 150:170, 20:40] = False
    previous[4, 60:70, 80:90] = False
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))

    mask = answer(workspace, [Click((4, 65, 85))], previous).over(previous)

    assert mask[4, 65, 85]
    assert mask[:4, 150:170, 20:40].all() and mask[5:, 150:170, 20:40].all()


def test_intensities_far_from_the_middle_do_not_flatten_it():
    seen = np.full((1, 9, 9), -1000.0, np.float32)
    seen[0, 3:6, 3:6] = [[0, 10, 20], [30, 40, 50], [60, 70, 80]]

    out = clip_to_window_level(np.repeat(np.repeat(seen, 3, axis=1), 3, axis=2), np.ones((27, 27), bool))

    assert out.min() > -100 and np.ptp(out[0, 9:18, 9:18]) == 80


def test_a_slice_with_another_objects_mark_does_not_stop_the_carrying():
    voxels, truth = disc_image(depth=9, thick=range(9))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))
    elsewhere = Click((6, 150, 20), positive=False)

    prediction = answer(workspace, [elsewhere, Click((4, 60, 90))], np.zeros_like(truth))

    assert prediction.over(np.zeros_like(truth)).any(axis=(1, 2)).all()


def test_a_negative_mark_far_away_does_not_widen_the_look():
    voxels, truth = disc_image(rows=400, columns=400, radius=15)
    engine = Bright()

    answer(bright(engine).open(Image(voxels[None])), [Click((0, 390, 390), positive=False), Click((0, 60, 90))], truth)

    assert (engine.asked[0][4] > 0.5).mean() > 0.2


def test_a_negative_click_on_an_empty_slice_changes_nothing_but_itself():
    voxels, truth = disc_image(depth=9, thick=range(3))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))
    prompts = [Box((1, 38, 68), (2, 83, 113)), Click((7, 60, 90), positive=False)]

    mask = answer(workspace, prompts, truth).over(truth)

    assert not mask[7, 60, 90]


def play(workspace, prompts, previous):
    for count in range(1, len(prompts) + 1):
        previous = answer(workspace, prompts[:count], previous).over(previous)
    return previous


def test_a_click_that_leaves_the_object_its_size_reads_nothing_anew():
    voxels, truth = disc_image(rows=400, columns=400, radius=15)
    eyes = Eyes()
    workspace = bright(eyes=eyes).open(Image(voxels[None]))
    mask = play(workspace, [Click((0, 60, 90)), Click((0, 55, 85))], np.zeros_like(truth))
    before = len(eyes.read)

    clicks = [Click((0, 60, 90)), Click((0, 55, 85)), Click((0, 66, 92)), Click((0, 60, 120), positive=False)]
    answer(workspace, clicks[:3], mask)
    answer(workspace, clicks, mask)

    assert len(eyes.read) == before


def test_a_picture_is_read_as_a_whole_while_nobody_waits_and_a_volume_is_not():
    flat, deep = Eyes(), Eyes()

    opened = [
        bright(eyes=flat).open(Image(np.zeros((1, 1, 40, 50), np.uint8))),
        bright(eyes=deep).open(Image(np.zeros((1, 7, 40, 50), np.uint8))),
    ]
    assert (len(flat.read), len(deep.read)) == (0, 0)
    for workspace in opened:
        workspace.prepare()

    assert (len(flat.read), len(deep.read)) == (1, 0)


def test_what_was_read_does_not_change_the_answer():
    voxels, truth = disc_image(rows=300, columns=260, radius=25)
    kept = bright().open(Image(voxels[None]))
    clicks = [Click((0, 60, 90)), Click((0, 90, 95), positive=False), Click((0, 50, 80))]
    mask = np.zeros_like(truth)

    for count in range(1, 4):
        fresh = answer(bright().open(Image(voxels[None])), clicks[:count], mask)
        again = answer(kept, clicks[:count], mask)

        np.testing.assert_array_equal(fresh.probability, again.probability)
        mask = fresh.over(mask)


@settings(deadline=None, max_examples=80)
@given(
    top=st.integers(0, 150),
    left=st.integers(0, 180),
    height=st.integers(1, 150),
    width=st.integers(1, 120),
    aspect=st.floats(0.5, 2),
)
def test_the_window_of_an_object_leaves_room_round_it(top, left, height, width, aspect):
    image = Image(np.zeros((1, 1, 300, 300), np.uint8), scale_affine((1, aspect, 1)))
    windows = WindowNetworks(bright().planes, image)

    window = object_window(windows, (top, left, top + height, left + width), 0)

    frame = windows.whole_window(0)
    assert window == frame or (
        window.top <= top - 0.05 * height
        and window.left <= left - 0.05 * width
        and window.bottom >= top + 1.05 * height
        and window.right >= left + 1.05 * width
    )
    assert window.width <= max(2.001 * max(height * windows.aspect(0), width, 24), 1)
    assert window.height * windows.aspect(0) == pytest.approx(window.width)


def test_a_small_change_of_the_object_keeps_its_window():
    image = Image(np.zeros((1, 1, 300, 400), np.uint8))
    windows = WindowNetworks(bright().planes, image)

    assert object_window(windows, (40, 50, 93, 104), 0) == object_window(windows, (41, 49, 94, 103), 0)


class Fine(Bright):
    """Sees a thin line only where its cells are as fine as pixels."""

    def run(self, inputs):
        found = super().run(inputs)
        found["logits"] = np.where(inputs["f0"][:, :1] > 0.85, 9, -9).astype(np.float32)
        return found


def lined_image():
    truth = np.zeros((1, 600, 600), bool)
    truth[0, 100:500, 100:500] = True
    mask = truth.copy()
    mask[0, 300, 500:560] = truth[0, 300, 500:560] = True
    return np.where(truth, 100, 0).astype(np.int16), truth, mask


def test_a_large_object_is_looked_at_again_from_near_at_the_newest_mark_and_mended_nowhere_else():
    voxels, truth, _ = lined_image()
    previous = np.zeros_like(truth)
    previous[0, 100:500, 100:500] = True
    click = Click((0, 300, 530))

    blunt, sharp = (
        answer(bright(Fine(), near=near, hold=False).open(Image(voxels[None])), [click], previous) for near in (0, 1)
    )

    assert not blunt.over(previous)[0, 300, 515:525].any()
    mask = sharp.over(previous)
    assert mask[0, 300, 505:550].all()
    different = np.argwhere(mask != blunt.over(previous))
    assert (abs(different - (0, 300, 530)) <= 75).all()


def test_a_small_object_is_not_looked_at_again():
    voxels, truth = disc_image(radius=20)
    engine = Bright()

    answer(bright(engine).open(Image(voxels[None])), [Click((0, 60, 90))], truth)

    assert len(engine.asked) == 1


class Slow(Bright):
    """Finds the object a little better each time it is shown its own mask."""

    def run(self, inputs):
        found = super().run(inputs)
        share = float(inputs["prompts"][:, :1].mean() / max((inputs["f0"][:, :1] > 0.5).mean(), 0.01))
        return found | {"quality": np.float32([min(0.5 + 0.4 * share, 0.9)])}


@pytest.mark.parametrize(("again", "asked"), [(0, 1), (1, 2), (2, 3)])
def test_it_asks_again_with_its_own_mask_while_that_promises_more(again, asked):
    voxels, truth = disc_image(radius=20)
    engine = Slow()
    box = Box((0, 38, 68), (1, 83, 113))

    prediction = answer(bright(engine, again=again).open(Image(voxels[None])), [box], np.zeros_like(truth))

    assert len(engine.asked) == asked
    assert prediction.quality == pytest.approx(0.5 if again == 0 else 0.9, abs=0.03)


def test_a_sure_answer_is_not_asked_for_again():
    voxels, truth = disc_image(radius=20)
    engine = Bright()

    prediction = answer(bright(engine).open(Image(voxels[None])), [Box((0, 38, 68), (1, 83, 113))], truth)

    assert len(engine.asked) == 1
    assert prediction.quality == pytest.approx(0.95)
    assert prediction.uncertainty is not None and prediction.uncertainty.shape == prediction.box.shape


def test_an_empty_mask_has_no_quality():
    workspace = bright(Fine()).open(Image(np.zeros((1, 1, 40, 50), np.uint8)))

    assert next(workspace.stream([Click((0, 5, 5))], np.zeros((1, 40, 50), bool))).quality is None


def test_the_quality_of_a_volume_is_that_of_its_slices_less_for_those_far_from_marks():
    voxels, truth = disc_image(depth=6, thick=range(6))
    image = Image(voxels[None], scale_affine((4, 1, 1)))
    clicks = [Click((z, 60, 90)) for z in range(6)]

    alone = answer(bright().open(image), clicks[3:4], truth & False)
    box = answer(bright().open(image), [Box((0, 40, 70), (6, 80, 110))], truth & False)
    every = answer(bright().open(image), clicks, truth)
    first = answer(bright().open(Image(voxels[None, :1])), clicks[:1], truth[:1] & False)

    assert alone.quality == pytest.approx(0.95 * 0.82**1.5)  # three, two, one, none, one, two slices away
    assert box.quality == pytest.approx(alone.quality)
    assert every.quality == pytest.approx(0.95)
    assert first.quality == pytest.approx(0.95)


class Wrong(Bright):
    """Calls everything the object; its hidden features say where the bright things are."""

    def run(self, inputs):
        hidden = np.concatenate([inputs["f0"][:, :1], np.ones_like(inputs["f0"][:, :1])], axis=1)
        logits = HEAD.logits(hidden[0])[None, None]
        return {"logits": logits, "quality": np.float32([0.5]), "hidden": hidden, "error_logits": -np.abs(logits)}


HEAD = Head((np.array([[3.0, 0.02]], np.float32),), (np.zeros(1, np.float32),))


@pytest.mark.parametrize("finetune", ["off", "auto", "on"])
def test_marks_that_disagree_teach_the_last_layers_this_image(finetune):
    voxels, truth = disc_image(rows=120, columns=120, centre=(60, 60), radius=20)
    workspace = Mend(Networks(Eyes(), Wrong(), HEAD), PlaneOptions(near=False, again=0)).open(Image(voxels[None]))
    box = Box((0, 35, 35), (1, 85, 85))
    sides = (((37, 37), (37, 83)), ((83, 37), (83, 83)), ((37, 37), (83, 37)), ((37, 83), (83, 83)))
    strokes = [Stroke(tuple((0, y, x) for y, x in side), positive=False) for side in sides]

    inner = Stroke(((0, 60, 45), (0, 60, 75)))

    found = answer(workspace.with_finetuning(finetune), [box, inner, *strokes], np.zeros_like(truth))

    mask = found.over(np.zeros_like(truth))
    assert (dice(mask, truth) > 0.9) == found.finetuned == (finetune != "off")
    assert mask[0, 60, 60]


def test_marks_that_agree_teach_nothing():
    voxels, truth = disc_image(rows=120, columns=120, centre=(60, 60), radius=20)
    workspace = Mend(Networks(Eyes(), Wrong(), HEAD), PlaneOptions()).open(Image(voxels[None]))

    prompts = [Box((0, 35, 35), (1, 85, 85)), Click((0, 60, 60))]

    prediction = answer(workspace, prompts, np.zeros_like(truth))

    assert prediction.mask.all() and not prediction.finetuned
    assert answer(workspace.with_finetuning("on"), prompts, np.zeros_like(truth)).finetuned
    assert not answer(
        workspace.with_finetuning("on"), prompts[:1], np.zeros_like(truth)
    ).finetuned  # nothing to learn from yet
    assert not answer(workspace.with_finetuning("on").with_finetuning("auto"), prompts, np.zeros_like(truth)).finetuned


NUDGES = (-0.5, -0.1, 0.0, 0.1, 0.5)


def test_an_adjustment_moves_the_boundary_and_zero_moves_nothing():
    voxels, truth = disc_image()
    far = np.zeros_like(truth)
    far[0, 150:170, 20:40] = True
    workspace = bright().open(Image(voxels[None]))

    masks = [answer(workspace, [Click((0, 60, 90)), Adjust(k)], truth).over(truth) for k in NUDGES]

    np.testing.assert_array_equal(masks[2], truth)
    for small, large in pairwise(masks):
        assert not (small & ~large).any()
    assert [mask.sum() for mask in masks] == pytest.approx([truth.sum() * (1 + k) for k in NUDGES], abs=1)


def test_an_adjustment_keeps_marks_and_works_in_a_volume():
    voxels, truth = disc_image(depth=5, thick=range(1, 4))
    workspace = bright().open(Image(voxels[None], scale_affine((4, 1, 1))))
    edge = Click((2, 60, 109))
    beside = Click((2, 60, 111), positive=False)

    smaller, larger = (answer(workspace, [edge, beside, Adjust(k)], truth).over(truth) for k in (-0.5, 0.4))

    assert smaller[2, 60, 109] and not larger[2, 60, 111]
    assert smaller.sum() < truth.sum() < larger.sum()


def test_an_adjustment_of_nothing_is_nothing():
    workspace = bright().open(Image(np.zeros((1, 1, 20, 30), np.uint8)))
    empty = np.zeros((1, 20, 30), bool)

    assert not answer(workspace, [Adjust(0.5)], empty).over(empty).any()


def test_an_older_lasso_is_not_drawn_again():
    voxels, truth = disc_image()
    engine = Bright()
    points = tuple((0, y, x) for y, x in ((40, 70), (40, 110), (80, 110), (80, 70)))
    previous = np.zeros_like(truth)
    previous[0, 58:62, 88:92] = True

    answer(bright(engine).open(Image(voxels[None])), [Lasso(points), Click((0, 60, 90))], previous)

    assert previous[0, 40:81, 70:111].sum() == 16
    assert engine.asked[0][4].sum() < 600


def test_the_frame_is_the_ladders_top():
    frame = WindowNetworks(bright().planes, Image(np.zeros((1, 1, 30, 50), np.uint8))).whole_window(0)

    assert snap_window(frame, 15, 25, 49) == frame
    assert snap_window(frame, 15, 25, 25).width == 25


class Restless(Bright):
    """Also sees something new far from every mark."""

    def run(self, inputs):
        found = super().run(inputs)
        found["logits"][..., 5:15, 5:15] = 9
        return found


@pytest.mark.parametrize("marks", [1, 2])
@pytest.mark.parametrize("hold", [True, False])
def test_a_click_changes_nothing_of_a_mask_far_from_it(marks, hold):
    voxels, truth = disc_image(rows=120, columns=120, centre=(60, 60), radius=30)
    previous = truth.copy()
    previous[0, 55:65, 80:95] = False
    clicks = [Click((0, 60, 60)), Click((0, 60, 88))][-marks:]

    mask = answer(bright(Restless(), boundary_cut=False, hold=hold).open(Image(voxels[None])), clicks, previous).over(
        previous
    )

    assert dice(mask[:, 40:], truth[:, 40:]) > 0.97
    assert bool((mask & ~truth)[0, :30, :40].any()) != hold


@pytest.mark.parametrize(("marks", "believed"), [(2, True), (3, False)])
def test_a_large_change_by_a_third_mark_is_accepted_near_it_only(marks, believed):
    y, x = np.ogrid[:120, :120]
    left, right = ((y - 60) ** 2 + (x - at) ** 2 < 15**2 for at in (35, 75))
    bridge = (abs(y - 60) < 6) & (x > 40) & (x < 70)
    voxels = np.where(left | right | bridge, 100, 0).astype(np.int16)[None]
    clicks = [Click((0, 60, 35)), Click((0, 55, 30)), Click((0, 60, 53))][-marks:]

    mask = answer(bright(boundary_cut=False).open(Image(voxels[None])), clicks, left[None]).over(left[None])[0]

    assert mask[left].mean() > 0.97
    assert mask[60, 53]  # four pixels from the mask: six round it change, or all
    assert mask[60, 57]
    assert (mask[right].mean() > 0.9) == believed
    assert mask[:, 62:].any() == believed


@pytest.mark.parametrize("inside", [40, 76])
def test_the_first_mark_on_a_mask_from_elsewhere_changes_it_widely_only_where_the_answer_is_better(inside):
    voxels, truth = disc_image(rows=120, columns=120, centre=(60, 60), radius=30)
    started = truth & (np.arange(120) < inside)  # little of the disc, of which the answer is another object; or most
    prompts = [Mask(started), Click((0, 60, inside + 4))]

    mask = answer(bright(boundary_cut=False).open(Image(voxels[None])), prompts, started).over(started)

    assert mask[0, 60, inside + 4]
    assert (mask & truth & ~started).any() and not (mask & ~truth).any()
    assert (dice(mask, truth) > 0.97) == (inside == 76)


def test_a_later_mark_on_a_mask_from_elsewhere_changes_little_far_from_it():
    voxels, truth = disc_image(rows=120, columns=120, centre=(60, 60), radius=30)
    started = truth & (np.arange(120) < 76)
    prompts = [Mask(started), Click((0, 60, 60)), Click((0, 60, 80))]

    mask = answer(bright(boundary_cut=False).open(Image(voxels[None])), prompts, started).over(started)

    assert mask[0, 60, 82]
    assert not mask[0, 45, 77:].any()


def test_a_mask_from_elsewhere_keeps_the_details_that_are_finer_than_cells():
    voxels, truth, _ = lined_image()
    started = truth.copy()
    started[0, 300, 502:560:2] = False  # every second pixel
    prompts = [Mask(started), Click((0, 200, 515))]

    mask = answer(bright(boundary_cut=False).open(Image(voxels[None])), prompts, started).over(started)

    np.testing.assert_array_equal(mask[0, 290:310, 520:], started[0, 290:310, 520:])


def test_a_change_is_kept_where_it_reaches_a_mark():
    changed = np.array([[1, 1, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]], bool)

    assert components_near(changed, np.array([[2, 3]]), 0).sum() == 3
    assert components_near(changed, np.array([[1, 2]]), 1).sum() == 5
    assert not components_near(changed, np.array([[-9, 2]]), 3).any()


@settings(deadline=None, max_examples=60)
@given(row=st.integers(0, 599), column=st.integers(0, 599), positive=st.booleans())
def test_a_mark_anywhere_can_be_looked_at_from_near(row, column, positive):
    truth = np.zeros((1, 600, 600), bool)
    truth[0, 20:220, 330:560] = True
    workspace = bright().open(Image(np.where(truth, 100, 0).astype(np.int16)[None]))

    mask = answer(workspace, [Click((0, row, column), positive)], truth).over(truth)

    assert mask[0, row, column] == positive
    assert dice(mask, truth) > 0.8  # the robot calls what is all of one tone no object, and mends so much of it
