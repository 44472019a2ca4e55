"""The learner of networks that are trained end to end."""

import copy

import torch
from torch import Tensor

from alupdate.backbones.end_to_end import (
    Trainable,
    features_of,
    seeded,
    settle_statistics,
    train_network,
)
from alupdate.config import UpdateConfig
from alupdate.data.instances import IntArray
from alupdate.laplace.posterior import with_bias
from alupdate.learner import Model, posterior_of, recipe_of
from alupdate.seeds import Stream, generator, sub_seed

N_SETTLING = 512
"""Images of the pool that batch normalisation's statistics come from, at most."""


class NetworkLearner:
    """A network retrained as a whole; its last layer has the posterior."""

    def __init__(
        self, trainable: Trainable, settings: UpdateConfig, seed: int, device: torch.device
    ) -> None:
        self._trainable, self._settings = trainable, settings
        self._seed, self._device = seed, device

    def fit(self, indices: IntArray, labels: IntArray, cycle: int) -> Model:
        """See ``Learner``."""
        start = self._trainable
        network = copy.deepcopy(start.initial)
        kept = start.pool[torch.from_numpy(indices)]
        rng = generator(self._seed, Stream.TRAINING, cycle)

        def images(positions: Tensor) -> Tensor:
            return start.inputs(start.augmented(kept[positions], rng))

        # Some networks drop units or layers at random, by PyTorch's global generator.
        with seeded(sub_seed(generator(self._seed, Stream.TRAINING, cycle))):
            train_network(
                network,
                images,
                torch.from_numpy(labels).to(self._device),
                recipe_of(self._settings),
                start.learning_rate,
                rng,
            )
        sample = torch.from_numpy(rng.permutation(len(start.pool))[:N_SETTLING])
        settle_statistics(network, start.pool[sample], start)
        pool, test = (with_bias(features_of(network, x, start)) for x in (start.pool, start.test))
        weights = torch.cat([network.last.weight, network.last.bias[:, None]], dim=1).detach()
        rows = pool[torch.from_numpy(indices)]
        return Model(pool, test, posterior_of(weights, rows, self._settings))
