"""The config group ``stop``: rules that say when labelling may end, and whether they end a run."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Count

RuleName = Literal["accuracy_plateau", "kappa", "classification_change", "overall_uncertainty"]
AtMostOne = Annotated[float, Field(strict=True, gt=0, le=1)]
BelowOne = Annotated[float, Field(strict=True, ge=0, lt=1)]


def _distinct(names: tuple[RuleName, ...]) -> tuple[RuleName, ...]:
    if not names:
        raise ValueError("must name a rule")
    if len(set(names)) < len(names):
        raise ValueError("names a rule twice")
    return names


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class PlateauSettings:
    """No gain in left-out accuracy on the labels.

    Attributes:
        tolerance: a gain of no more than this is none.
        window: cycles whose mean is compared with that of as many before.
    """

    tolerance: BelowOne = 0.005
    window: Count = 5


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class KappaSettings:
    """Agreement of successive predictions on the stop set [Bloodgood2009].

    Attributes:
        threshold: of the mean of Cohen's kappa.
        window: cycles over which the mean is taken.
    """

    threshold: AtMostOne = 0.99
    window: Count = 3


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ChangeSettings:
    """No predicted label changes from one cycle to the next [Zhu2008].

    Attributes:
        share: of the predictions that may change all the same.
    """

    share: BelowOne = 0.0


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class UncertaintySettings:
    """Small mean entropy of what is not labelled [Zhu2010].

    Attributes:
        threshold: of the entropy over that of the uniform distribution.
    """

    threshold: AtMostOne = 0.05


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class NoStop:
    """No rule is evaluated; a run has all its cycles."""

    ends_run: ClassVar[bool] = False
    name: Literal["none"] = "none"

    @property
    def used(self) -> Mapping[str, Any]:
        """Name of each rule that is evaluated to its settings."""
        return {}


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class _OneRule:
    """A rule that ends a run."""

    ends_run: ClassVar[bool] = True

    @property
    def used(self) -> Mapping[str, Any]:
        """Name of the rule to its settings."""
        return {getattr(self, "name"): self}  # noqa: B009 of each subclass


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class _OnStopSet:
    """A part of the pool on which predictions are compared.

    Attributes:
        size: instances in it; None for the whole pool.
    """

    size: Count | None = 1000


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class AccuracyPlateau(PlateauSettings, _OneRule):
    """Ends a run where left-out accuracy gains nothing."""

    name: Literal["accuracy_plateau"]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class KappaAgreement(KappaSettings, _OnStopSet, _OneRule):
    """Ends a run where successive predictions agree."""

    name: Literal["kappa"]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ClassificationChange(ChangeSettings, _OnStopSet, _OneRule):
    """Ends a run where predictions do not change."""

    name: Literal["classification_change"]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class OverallUncertainty(UncertaintySettings, _OnStopSet, _OneRule):
    """Ends a run where the model is sure of what is not labelled."""

    name: Literal["overall_uncertainty"]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class _SeveralRules(_OnStopSet):
    """Several rules.

    Attributes:
        rules: those that are evaluated.
        accuracy_plateau, kappa, classification_change, overall_uncertainty: settings of each.
    """

    rules: Annotated[tuple[RuleName, ...], AfterValidator(_distinct)] = (
        "accuracy_plateau",
        "kappa",
        "classification_change",
        "overall_uncertainty",
    )
    accuracy_plateau: PlateauSettings = PlateauSettings()
    kappa: KappaSettings = KappaSettings()
    classification_change: ChangeSettings = ChangeSettings()
    overall_uncertainty: UncertaintySettings = UncertaintySettings()

    @property
    def used(self) -> Mapping[str, Any]:
        """Name of each rule that is evaluated to its settings."""
        return {rule: getattr(self, rule) for rule in self.rules}


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class WatchedRules(_SeveralRules):
    """Evaluates rules after every cycle; a run has all its cycles."""

    ends_run: ClassVar[bool] = False
    name: Literal["watch"]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class AnyRule(_SeveralRules):
    """Ends a run with the first of several rules."""

    ends_run: ClassVar[bool] = True
    name: Literal["any"]


StopConfig = Annotated[
    NoStop
    | WatchedRules
    | AnyRule
    | AccuracyPlateau
    | KappaAgreement
    | ClassificationChange
    | OverallUncertainty,
    Field(discriminator="name"),
]
