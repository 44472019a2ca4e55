"""TensorBoard's own reader must find what curve.csv holds."""

import pytest

from tests.support.runs import only_run, run_small
from tests.support.trackers import call_at, curve, tmpfs

pytest.importorskip("tensorboard", reason="TensorBoard is not installed")


def scalars(folder, name):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(only_run(folder) / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_every_cycle_is_there_once(monkeypatch, tmp_path, untracked):
    assert run_small(monkeypatch, tmp_path, "tracker=tensorboard") == 0
    for name in ("accuracy", "nll", "ece"):
        assert scalars(tmp_path, name) == curve(tmp_path, name)
    assert len(scalars(tmp_path, "seconds/select")) == 2
    assert (only_run(tmp_path) / "curve.csv").read_bytes() == untracked
    events = list((only_run(tmp_path) / "tensorboard").iterdir())
    assert run_small(monkeypatch, tmp_path, "tracker=tensorboard") == 0
    assert list((only_run(tmp_path) / "tensorboard").iterdir()) == events


def test_a_resumed_run_has_no_step_twice(monkeypatch, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        call_at(patch, 2, interrupt)
        assert run_small(patch, tmp_path, "tracker=tensorboard") == 130
    assert len(scalars(tmp_path, "accuracy")) == 2
    assert run_small(monkeypatch, tmp_path, "tracker=tensorboard") == 0
    assert scalars(tmp_path, "accuracy") == curve(tmp_path, "accuracy")


def test_a_finished_run_can_be_shown_afterwards(monkeypatch, tmp_path):
    assert run_small(monkeypatch, tmp_path) == 0
    assert run_small(monkeypatch, tmp_path, "tracker=tensorboard") == 0
    assert scalars(tmp_path, "accuracy") == curve(tmp_path, "accuracy")


def test_a_full_disk_costs_only_the_events(monkeypatch, tmp_path, untracked, capsys):
    """The folder of the events alone is full, by a file system mounted in its place."""
    from alupdate.trackers.tensorboard import TensorboardEvents

    original = TensorboardEvents.__init__
    with tmpfs(tmp_path / "small", "4k"):
        (tmp_path / "small" / "filler").write_bytes(b"x" * 4096)

        def elsewhere(self, _folder):
            original(self, tmp_path / "small" / "tensorboard")

        monkeypatch.setattr(TensorboardEvents, "__init__", elsewhere)
        assert run_small(monkeypatch, tmp_path, "tracker=tensorboard") == 0
        assert capsys.readouterr().err.count("No space left on device") == 1
    assert (only_run(tmp_path) / "curve.csv").read_bytes() == untracked
    assert "No space left" in (only_run(tmp_path) / "run.log").read_text()


def test_an_append_that_fails_leaves_no_half_event(monkeypatch, tmp_path):
    from alupdate.trackers.tensorboard import TensorboardEvents
    from alupdate.trackers.tracker import Point

    with tmpfs(tmp_path / "small", "12k"):
        tracker = TensorboardEvents(tmp_path / "small" / "tensorboard")
        tracker.begin(anew=False)
        (file,) = tracker._folder.iterdir()
        whole = file.read_bytes()
        large = Point(1, 0.0, {f"metric{i}": 0.5 for i in range(2000)})
        with pytest.raises(OSError, match="No space"):
            tracker.send([large])
        assert file.read_bytes() == whole
