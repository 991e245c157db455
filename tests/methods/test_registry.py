import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from segmend import methods
from segmend.core.segmenter import Method, Segmenter
from segmend.errors import SettingsError
from segmend.runtime.cards import methods as own_methods

CARD = Method("stranger", "Stranger", "none", ("click",), (2,), "none needed")


@pytest.fixture
def stranger(monkeypatch):
    """A method of another package, found through its entry point."""
    module = ModuleType("stranger")
    module.METHOD, module.load = CARD, object

    class Entry:
        def load(self):
            return module

    monkeypatch.setattr(methods, "entry_points", lambda *, group: [Entry()] * (group == "segmend.methods"))
    for cached in (methods._others, methods._loaded):
        cached.cache_clear()
    yield CARD
    monkeypatch.undo()
    for cached in (methods._others, methods._loaded):
        cached.cache_clear()


def test_the_classical_methods_are_there_and_sorted():
    ids = [card.id for card in methods.cards()]

    assert ids == sorted(ids)
    assert {"graphcut", "randomwalker"} <= set(ids)
    assert methods.card("graphcut").dimensions == (2, 3)


def test_a_method_is_loaded_once():
    assert methods.load("graphcut") is methods.load("graphcut") is methods.load("graphcut", None)
    assert isinstance(methods.load("randomwalker"), Segmenter)


def test_a_method_is_loaded_once_by_threads_that_ask_at_the_same_time(stranger):
    module, loaded = methods._others()["stranger"], []

    def load():
        loaded.append(1)
        time.sleep(0.2)  # long enough for the others to come
        return object()

    module.load = load
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(methods.load, ["stranger"] * 4))

    assert len(loaded) == 1 and len(set(map(id, found))) == 1


def test_another_package_adds_a_method(stranger):
    assert methods.card("stranger") is stranger
    assert "graphcut" in [card.id for card in methods.cards()]


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match=r"There is no method 'grafcut'; there are .*graphcut, .*randomwalker"):
        methods.card("grafcut")


def test_reading_the_cards_loads_no_heavy_library():
    listing = "import sys; from segmend import methods; methods.cards(); print(sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout

    for heavy in ("torch", "openvino", "scipy", "matplotlib", "skimage"):
        assert f"'{heavy}'" not in loaded


WEIGHTS = Path(str(files("segmend") / "weights"))


@pytest.mark.parametrize(
    "card", [card for card in methods.cards() if card.weights == "shipped"], ids=lambda card: card.id
)
def test_what_a_card_calls_shipped_is_there_and_has_its_model_card(card):
    assert isinstance(methods.load(card.id), Segmenter)
    assert f"`{card.id}`" in "".join(path.read_text() for path in WEIGHTS.glob("*.md"))


def test_every_weights_file_stands_on_a_model_card():
    told = "".join(path.read_text() for path in WEIGHTS.glob("*.md"))

    left = [path.name for path in WEIGHTS.iterdir() if path.suffix != ".md" and f"`{path.name}`" not in told]

    assert left == []


def test_every_method_says_in_a_sentence_what_it_is_good_for():
    said = [card.good_for for card in methods.cards() if card.id in own_methods()]

    assert all(20 < len(words) < 120 and words.endswith(".") and words.count(".") == 1 for words in said), said
    assert len(set(said)) == len(said)
