"""The verdicts of a run's stopping rules after each cycle."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from alupdate.config.stop import StopConfig
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Pool
from alupdate.laplace.left_out_accuracy import left_out_accuracy
from alupdate.models.learner import Model, labelled
from alupdate.results.stopping import StopVerdict
from alupdate.stopping.rules import RULES, Evidence
from alupdate.utils.seeds import Stream, generator


class StoppingRules:
    """Evaluates the configured rules on a stop set, a part of the pool that stays the same."""

    def __init__(self, settings: StopConfig, seed: int, candidates: IntArray) -> None:
        """Draw the stop set.

        Args:
            settings: of the rules.
            seed: of the run.
            candidates: (P,), the instances that may be labelled in the run.
        """
        self._rules = {name: RULES[name](own) for name, own in settings.used.items()}
        size = getattr(settings, "size", 0)
        drawn = generator(seed, Stream.STOP_SET).permutation(candidates)
        self.stop_set: IntArray = np.sort(drawn if size is None else drawn[:size])

    def verdicts(
        self,
        pool: Pool,
        before: Model | None,
        model: Model,
        history: Sequence[Sequence[StopVerdict]],
    ) -> tuple[StopVerdict, ...]:
        """Return one verdict per rule after a cycle.

        Args:
            pool: what is labelled after it.
            before: the model before the cycle; None in the first one.
            model: after it.
            history: the verdicts of the cycles before.
        """
        if not self._rules:
            return ()
        evidence = self._evidence(pool, before, model)
        found = []
        for name, rule in self._rules.items():
            earlier = [v.value for cycle in history for v in cycle if v.rule == name]
            value = rule.value(evidence)
            found.append(StopVerdict(name, value, rule.stops([*earlier, value])))
        return tuple(found)

    def _evidence(self, pool: Pool, before: Model | None, model: Model) -> Evidence:
        places = torch.from_numpy(self.stop_set)
        unlabelled = torch.from_numpy(~np.isin(self.stop_set, pool.indices))
        logits = model.posterior.logits(model.pool[places])

        def left_out() -> float:
            rows, labels = labelled(model, pool.indices, pool.labels)
            accuracy = left_out_accuracy(model.posterior.mean, rows, labels)
            return math.nan if accuracy is None else accuracy

        return Evidence(
            logits,
            None if before is None else before.posterior.logits(before.pool[places]),
            unlabelled.to(logits.device),
            left_out,
        )
