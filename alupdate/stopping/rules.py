"""Stopping rules: the quantity that each looks at, and when it says stop.

The quantity of a cycle is a number, NaN where it is not defined. Whether to stop follows from the
quantities so far and from nothing else, so that other thresholds can be tried on a finished run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from typing_extensions import override

from alupdate.config.stop import (
    ChangeSettings,
    KappaSettings,
    PlateauSettings,
    UncertaintySettings,
)
from alupdate.stopping.quantities import cohens_kappa, mean_normalised_entropy, share_changed


@dataclass(frozen=True)
class Evidence:
    """What is known after a cycle.

    Attributes:
        logits: (S, C), of the stop set.
        before: (S, C), of the model before; None in the first cycle.
        unlabelled: (S,), whether each instance has no label yet.
        left_out: returns the left-out accuracy on the labels, NaN where it is not defined; a
            function, as it takes time.
    """

    logits: Tensor
    before: Tensor | None
    unlabelled: Tensor
    left_out: Callable[[], float]

    def predictions(self, *, all_instances: bool) -> tuple[Tensor, Tensor] | None:
        """Return what is predicted now and was before; None in the first cycle."""
        if self.before is None:
            return None
        now, then = self.logits.argmax(dim=1), self.before.argmax(dim=1)
        return (now, then) if all_instances else (now[self.unlabelled], then[self.unlabelled])


class StoppingRule(Protocol):
    """A rule that says when labelling may end."""

    def value(self, evidence: Evidence) -> float:
        """Return the quantity of a cycle; NaN where it is not defined."""
        ...

    def stops(self, values: Sequence[float]) -> bool:
        """Return whether to stop, given the quantities of cycles 0, 1, ... up to now."""
        ...


@dataclass(frozen=True)
class PlateauRule(StoppingRule):
    """Gain of left-out accuracy from one window of cycles to the next: stops where it is small.

    That an estimate of performance gains nothing any more is the idea of [Laws2008]. The labels
    are those that the strategy chose: where it turns to hard instances, the estimate falls.

    Example:
        >>> rule = PlateauRule(PlateauSettings(tolerance=0.01, window=2))
        >>> rule.stops([0.5, 0.6, 0.7]), rule.stops([0.6, 0.7, 0.6, 0.71])
        (False, True)
    """

    settings: PlateauSettings

    @override
    def value(self, evidence: Evidence) -> float:
        return evidence.left_out()

    @override
    def stops(self, values: Sequence[float]) -> bool:
        window = self.settings.window
        before, recent = values[-2 * window : -window], values[-window:]
        if len(before) < window:
            return False
        return (math.fsum(recent) - math.fsum(before)) / window <= self.settings.tolerance


@dataclass(frozen=True)
class KappaRule(StoppingRule):
    """Cohen's kappa of successive predictions on the stop set [Bloodgood2009].

    Stops where its mean over a window reaches the threshold. A cycle without kappa is no agreement.
    """

    settings: KappaSettings

    @override
    def value(self, evidence: Evidence) -> float:
        found = evidence.predictions(all_instances=True)
        return math.nan if found is None else cohens_kappa(*found)

    @override
    def stops(self, values: Sequence[float]) -> bool:
        recent = values[-self.settings.window :]
        if len(recent) < self.settings.window:
            return False
        return math.fsum(recent) / len(recent) >= self.settings.threshold


@dataclass(frozen=True)
class ChangeRule(StoppingRule):
    """Share of changed predictions for what is not labelled [Zhu2008]: stops where it is small."""

    settings: ChangeSettings

    @override
    def value(self, evidence: Evidence) -> float:
        found = evidence.predictions(all_instances=False)
        return math.nan if found is None else share_changed(*found)

    @override
    def stops(self, values: Sequence[float]) -> bool:
        return values[-1] <= self.settings.share


@dataclass(frozen=True)
class UncertaintyRule(StoppingRule):
    """Mean normalised entropy of what is not labelled [Zhu2010]: stops where it is small."""

    settings: UncertaintySettings

    @override
    def value(self, evidence: Evidence) -> float:
        return mean_normalised_entropy(evidence.logits[evidence.unlabelled])

    @override
    def stops(self, values: Sequence[float]) -> bool:
        return values[-1] < self.settings.threshold


RULES: Mapping[str, Callable[[Any], StoppingRule]] = {
    "accuracy_plateau": PlateauRule,
    "kappa": KappaRule,
    "classification_change": ChangeRule,
    "overall_uncertainty": UncertaintyRule,
}
"""By name, as the config has them."""
