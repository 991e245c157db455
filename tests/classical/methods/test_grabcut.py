import numpy as np
import pytest

from segmend import methods
from segmend.classical.methods.grabcut import grabcut, sharpness
from segmend.classical.solvers.unary import crop_view, request_of, solver_input
from segmend.core.image import Box, Image
from segmend.core.prompts import Click, Stroke
from tests.methods.scenes import Scene, ask, ball, dice, disc, two_toned

SEGMENTER = methods.load("grabcut")


def patchwork(seed=0):
    """An object of blue and yellow patches on grey and brown ground: neither side has one colour."""
    random = np.random.default_rng(seed)
    y, x = np.ogrid[:90, :130]
    truth = ((y - 44) / 24) ** 2 + ((x - 60) / 36) ** 2 < 1
    patches = ((y // 11 + x // 13) % 2).astype(bool)
    colours = np.array([[[120, 120, 120], [110, 80, 50]], [[60, 80, 170], [190, 170, 70]]], float)
    voxels = colours[truth.astype(int), patches.astype(int)] + random.normal(0, 9, (90, 130, 3))
    return Scene(Image(voxels.clip(0, 255).astype(np.uint8).transpose(2, 0, 1)[:, None]), truth[None])


def framed(scene, box):
    request = request_of([box], np.zeros(scene.truth.shape, bool))
    return solver_input(crop_view(scene.image, box.grown(8).clipped(scene.image.shape), most=1 << 16), request)


def test_a_box_finds_an_object_of_two_colours_on_ground_of_two_colours():
    scene = patchwork()

    mask = ask(SEGMENTER, scene, [Box((0, 12, 17), (1, 76, 104))])

    assert dice(scene, mask) > 0.97


@pytest.mark.parametrize("scene", [patchwork(), disc(noise=30), ball(noise=40)], ids=["patches", "disc", "ball"])
def test_the_energy_never_rises(scene):
    inner = np.argwhere(scene.truth)
    low, high = inner.min(axis=0) - 3, inner.max(axis=0) + 4
    box = Box(tuple(low.tolist()), tuple(high.tolist())).clipped(scene.truth.shape)

    state = grabcut(framed(scene, box), rounds=8)

    assert len(state.energies) > 1
    assert np.diff(state.energies).max() < 1e-3 * abs(state.energies[0])


def test_the_rounds_end_where_nothing_changes_any_more():
    scene = disc(noise=30)
    case = framed(scene, Box((0, 10, 40), (1, 72, 102)))  # loose: three quarters of it are ground
    truth = scene.truth[case.view.box.slices]

    one, some, most = (grabcut(case, rounds=count) for count in (1, 5, 50))

    assert 1 < len(most.energies) < 50
    assert np.array_equal(some.inside, most.inside)
    assert (most.inside != truth).sum() < (one.inside != truth).sum() < 0.03 * truth.sum()


def test_an_object_that_the_rounds_lose_is_found_anew_from_the_unary():
    scene = disc(noise=25, radius=9)
    case = framed(scene, Box((0, 15, 45), (1, 65, 95)))

    found = grabcut(case).inside

    truth = scene.truth[case.view.box.slices]
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.6


def test_strokes_correct_the_answer_to_a_box():
    scene = two_toned()
    box = Box((0, 18, 48), (1, 63, 93))
    first = ask(SEGMENTER, scene, [box])
    wrong = scene.truth & (np.arange(120) < 64)
    start = first & ~wrong

    mended = ask(SEGMENTER, scene, [box, Stroke(((0, 32, 58), (0, 46, 58)))], start)

    assert dice(scene, mended) > 0.97 > dice(scene, start)


def test_a_box_round_the_whole_image_finds_the_object_in_its_middle():
    scene = disc(shape=(60, 70), centre=(30, 34), radius=14)

    mask = ask(SEGMENTER, scene, [Box((0, 0, 0), (1, 60, 70))])

    assert dice(scene, mask) > 0.9


def test_an_even_image_keeps_the_box():
    scene = Scene(Image(np.full((1, 1, 40, 50), 7, np.uint8)), np.zeros((1, 40, 50), bool))

    mask = ask(SEGMENTER, scene, [Box((0, 10, 12), (1, 30, 40))])

    assert mask.any()
    assert not mask[:, :10].any()


def test_one_voxel_can_be_an_object():
    voxels = np.zeros((1, 3, 20, 30), np.int16)
    voxels[0, 1, 10, 12] = 900
    scene = Scene(Image(voxels), voxels[0] > 0)

    mask = ask(SEGMENTER, scene, [Click((1, 10, 12))])

    assert mask[1, 10, 12]
    assert mask.sum() < 400


def test_the_sharpness_follows_the_contrast_of_neighbours():
    values = np.array([[[[0, 3, 0], [0, 3, 0]]]], np.float32)

    assert sharpness(values) == pytest.approx(7 / (2 * 4 * 9))
    assert sharpness(np.zeros_like(values)) == 0
    assert sharpness(np.zeros((1, 1, 1, 1), np.float32)) == 0
