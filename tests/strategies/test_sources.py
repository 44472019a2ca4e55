"""What files a plug-in is made of."""

import hashlib

import pytest

from alupdate.strategies.sources import module_sources


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def to(name, content=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    return to


def test_a_module_and_what_it_imports_from_beside_it(write):
    write("mine.py", "import numpy, helper\nfrom alupdate.strategies.base import best\n")
    write("helper.py", "def f():\n    from deeper.inside import g\n")
    write("deeper/__init__.py", "from . import beside\nfrom .inside import g\n")
    write("deeper/inside.py", "from ..nowhere import x\nimport mine\n")
    write("deeper/beside.py", "this is no Python")
    write("unused.py")
    found = module_sources("mine")
    assert sorted(found) == [
        "deeper/__init__.py", "deeper/beside.py", "deeper/inside.py", "helper.py", "mine.py"
    ]  # fmt: skip
    content = b"import numpy, helper\nfrom alupdate.strategies.base import best\n"
    assert found["mine.py"] == hashlib.sha256(content).hexdigest()


def test_a_module_of_a_package_without_running_it(write):
    write("package/__init__.py", "1 / 0")
    write("package/strategy.py", "from package import other")
    write("package/other.py")
    expected = ["package/__init__.py", "package/other.py", "package/strategy.py"]
    assert sorted(module_sources("package.strategy")) == expected


def test_of_an_installed_package_only_its_own_files_count(write, tmp_path, monkeypatch):
    write("site-packages/big.py", "")
    write("site-packages/installed/__init__.py", "import big\nfrom .part import x")
    write("site-packages/installed/part.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    assert sorted(module_sources("installed")) == ["installed/__init__.py", "installed/part.py"]


@pytest.mark.parametrize("module", ["nowhere", "nowhere.at.all", "sys"])
def test_a_module_without_files(write, module):
    assert module_sources(module) == {}
