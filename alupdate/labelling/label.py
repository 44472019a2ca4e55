"""``task=label``: a pool is labelled in the terminal, and the model learns after each label."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from alupdate.config import LabelTask, RunConfig
from alupdate.data.dataset import Images, Texts, Vectors
from alupdate.data.image_files import ImageFiles
from alupdate.data.image_sources import Folder
from alupdate.data.labels_file import refuse_export
from alupdate.data.own_data import PartlyLabelled
from alupdate.labelling.campaign import check_labelling, locked_folder, open_campaign, read_labels
from alupdate.labelling.expected import say_expected
from alupdate.labelling.outcome import keep_outcome
from alupdate.labelling.session import Session
from alupdate.labelling.terminal import (
    END_OF_INPUT,
    Keys,
    Viewer,
    readable_text,
    terminal_keys,
)
from alupdate.utils.display import Display, printable
from alupdate.utils.errors import suggestion

MOST_KEYS = 9
"""Classes that have a key of their own."""
SHOWN_FEATURES = 12
"""Features of a vector that are printed."""
HELP = (
    "1-9: its class   /: type a class   a: all   s: skip   d: don't know   u: undo   "
    "e: expected accuracy   q: quit"
)


def label(config: RunConfig, display: Display) -> None:
    """Label a pool in the terminal until it is empty, or the annotator quits.

    Raises:
        InputError: the data, the labels or the command are wrong, or there is no terminal.
    """
    check_labelling(config)
    assert isinstance(config.task, LabelTask)
    viewer = Viewer(config.task.viewer)
    with terminal_keys() as keys, locked_folder(config) as folder:
        data, labels_file = read_labels(config, folder, display)
        refuse_export(labels_file, str(labels_file))
        session = Session(open_campaign(config, folder, data, labels_file, display), display)
        display.say(f"answers go to {labels_file}")
        try:
            with tempfile.TemporaryDirectory(prefix="alupdate-") as pictures:
                Dialogue(session, keys, viewer, Path(pictures)).run()
        finally:
            keep_outcome(session.finished(), session.suggester, display)
        say_expected(session.forecaster, session.pool, display)


@dataclass
class Dialogue:
    """Questions and answers in the terminal.

    Attributes:
        session: takes the answers.
        keys: of the terminal.
        viewer: shows image files.
        pictures: a folder for images that are no files of their own.
    """

    session: Session
    keys: Keys
    viewer: Viewer
    pictures: Path

    def run(self) -> None:
        """Ask until nothing is left or the annotator quits."""
        self.keys.show(HELP)
        while (index := self.session.current) is not None:
            self._present(index)
            if not self._answered():
                return
        self.keys.show("every instance is labelled or skipped")

    @property
    def _data(self) -> PartlyLabelled:
        return self.session.campaign.data

    def _present(self, index: int) -> None:
        """Show an instance and its most probable classes."""
        data, session = self._data, self.session
        counts = f"{len(session.pool.indices)} labelled, {session.n_skipped} skipped"
        self.keys.show(
            f"\n{printable(data.names[index])}   "
            f"({counts} of {len(data.names)}; by {session.chosen_by})"
        )
        if isinstance(data.pool, Texts):
            self.keys.show(f"\n{readable_text(data.pool.strings[index])}\n")
        elif isinstance(data.pool, Vectors):
            self.keys.show(_features(data.pool, index))
        elif isinstance(data.pool, Images) and not self.viewer.show(
            picture_file(data.pool, data.names[index], index, self.pictures)
        ):
            self.keys.show("(no viewer: open the file yourself, or set task.viewer=PROGRAM)")
        self.keys.show(self._choices(self.ranked()[:MOST_KEYS]))

    def ranked(self) -> list[tuple[str, float | None]]:
        """Return the classes, the most probable first, in their order before there is a model."""
        names, found = self._data.classes, self.session.probabilities
        if found is None:
            return [(name, None) for name in names]
        order = np.argsort(-found, kind="stable")
        return [(names[i], float(found[i])) for i in order]

    def _choices(self, ranked: list[tuple[str, float | None]]) -> str:
        if not ranked:
            return "no class is known yet: / types one"
        return "   ".join(
            f"{key} {printable(name)}" + ("" if share is None else f" {share:.2f}")
            for key, (name, share) in enumerate(ranked, start=1)
        )

    def _answered(self) -> bool:
        """Take keys until the present instance is answered; False where the annotator quits."""
        ranked = self.ranked()
        while True:
            key = self.keys.key()
            if key in ("q", END_OF_INPUT):
                return False
            if key.isdecimal() and 0 < int(key) <= min(MOST_KEYS, len(ranked)):
                self.session.label(ranked[int(key) - 1][0])
                return True
            if key in ("s", "d"):
                self.session.skip(unknown=key == "d")
                return True
            if key == "u" and self._undone():
                return True
            if key == "/" and self._typed():
                return True
            if key == "a":
                self.keys.show(readable_text("\n".join(sorted(self._data.classes))))
            if key == "e":
                self.keys.show(self._expected())
            if key in ("?", "h"):
                self.keys.show(HELP)

    def _expected(self) -> str:
        forecaster = self.session.forecaster
        found = forecaster.forecast(self.session.pool)
        if found is None:
            return "expected accuracy: there are too few labels for a model"
        return (
            found.in_words()
            if found.now is None
            else "\n".join([found.in_words(), forecaster.assumption])
        )

    def _undone(self) -> bool:
        name = self.session.undo()
        self.keys.show("nothing to undo" if name is None else f"taken back: {printable(name)}")
        return name is not None

    def _typed(self) -> bool:
        """Ask for a class by its name, or a beginning that no other class has.

        Where classes are not declared, a beginning may be the name of a new class, too.
        """
        typed = self.keys.line("class: ")
        if not typed:
            return False
        known, declared = self._data.classes, self._data.declared
        beginning = [name for name in known if name.startswith(typed)]
        found = typed if typed in known else beginning[0] if len(beginning) == 1 else None
        if found is not None and (found == typed or declared or self._agrees(f"{found}?")):
            self.session.label(found)
            return True
        hint = "" if beginning else suggestion(typed, known)
        if len(beginning) > 1:
            self.keys.show(f"{len(beginning)} classes: {', '.join(map(printable, beginning))}")
        elif declared:
            self.keys.show(f"no such class; {hint}a: all classes")
        if declared or not self._agrees(f"{hint}a new class {typed}?"):
            return False
        self.session.label(typed)
        return True

    def _agrees(self, question: str) -> bool:
        return self.keys.line(f"{printable(question)} (y/n) ").lower() in ("y", "yes")


def picture_file(images: Images, name: str, index: int, folder: Path) -> Path:
    """Return a file that shows an image: its own, or one that is written to a folder."""
    if isinstance(images, ImageFiles) and isinstance(images.source, Folder):
        return images.source.root / str(images.index.paths[index])
    path = folder / "image.png"
    array = images[index]
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array[:, :, :3]).save(path)
    return path


def _features(vectors: Vectors, index: int) -> str:
    row = vectors.rows[index]
    names = vectors.columns or tuple(str(number) for number in range(len(row)))
    shown = [f"{printable(name)}={value:.4g}" for name, value in zip(names, row, strict=True)]
    more = len(shown) - SHOWN_FEATURES
    return ", ".join(shown[:SHOWN_FEATURES]) + (f" and {more} more" if more > 0 else "")
