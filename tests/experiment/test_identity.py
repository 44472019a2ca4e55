"""What a run belongs to: edited code, weights and packages are another run."""

import json
import shutil
import sys
from importlib import metadata

import pytest

from alupdate.models.texts import TextBackbone
from alupdate.strategies.plugin import Plugin
from alupdate.strategies.scikit_activeml import ScikitActiveml
from alupdate.utils.errors import InputError
from tests.support.runs import run_small
from tests.support.tiny_bert import save_tiny_bert

CODE = """
from own_helper import sign
from alupdate.strategies.base import best

class Mine:
    needs_oracle = False
    def select(self, query, size):
        {first}
        return best({sign} * query.features[:, 3], query, size)

def make_strategy(settings):
    return Mine()
"""
PLUGIN = ("strategy=plugin", "strategy.module=own_edited")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the plug-in and forget what this process has imported of it, as a new one would."""
    monkeypatch.chdir(tmp_path)

    def to(sign, first="pass", helper="sign = 1"):
        (tmp_path / "own_edited.py").write_text(CODE.format(sign=sign, first=first))
        (tmp_path / "own_helper.py").write_text(helper)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        sys.modules.pop("own_edited", None)
        sys.modules.pop("own_helper", None)

    yield to
    sys.modules.pop("own_edited", None)
    sys.modules.pop("own_helper", None)


def curves(folder):
    return sorted(folder.glob("results/default/*/queries.csv"))


def test_an_edited_plugin_is_another_run(write, monkeypatch, tmp_path, capsys):
    write(1)
    assert run_small(monkeypatch, tmp_path, *PLUGIN) == 0
    (first,) = curves(tmp_path)
    write(-1)
    assert run_small(monkeypatch, tmp_path, *PLUGIN) == 0
    output = capsys.readouterr()
    assert f"note: own_edited.py: changed since {first.parent.relative_to(tmp_path)}" in (
        output.out + output.err
    )
    second = next(path for path in curves(tmp_path) if path != first)
    chosen = [path.read_text().replace(path.parent.name, "") for path in (first, second)]
    assert chosen[0] != chosen[1]
    assert "own_edited.py: changed since" in (second.parent / "run.log").read_text()
    recorded = json.loads((second.parent / "status.json").read_text())["sha256"]
    assert recorded.keys() == {"own_edited.py", "own_helper.py"}


def test_a_cut_off_run_does_not_go_on_with_other_code(write, monkeypatch, tmp_path):
    write(1, first="if len(query.known_features) >= 13: raise ValueError('cut')")
    assert run_small(monkeypatch, tmp_path, *PLUGIN) == 1
    write(-1)
    assert run_small(monkeypatch, tmp_path, *PLUGIN) == 0
    assert len(list(tmp_path.glob("results/default/*/state.json"))) == 2
    resumed = [p for p in tmp_path.glob("results/default/*/run.log") if "resum" in p.read_text()]
    assert resumed == []


def test_a_file_that_the_plugin_imports_counts(write, monkeypatch, tmp_path):
    write(1)
    before = Plugin(module="own_edited").digests()
    write(1, helper="sign = 2")
    assert Plugin(module="own_edited").digests() != before


def test_a_module_that_was_edited_after_its_import_is_refused(write, tmp_path):
    write(1)
    Plugin(module="own_edited").load()
    (tmp_path / "own_helper.py").write_text("sign = 3")
    complaint = "own_helper.py has changed since this process imported it; start a new process"
    with pytest.raises(InputError, match=complaint):
        Plugin(module="own_edited").load()


def test_an_installed_plugin_counts_by_version_and_source(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    info = site / "largest-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: largest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[alupdate.strategies]\nlargest = own_largest:make_strategy\n"
    )
    (site / "own_largest.py").write_text("")
    monkeypatch.syspath_prepend(str(site))
    found = Plugin(module="largest").digests()
    assert found.keys() == {"largest", "own_largest.py"}
    assert found["largest"] == "1.0"


def test_scikit_activeml_counts_by_version():
    found = ScikitActiveml(query_strategy="Falcun").digests()
    assert found == {"scikit-activeml": metadata.version("scikit-activeml")}


def test_a_text_model_in_a_folder_counts_by_content(tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        save_tiny_bert(folder)
    found = [TextBackbone(name="transformers", model=str(f)).digests() for f in folders]
    assert found[0] == found[1]
    with (folders[1] / "vocab.txt").open("a") as file:
        file.write("another\n")
    assert TextBackbone(name="transformers", model=str(folders[1])).digests() != found[0]
    assert TextBackbone(name="minilm", model="all-MiniLM-L6-v2").digests() == {}
