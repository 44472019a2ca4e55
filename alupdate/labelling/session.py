"""A labelling session: one instance after the other, with what was learned from those before."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alupdate.data.labels_file import REMOVED, SKIPPED, UNKNOWN, Answer, append_answers
from alupdate.data.pool import Pool
from alupdate.experiment.selection import Selector
from alupdate.labelling.campaign import Campaign, read_labels
from alupdate.labelling.expected import CampaignForecaster
from alupdate.labelling.outcome import start_from_kept_model
from alupdate.labelling.suggester import Offering, Suggester
from alupdate.utils.display import Display


class Session:
    """Takes answers, writes each to the labels file, and says what comes next.

    Attributes:
        campaign: with the labels that there are.
        forecaster: says what to expect of the model.
    """

    def __init__(self, campaign: Campaign, display: Display) -> None:
        self.campaign, self._display = campaign, display
        self._selector = Selector(campaign.config)
        self._given: list[str] = []
        self._begin()

    def _begin(self) -> None:
        """Start from what the labels file says."""
        data = self.campaign.data
        self._suggester = self.campaign.suggester(self._selector)
        start_from_kept_model(self.campaign, self._suggester, self._display)
        self.forecaster = CampaignForecaster(self.campaign, self._suggester)
        self._pool, self._skipped = self.campaign.pool, data.skipped
        self._ids = {name: number for number, name in enumerate(data.classes)}
        self._next_batch()

    def _next_batch(self) -> None:
        self._offering: Offering = self._suggester.offering(self._pool, self._skipped)

    @property
    def pool(self) -> Pool:
        """What is labelled."""
        return self._pool

    @property
    def n_skipped(self) -> int:
        """How many instances were skipped, or could not be labelled."""
        return len(self._skipped)

    @property
    def suggester(self) -> Suggester:
        """What chooses."""
        return self._suggester

    @property
    def current(self) -> int | None:
        """The pool index of the instance to label now; None where nothing is left."""
        indices = self._offering.suggestions.indices
        return int(indices[0]) if len(indices) else None

    @property
    def probabilities(self) -> NDArray[np.floating] | None:
        """The class probabilities (C,) of the present instance; None before there is a model."""
        found = self._offering.suggestions.probabilities
        return None if found is None or not len(found) else found[0]

    @property
    def chosen_by(self) -> str:
        """How the present instance was chosen."""
        return self._offering.suggestions.chosen_by

    def label(self, class_name: str) -> None:
        """Label the present instance; the answer is on disk before anything is learned from it.

        Raises:
            InputError: the labels file cannot be written, or the class was not declared.
        """
        index = self._answer(class_name, "")
        if class_name not in self._ids:
            self._reload()
            return
        number = self._ids[class_name]
        self._pool = self._pool.label(np.array([index]), np.array([number]))
        self._offering.take(index, number)
        if self.current is None:
            self._next_batch()

    def skip(self, *, unknown: bool) -> None:
        """Pass over the present instance, which is not offered again.

        Args:
            unknown: whether nobody can label it.
        """
        index = self._answer("", UNKNOWN if unknown else SKIPPED)
        self._skipped = np.append(self._skipped, index)
        self._next_batch()

    def undo(self) -> str | None:
        """Take back the last answer of this session and return its instance's name."""
        if not self._given:
            return None
        name = self._given.pop()
        append_answers(self.campaign.labels_file, [Answer(name, "", REMOVED)])
        self._reload()
        return name

    def _answer(self, class_name: str, status: str) -> int:
        index = self.current
        assert index is not None
        name = self.campaign.data.names[index]
        append_answers(self.campaign.labels_file, [Answer(name, class_name, status)])
        self._given.append(name)
        return index

    def _reload(self) -> None:
        """Read the labels again: one was taken back, or there is a new class."""
        found, _ = read_labels(self.campaign.config, self.campaign.folder, self._display)
        self.campaign = self.campaign.with_labels(found)
        self._begin()

    def finished(self) -> Campaign:
        """Return the campaign with the labels of this session."""
        data = self.campaign.data
        return replace(
            self.campaign,
            data=replace(
                data,
                indices=self._pool.indices,
                labels=self._pool.labels,
                skipped=self._skipped,
            ),
        )
