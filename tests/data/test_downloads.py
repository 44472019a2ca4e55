"""Downloads of image data sets: whole or not at all, and failures in one line."""

import socket
import tarfile
from pathlib import Path
from urllib.error import URLError

import pytest

from alupdate.config.options import make_option
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.known_sets import BUILDERS, accept_miniatures, build
from tests.support.processes import start_code


@pytest.fixture(autouse=True)
def miniatures(monkeypatch):
    accept_miniatures(monkeypatch)


def read(name, tmp_path, download=False):
    option = make_option("dataset", {"name": name, "download": download})
    return option.load(tmp_path / "cache", Display(enabled=False))


@pytest.mark.parametrize("name", BUILDERS)
def test_no_network_is_one_line(name, tmp_path, monkeypatch):
    def no_network(*_args, **_options):
        raise URLError("[Errno -2] Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(InputError, match="Name or service not known") as caught:
        read(name, tmp_path, download=True)
    message = str(caught.value)
    assert message.startswith(f"dataset={name}: not in {tmp_path / 'cache' / 'datasets' / name}, ")
    assert "set dataset.root=FOLDER" in message
    assert "\n" not in message
    assert not (tmp_path / "cache" / "datasets" / name).exists()


def test_download_false_uses_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_: pytest.fail("network"))
    with pytest.raises(InputError, match=r"dataset\.download=false; set dataset.root=FOLDER"):
        read("cifar10", tmp_path)


def serve(monkeypatch, archive):
    """Let torchvision find the archive where it would download it to."""

    def fetch(_url, root, filename, _md5):
        (Path(root) / filename).write_bytes(archive.read_bytes())

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fetch)


def test_download_fills_the_cache_once(tmp_path, monkeypatch):
    build("cifar10", tmp_path / "made")
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "made" / "cifar-10-batches-bin", "cifar-10-batches-bin")
    serve(monkeypatch, tmp_path / "made.tar.gz")
    left = tmp_path / "cache/datasets/cifar10.partial/cifar-10-batches-bin/data_batch_1.bin"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half of a download that was killed")
    first = read("cifar10", tmp_path, download=True)
    serve(monkeypatch, tmp_path / "gone")
    again = read("cifar10", tmp_path, download=False)
    assert first.fingerprint() == again.fingerprint()
    assert [p.name for p in (tmp_path / "cache/datasets/cifar10").iterdir()] == [
        "cifar-10-batches-bin"
    ]
    assert not left.exists()


def test_a_silent_server_is_not_waited_for(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr("alupdate.data.named_images.SITE", address)
        monkeypatch.setattr("alupdate.data.downloads.TIMEOUT_SECONDS", 0.3)
        with pytest.raises(InputError, match="timed out"):
            read("cifar10", tmp_path, download=True)
    assert socket.getdefaulttimeout() is None


def test_damaged_download_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "cut.tar.gz").write_bytes(b"not an archive")
    serve(monkeypatch, tmp_path / "cut.tar.gz")
    with pytest.raises(InputError, match="the download failed"):
        read("cifar100", tmp_path, download=True)
    assert [p.name for p in (tmp_path / "cache/datasets").iterdir()] == ["cifar100.lock"]


def test_two_processes_download_once(tmp_path):
    code = f"""
        import time
        from pathlib import Path
        from alupdate.data.downloads import downloaded

        def fetch(folder):
            print("fetching", flush=True)
            time.sleep(1)
            (folder / "file").write_text("all")

        folder = downloaded("x", Path({str(tmp_path)!r}), True, fetch)
        print([path.name for path in folder.iterdir()])
    """
    workers = [start_code(code) for _ in range(2)]
    answers = [worker.finish() for worker in workers]
    output = "".join(answer.stdout for answer in answers)
    assert [answer.returncode for answer in answers] == [0, 0]
    assert output.count("fetching") == 1
    assert output.count("['file']") == 2


def test_unwritable_cache_is_one_line(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="check network and disk"):
        read("dtd", tmp_path, download=True)
