"""Methods in processes of their own answer as they do here, and die or hang alone."""

import gc
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest

from segmend import methods
from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Click
from segmend.errors import MethodError, ModelError, SettingsError
from segmend.runtime.budget import Memory
from segmend.server.processes.processes import Apart, FailedApartError, Processes
from segmend.server.settings import ServerSettings
from tests.server.running import PATIENCE, rooms

BOX, BAR = (1, 2, 1), (1, 2, 5)
CRASH, HANG, ONCE = 0, 2, 4  # the x of a click that ends the method "dying"
SECONDS = 120.0  # that a part may take, on a machine that is busy with other things


class Running(Processes):
    """Processes, and what is to be done when nobody waits."""

    def __init__(self, folder, *, count=2, limit=10**8, seconds=SECONDS):
        self.idle = []
        self.memory = Memory(limit)
        super().__init__(
            Apart(count, seconds),
            self.memory,
            folder=lambda: folder,
            waiting=nullcontext,
            when_idle=self.idle.append,
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory, plugin):
    folder = tmp_path_factory.mktemp("answering")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DYING_ONCE", str(folder / "ended"))
        running = Running(folder)
        yield running
        running.close()
    assert not folder.exists()


@pytest.fixture
def image():
    return rooms()


def stream(workspace, index, previous=None):
    previous = np.zeros((3, 6, 8), bool) if previous is None else previous
    return workspace.stream([Click(index)], previous)


def assert_same(parts, wanted):
    parts, wanted = list(parts), list(wanted)
    assert [(part.box, part.quality, part.finetuned) for part in parts] == [
        (part.box, part.quality, part.finetuned) for part in wanted
    ]
    for part, right in zip(parts, wanted, strict=True):
        assert part.probability.dtype == right.probability.dtype
        np.testing.assert_array_equal(part.probability, right.probability)
        np.testing.assert_array_equal(part.uncertainty, right.uncertainty)


@pytest.mark.parametrize("method", ["flood", "unsure", "learner"])
@pytest.mark.parametrize("finetune", ["auto", "on"])
def test_answers_are_the_same_as_in_this_process(running, image, method, finetune):
    here, there = methods.load(method).open(image), running.open("same", method, lambda: image)
    previous = np.zeros(image.shape, bool)
    previous[1, 2:4, 1:3] = True

    for before in (np.zeros(image.shape, bool), previous):
        assert_same(
            stream(there.with_finetuning(finetune), BOX, before), stream(here.with_finetuning(finetune), BOX, before)
        )


def test_labels_that_a_method_finds_by_itself_are_found_there(running, image):
    there = running.open("labels", "dying", lambda: image)

    (part,) = there.guess(2)

    assert there.labels == {2: "bar"} and part.quality == 0.9
    np.testing.assert_array_equal(part.mask, image.voxels[0] == 20)


def test_what_a_method_refuses_or_fails_with_is_said_without_its_message(running, image, caplog):
    there = running.open("broken", "broken", lambda: image)

    with pytest.raises(ModelError, match="The weights of Broken are damaged; reinstall segmend"):
        list(there.stream([Box((0, 0, 0), (1, 1, 1))], np.zeros(image.shape, bool)))
    with pytest.raises(FailedApartError):
        list(there.stream([Click(BOX, positive=False)], np.zeros(image.shape, bool)))

    assert "ValueError at" in caplog.text and "broken.py" in caplog.text and "Jane" not in caplog.text


def test_a_method_that_crashes_is_refused_and_an_answer_of_others_goes_on(running, image, caplog):
    other, dying = (running.open(name, "dying", lambda: image) for name in ("other", "crash"))
    half = stream(other, BAR)
    first = next(half)

    with pytest.raises(MethodError) as refusal:
        list(stream(dying, (1, 2, CRASH)))

    assert str(refusal.value) == (
        "Dying ended without an answer (SIGSEGV); it is started again. What it was asked for was taken back, "
        "and all other marks are kept."
    )
    assert caplog.text.count("ended without an answer (SIGSEGV)") == 2  # it was tried again
    assert_same([first, *half], stream(methods.load("dying").open(image), BAR))
    assert_same(stream(dying, BAR), stream(methods.load("dying").open(image), BAR))


