import sys

import pytest

from alupdate.config import PowerBatch
from alupdate.strategies.batches import StochasticBatches, require_utilities
from alupdate.strategies.plugin import Plugin
from alupdate.utils.errors import InputError
from tests.support.problems import make_query

GOOD = """
from alupdate.strategies.base import best

class Largest:
    needs_oracle = False
    def __init__(self, column):
        self.column = column
    def select(self, query, size):
        return best(query.features[:, self.column], query, size)

def make_strategy(settings):
    return Largest(settings.get("column", 0))
"""
ANSWER = """
import numpy as np
class Answer:
    needs_oracle = False
    def select(self, query, size):
        return {answer}
def make_strategy(settings):
    return Answer()
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module beside the caller, under a name that no other test has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    before = set(sys.modules)

    def to(code, name="my_strategies"):
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield to
    for name in set(sys.modules) - before:
        del sys.modules[name]


def plugin(module, **settings):
    return Plugin(module=module, settings=settings)


def test_a_module_in_the_current_directory(write):
    query = make_query(taken=(3,))
    expected = query.features[:, 2].masked_fill(query.taken, -9).topk(4).indices
    path = list(sys.path)
    assert plugin(write(GOOD), column=2).select(query, 4).tolist() == expected.tolist()
    assert sys.path == path


def test_an_entry_point_of_an_installed_package(write, tmp_path, monkeypatch):
    site = tmp_path / "site"
    info = site / "largest-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: largest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[alupdate.strategies]\nlargest = largest_code:make_strategy\n"
    )
    (site / "largest_code.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(site))
    write("")
    assert plugin("largest").select(make_query(), 2).shape == (2,)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "no such module in the current directory or among installed packages"),
        ("import nonexistent_thing", "nonexistent_thing"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("x = (", "cannot be imported: SyntaxError"),
        ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
        ("raise GeneratorExit", "cannot be imported: GeneratorExit"),
        ("class Own(BaseException): ...\nraise Own('no')", "cannot be imported: Own: no"),
        (
            "class Odd:\n    @property\n    def needs_oracle(self): raise ValueError('odd')\n"
            "    def select(self, query, size): ...\ndef make_strategy(settings): return Odd()",
            "make_strategy failed: ValueError: odd",
        ),
        ("x = 1", "has no function make_strategy"),
        ("def make_strategy(settings): raise KeyError('column')", "make_strategy failed: KeyError"),
        (
            "def make_strategy(settings): return 3",
            "must return an object with needs_oracle and select",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(code, message, write):
    name = "no_such_module" if code is None else write(code)
    with pytest.raises(InputError, match=message) as caught:
        plugin(name).load()
    assert str(caught.value).startswith(f"strategy.module={name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("[0, 1]", "not 3 integers"),
        ("[0.0, 1.0, 2.0]", "not 3 integers"),
        ("[1, 1, 2]", "the same position twice"),
        ("[1, 2, 40]", "taken or beyond the candidates"),
        ("[1, 2, 3]", "taken or beyond the candidates"),
        ("[-1, 1, 2]", "taken or beyond the candidates"),
    ],
)
def test_a_wrong_answer_never_reaches_the_pool(answer, message, write):
    with pytest.raises(InputError, match=message):
        plugin(write(ANSWER.format(answer=answer))).select(make_query(taken=(3,)), 3)


def test_the_order_of_the_search_path_stays(write, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = list(sys.path)
    plugin(write(GOOD)).select(make_query(), 2)
    assert sys.path == before


def test_imports_of_select_are_found_too(write):
    write("positions = [4, 2]", "my_helpers")
    answer = "__import__('my_helpers').positions"
    assert plugin(write(ANSWER.format(answer=answer))).select(make_query(), 2).tolist() == [4, 2]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("query.logits[:, 0] * float('nan')", "utilities returned NaN for a candidate"),
        ("query.logits[:3, 0]", "utilities must return a tensor of shape"),
        ("3", "utilities must return a tensor of shape"),
    ],
)
def test_utilities_are_one_number_for_each_candidate(scores, message, write):
    code = (
        "from alupdate import ScoringStrategy\nclass Own(ScoringStrategy):\n"
        f"    def utilities(self, query): return {scores}\n"
        "def make_strategy(settings): return Own()\n"
    )
    with pytest.raises(InputError, match=message):
        plugin(write(code)).select(make_query(), 3)


def test_batches_from_scores_of_a_plugin(write):
    """Whether it has any is known when it is made; what they are, when it is asked."""
    batch = PowerBatch(name="power")
    require_utilities(Plugin, batch, "plugin")
    with pytest.raises(InputError, match="batch=power: strategy=plugin does not score single"):
        require_utilities(plugin(write(GOOD)), batch, "plugin")
    code = (
        "from alupdate import ScoringStrategy\nclass Own(ScoringStrategy):\n"
        "    def utilities(self, query): return query.logits[:, 0] - 100\n"
        "def make_strategy(settings): return Own()\n"
    )
    own = plugin(write(code, "my_scores"))
    require_utilities(own, batch, "plugin")
    with pytest.raises(InputError, match="powers need scores of 0 or more, use"):
        StochasticBatches(own).select(make_query(), 3)
    assert len(StochasticBatches(own, variant="softrank").select(make_query(), 3)) == 3
