"""What is recorded of each update in the comparison of updates, and its CSV table."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from alupdate.config import RunConfig, display_name
from alupdate.results.tables import csv_text


@dataclass(frozen=True)
class UpdateRecord:
    """One model on one pair of an initial and a new set of labels.

    Attributes:
        n_initial, n_new: numbers of labels of the base model, and new ones.
        method: base | retrain | retrain_lbfgs | an update's name.
        likelihood: of the posterior that was updated; empty for the first three.
        prior_precision: of that posterior; NaN for the first three.
        gamma: step size; NaN for the first three.
        step_size: how gamma was found: fixed | auto; empty for the first three.
        accuracy, nll, brier, ece, ace: on the test set.
        decision_flips: share of test instances whose prediction differs from the base model's.
        agreement: share of test instances with the prediction of the retrained model.
        seconds: of the update (median of five; one run where it takes over 50 ms) or of
            retraining, posterior included; 0 for the base model.
        speedup: seconds of retraining by the configured solver over these seconds.
        choice_seconds: what finding gamma took.
    """

    n_initial: int
    n_new: int
    method: str
    likelihood: str
    prior_precision: float
    gamma: float
    step_size: str
    accuracy: float
    nll: float
    brier: float
    ece: float
    ace: float
    decision_flips: float
    agreement: float
    seconds: float
    speedup: float
    choice_seconds: float


COLUMNS = ("run", "dataset", "backbone", "seed", *(field.name for field in fields(UpdateRecord)))


def update_table(run: str, config: RunConfig, records: Sequence[UpdateRecord]) -> str:
    """Return updates.csv."""
    identity = [run, display_name(config.dataset), display_name(config.backbone), config.seed]
    return csv_text(COLUMNS, [[*identity, *astuple(record)] for record in records])