def test_what_others_had_open_is_opened_again_when_nobody_waits(running, image):
    running.idle.clear()
    other, dying = (running.open(name, "dying", lambda: image) for name in ("open", "killed"))
    list(stream(other, BAR))
    list(stream(dying, BAR))
    place = dying._opened.place
    place.process.kill()
    place.process.dispose()
    list(stream(dying, BAR))
    assert place.process.kept.keys() == {("killed", "dying")}

    for steps in running.idle:
        list(steps)

    assert {("killed", "dying"), ("open", "dying")} <= place.process.kept.keys()


def test_a_method_that_hangs_is_ended(running, image):
    hanging, other = running.open("hang", "dying", lambda: image), running.open("beside", "flood", lambda: image)
    asked = stream(hanging, (1, 2, HANG))
    next(asked)
    process = hanging._opened.place.process
    time_is_over = threading.Thread(target=end_time, args=(process,))
    time_is_over.start()

    with pytest.raises(MethodError, match=r"^Dying did not answer within 120 seconds and was ended; it is started"):
        next(asked)

    time_is_over.join()
    assert_same(stream(other, BOX), stream(methods.load("flood").open(image), BOX))


def test_an_answer_during_which_the_process_ends_once_is_whole(running, image):
    dying = running.open("once", "dying", lambda: image)

    assert_same(stream(dying, (1, 2, ONCE)), stream(methods.load("flood").open(image), (1, 2, ONCE)))


def test_what_holds_too_much_is_closed_there_and_opened_again(running, image):
    key = ("large", "flood")
    there = running.open(*key, lambda: image)
    place = there._opened.place
    assert running.holds(*key) and key in place.process.kept

    running.memory.limit_bytes = 0  # all that can go has to
    running.memory.put("a photograph", 1, None, 1, droppable=False)
    assert not running.holds(*key)
    wait_for(lambda: key not in place.process.kept)

    running.memory.limit_bytes = 10**8
    running.memory.forget("a photograph")
    assert_same(stream(running.open(*key, lambda: image), BOX), stream(methods.load("flood").open(image), BOX))


def test_a_closed_session_is_closed_there(running, image):
    there = running.open("gone", "flood", lambda: image)
    process = there._opened.place.process
    assert ("gone", "flood") in process.kept

    running.forget("gone")

    wait_for(lambda: ("gone", "flood") not in process.kept)


def test_an_image_in_memory_is_written_once_and_deleted_when_nobody_holds_it(running, tmp_path):
    image = Image(np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)[:, :, ::-1], scale_affine((3, 1, 2)))
    file = running._images.of(image)

    again = file.image()

    assert running._images.of(image) is file
    np.testing.assert_array_equal(again.voxels, image.voxels)
    np.testing.assert_array_equal(again.affine, image.affine)
    del image
    gc.collect()
    wait_for(lambda: not file.path.exists())


def test_an_image_that_is_mapped_is_not_written_again(running, tmp_path):
    path = tmp_path / "voxels.npy"
    np.save(path, np.arange(60, dtype="<i2").reshape(1, 3, 4, 5))
    image = Image(np.load(path, mmap_mode="r"))

    file = running._images.of(image)

    assert file.path == path
    np.testing.assert_array_equal(file.image().voxels, image.voxels)


def test_which_methods_are_answered_apart(tmp_path):
    others, everything = (
        Running(tmp_path),
        Processes(
            Apart(1, 1.0, everything=True), Memory(), folder=lambda: tmp_path, waiting=nullcontext, when_idle=list
        ),
    )

    assert [others.takes(method) for method in ("flood", "bifseg", "mend", "graphcut")] == [True, True, False, False]
    assert everything.takes("mend") and not Running(tmp_path, count=0).takes("flood")


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="answering_processes of 0 or more, and answering_seconds above 0"):
        ServerSettings(tmp_path, answering_seconds=0)


def end_time(process):
    """Let the time of a process's request be over as soon as it was asked."""
    wait_for(lambda: process._deadline < float("inf"))
    process._deadline = 0


def wait_for(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
