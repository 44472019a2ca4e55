"""What annotators who err said in each cycle of a run, and how many labels are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

ANNOTATION_COLUMNS = (
    "run", "cycle", "n_labelled", "n_instances", "n_again", "n_changed", "n_wrong",
    "label_accuracy",
)  # fmt: skip
"""Of annotations.csv."""


@dataclass(frozen=True)
class CycleAnnotations:
    """The annotations of one cycle.

    Attributes:
        given: instance, annotator and class index of each annotation, in the order of asking:
            those of the new instances, then those of instances that were labelled before.
        n_changed: labels of such instances that the vote changed.
        n_wrong: of all labels after the cycle.
    """

    given: tuple[tuple[int, int, int], ...]
    n_changed: int
    n_wrong: int


def annotation_rows(
    run: str, cycles: Sequence[tuple[Sequence[int], CycleAnnotations | None]]
) -> list[list[object]]:
    """Return the rows of annotations.csv; none for a run whose annotations are always right.

    Args:
        run: its name.
        cycles: of each the instances that are new, and the annotations.
    """
    rows: list[list[object]] = []
    asked, instances = 0, 0
    for number, (new, annotations) in enumerate(cycles):
        if annotations is None:
            return []
        instances += len(new)
        asked += len(annotations.given)
        again = sum(index not in set(new) for index, _, _ in annotations.given)
        accuracy = 1 - annotations.n_wrong / instances if instances else float("nan")
        counts = (asked, instances, again, annotations.n_changed, annotations.n_wrong)
        rows.append([run, number, *counts, accuracy])
    return rows


def n_annotations(new: Sequence[int], seen: set[int], annotations: CycleAnnotations | None) -> int:
    """Return how many annotations a cycle has: one per new instance where all are right.

    Args:
        new: instances labelled in the cycle.
        seen: instances labelled by its end.
        annotations: what annotators said.

    Raises:
        ValueError: no run can have these.
    """
    if annotations is None:
        return len(new)
    about = {index for index, _, _ in annotations.given}
    if not set(new) <= about <= seen:
        raise ValueError("the annotations are not about the instances")
    if min((number for row in annotations.given for number in row), default=0) < 0:
        raise ValueError("an annotation has a number below 0")
    if not (0 <= annotations.n_wrong <= len(seen) and annotations.n_changed >= 0):
        raise ValueError("more labels are wrong than there are")
    return len(annotations.given)
