"""The schema of the group ``annotator``: who labels, how often they err, and who is asked again."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PlainValidator
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Count, Natural

ErrorRate = Annotated[float, Field(strict=True, ge=0, le=1)]
ErrorKind = Literal["symmetric", "similar"]


def _rate_or_rates(value: object) -> float | tuple[float, ...]:
    """One message for all alternatives."""
    if isinstance(value, list | tuple):
        return tuple(map(_rate, value))
    return _rate(value)


def _rate(value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 <= float(str(value)) <= 1:
        return float(str(value))
    raise ValueError("must be a number from 0 to 1, or a list of one for each annotator")


ErrorRates = Annotated[float | tuple[float, ...], PlainValidator(_rate_or_rates)]


@dataclass(frozen=True, config=SETTINGS)
class TruthAnnotator:
    """Every annotation is right."""

    name: Literal["truth"] = "truth"
    ask_again: ClassVar[int] = 0


@dataclass(frozen=True, config=SETTINGS)
class NoisyAnnotator:
    """One annotator, who errs.

    Attributes:
        votes: annotations of each pick.
        error: probability that an annotation is wrong.
        kind: ``symmetric``: all other classes are equally likely; ``similar``: the likelier, the
            nearer their means in feature space.
        ask_again: of each batch's picks, how many are spent on labelled instances.
    """

    name: Literal["noisy"]
    votes: ClassVar[int] = 1
    error: ErrorRate = 0.1
    kind: ErrorKind = "symmetric"
    ask_again: Natural = 0

    @property
    def rates(self) -> tuple[float, ...]:
        """Of each annotator, the probability that an annotation is wrong."""
        return (self.error,)


@dataclass(frozen=True, config=SETTINGS)
class SeveralAnnotators:
    """Several annotators, who err, and a majority vote.

    Attributes:
        n: how many there are.
        errors: probability that an annotation is wrong: of all of them, or of each.
        votes: annotators who are asked about each pick.
        kind, ask_again: as for one annotator.
    """

    name: Literal["several"]
    n: Count = 3
    errors: ErrorRates = 0.2
    votes: Count = 3
    kind: ErrorKind = "symmetric"
    ask_again: Natural = 0

    @property
    def rates(self) -> tuple[float, ...]:
        """Of each annotator, the probability that an annotation is wrong."""
        return self.errors if isinstance(self.errors, tuple) else (self.errors,) * self.n


AnnotatorConfig = Annotated[
    TruthAnnotator | NoisyAnnotator | SeveralAnnotators, Field(discriminator="name")
]
