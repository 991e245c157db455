"""A bar for people, lines for logs."""

import io

from segmend.training.progress import Bar, Lines, Reached, Silence


def reached(done: int, steps: int = 200) -> Reached:
    return Reached(done, steps, 0.5, fresh=done, seconds=done * 3.0)


def test_a_log_gets_a_line_in_fifty_and_the_last():
    lines: list[str] = []
    progress = Lines(lines.append)

    for done in range(1, 121):
        progress.step(reached(done, 120))
    progress.say("done")

    assert lines == [
        "step 50/120  loss 0.5000  2 min, about 4 min left",
        "step 100/120  loss 0.5000  5 min, about 60 s left",
        "step 120/120  loss 0.5000  6 min, about 0 s left",
        "done",
    ]


def test_steps_before_a_run_was_resumed_do_not_count_for_the_pace():
    assert Reached(done=110, steps=120, loss=0.1, fresh=10, seconds=20.0).left == 20.0


def test_a_bar_is_drawn_over_itself_and_other_lines_stand_above_it():
    stream = io.StringIO()
    bar = Bar(stream)

    bar.step(reached(100))
    bar.step(reached(101))  # too soon to be drawn
    bar.say("  validation dice 0.9")
    bar.step(reached(200))

    first, second, rest = stream.getvalue().split("\r")[1:]
    assert first.startswith("[##############--------------] step 100/200") and "left" in first
    assert second.startswith("  validation dice 0.9 ") and second.endswith("\n")
    assert len(second.rstrip("\n")) == len(first), "what was drawn is covered"
    assert rest.startswith("[############################] step 200/200") and rest.endswith("\n")


def test_silence_says_nothing(capsys):
    Silence().step(reached(1))
    Silence().say("hello")

    assert capsys.readouterr() == ("", "")
