"""Cases that are read by several people, in the store: who reads what, how far they are, what lists say meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from segmend.core.prompts import Click
from segmend.core.session import PALETTE, Defined, Label, Prompted
from segmend.errors import ConflictError, LimitError, NotFoundError, SettingsError
from segmend.store import Store
from segmend.store import comments as comments_module
from segmend.store.records import Status
from segmend.store.worklist import CaseFilter, CaseOrder
from tests.store.conftest import Place
from tests.store.drawn import image, patch


def mark(store: Store, case: str, reader: str, *, name: str = "lesion") -> str:
    """Let a reader define a label and click once; returns the session."""
    session = store.add_session(case, user=reader).id
    assert store.readings.session_of(case, reader, session) == session
    store.append(session, 0, Defined(Label(1, name, PALETTE[0])), user=reader)
    store.append(session, 1, Prompted(Click((0, 1, 1)), 1, "mend"), user=reader)
    return session


def names(store: Store, wanted: CaseFilter) -> list[str]:
    return [case.name for case in store.case_page(wanted).cases]


def test_a_read_goes_from_readers_to_a_decision(place: Place) -> None:
    with place.open() as store:
        case = store.add_case("a", image()).id
        given = store.readings.plan([case], ["ada", "ben"], each=2, how="all")
        assert given == {case: ("ada", "ben")}
        with pytest.raises(ConflictError, match="Nothing was marked in this reading yet"):
            store.readings.finish(case, "ada")
        with pytest.raises(NotFoundError, match="eve is no reader of this case"):
            store.readings.finish(case, "eve")

        sessions = {reader: mark(store, case, reader) for reader in ("ada", "ben")}
        assert store.readings.session_of(case, "ada", "another") == sessions["ada"]
        assert store.readings.finish(case, "ada").state == "open"
        with pytest.raises(ConflictError, match="Not all readers have finished"):
            store.readings.decide(case, "eve")
        assert store.readings.finish(case, "ben").state == "finished"
        assert store.readings.finish(case, "ben", finished=False).state == "open"
        read = store.readings.finish(case, "ben")
        assert [(one.reader, one.state, one.interactions) for one in read.readings] == [
            ("ada", "finished", 1), ("ben", "finished", 1),
        ]  # fmt: skip
        third = store.add_session(case, user="eve").id
        store.readings.decide_in(case, third)
        store.readings.keep_agreement(case, [{"dice": 1.0}])
        store.readings.decide(case, "eve")

        decided = store.readings.of_case(case)
        assert decided is not None and decided.is_over and decided.decided_by == "eve" and decided.session == third
        assert decided.agreement == [{"dice": 1.0}] and decided.readings[0].session == sessions["ada"]
        assert [one.case for one in store.readings.finished("default")] == [case]
        with pytest.raises(ConflictError, match="was decided already"):
            store.readings.finish(case, "ada", finished=False)
        assert store.case(case).interactions == 2  # counted now
        store.delete_case(case)
        assert store.readings.of_case(case) is None


def test_lists_say_nothing_of_blind_readers(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        case = store.add_case("a", image()).id
        before = store.case(case)
        store.readings.plan([case], ["ada", "ben"], each=2, how="all")
        session = mark(store, case, "ada", name="secret")
        store.answer(session, 1, patch(1), quality=0.4)

        assert store.case(case) == before
        assert names(store, CaseFilter(label="secret")) == [] and "secret" not in store.choices().labels
        assert store.readings.reads_blind("ada") and not store.readings.reads_blind("eve")
        store.readings.finish(case, "ada")
        mark(store, case, "ben")
        store.readings.finish(case, "ben")
        assert store.case(case) == before
        store.readings.decide(case, "eve")
        assert names(store, CaseFilter(label="secret")) == ["a"] and not store.readings.reads_blind("ada")


def test_one_reader_alone_is_not_blind(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        case = store.add_case("a", image()).id
        store.readings.plan([case], ["ada"], each=1, how="turns")
        mark(store, case, "ada")

        read = store.readings.of_case(case)
        assert read is not None and not read.blind and read.readings[0].interactions == 1
        assert (store.case(case).status, store.case(case).interactions) == ("begun", 1)
        store.readings.finish(case, "ada")
        store.readings.decide(case, "eve")
        assert store.case(case).interactions == 1  # not twice


def test_cases_are_given_in_turn_or_to_who_asks(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        cases = [store.add_case(name, image()).id for name in "abc"]
        given = store.readings.plan(cases, ["ada", "ben", "eve"], each=2, how="turns")
        assert list(given.values()) == [("ada", "ben"), ("eve", "ada"), ("ben", "eve")]
        with pytest.raises(ConflictError, match="3 of these cases have readers already"):
            store.readings.plan(cases, ["ada"], each=1, how="turns")
        for case, readers in given.items():
            for reader in readers:
                store.readings.release(case, reader)
        assert store.readings.of_cases(cases) == {}

        store.readings.plan(cases, [], each=2, how="pull")
        pulled = [store.readings.pull(reader, "default") for reader in ("ada", "ada", "ben")]
        assert pulled == [cases[0]] * 3  # one after the other, and those first that lack one reader
        mark(store, cases[0], "ada")
        with pytest.raises(ConflictError, match="ada has begun this case"):
            store.readings.release(cases[0], "ada")
        store.readings.finish(cases[0], "ada")
        assert store.readings.pull("ada", "default") == cases[1] == store.readings.pull("eve", "default")
        mark(store, cases[1], "eve")
        assert store.readings.pull("max", "default", unseen=True) == cases[2]  # nobody has begun that
        assert store.readings.pull("ada", "another") is None


@pytest.mark.parametrize(
    ("readers", "each", "said"),
    [(["ada"], 2, "need as many people; got 1"), (["ada"] * 9, 9, "1 to 8 people"), (["a\0b"], 1, "needs a name")],
)
def test_what_cannot_be_given_is_refused(sqlite_place: Place, readers: list[str], each: int, said: str) -> None:
    with sqlite_place.open() as store, pytest.raises(SettingsError, match=said):
        store.readings.plan([store.add_case("a", image()).id], readers, each=each, how="turns")


def test_the_list_knows_what_somebody_is_to_read(place: Place) -> None:
    with place.open() as store:
        cases = {name: store.add_case(name, image()).id for name in "abc"}
        store.readings.plan([cases["a"]], ["ada", "ben"], each=2, how="all")
        store.readings.plan([cases["b"]], ["ben"], each=1, how="turns")
        to_do: tuple[Status, ...] = ("untouched", "begun")

        assert names(store, CaseFilter(reading="mine", reader="ada")) == ["a"]
        assert names(store, CaseFilter(statuses=to_do, reader="ada")) == ["a", "c"]  # b is another's
        assert names(store, CaseFilter(statuses=to_do, reader="eve")) == ["c"]
        assert names(store, CaseFilter(statuses=to_do)) == ["a", "b", "c"]
        mark(store, cases["a"], "ada")
        store.readings.finish(cases["a"], "ada")
        assert names(store, CaseFilter(statuses=to_do, reader="ada")) == ["c"]
        assert (
            names(store, CaseFilter(reading="open")) == ["a", "b"]
            and names(store, CaseFilter(reading="finished")) == []
        )


def test_the_list_is_ordered_by_doubt(place: Place) -> None:
    with place.open() as store:
        for name, quality in (("sure", 0.9), ("unsure", 0.4), ("unasked", None)):
            session = store.add_session(store.add_case(name, image()).id).id
            store.append(session, 0, Defined(Label(1, "lesion", PALETTE[0])))
            store.append(session, 1, Prompted(Click((0, 1, 1)), 1, "mend"))
            store.answer(session, 1, patch(1), quality=quality)
        page = store.case_page(order=CaseOrder("doubt", descending=True))

        assert [case.name for case in page.cases] == ["unsure", "sure", "unasked"]
        assert page.cases[0].doubt == pytest.approx(0.6) and page.cases[2].doubt == -1


def test_comments_are_on_a_case_or_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.local(tmp_path) as store:
        case = store.add_case("a", image())
        store.comments.add(case, " motion \nhere ", user="ada", place=(0, 1, 2))
        other = store.comments.add(case, "fine")
        assert [(one.user, one.text, one.place) for one in store.comments.of_case(case.id)] == [
            ("ada", "motion \nhere", (0, 1, 2)), ("", "fine", None),
        ]  # fmt: skip
        for text, place, said in (
            ("", None, "1 to 2000"),
            ("a\0", None, "readable"),
            ("x", (99, 0, 0), "in the image"),
        ):
            with pytest.raises(SettingsError, match=said):
                store.comments.add(case, text, place=place)
        store.comments.delete(other.id)
        with pytest.raises(NotFoundError, match="no such comment"):
            store.comments.delete(other.id)
        monkeypatch.setattr(comments_module, "MOST_COMMENTS", 1)
        with pytest.raises(LimitError, match="at most 1 comments"):
            store.comments.add(case, "more")
