"""The posterior over the last layer's weights against laplace-torch.

What is the same in both. Our ``gaussian`` likelihood gives the precision I_C (x) (Phi^T Phi +
lambda I). laplace-torch has this very matrix as the last layer's Kronecker factors of a
*regression* with unit noise, so there the covariances are compared number by number. It refuses to
predict classes from a regression; for those, people take its default, the Kronecker factors of a
*classification*: the same Phi^T Phi, times the mean of diag(p) - p p^T in place of I_C.

Our ``per_class`` likelihood gives every class its own precision, lambda I + sum_n p_nc (1 - p_nc)
phi_n phi_n^T. These are the blocks on the diagonal of laplace-torch's ``full`` precision, which has
(C D)^2 numbers, and are compared with them; what couples the classes is beyond our blocks.

The prior precision is 1 in both, and tuned in neither, which flatters a likelihood whose curvature
does not vanish where the model is sure.

laplace-torch at its best: for each structure the backend that is fastest, all data in a single
minibatch, predictions in the chunks that are fastest; the inverse of its full matrix, which it
computes when first asked to predict, counts as part of the fit, as it does in ours.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from laplace import Laplace
from laplace.curvature import BackPackGGN, CurvlinopsGGN
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from alupdate.laplace.per_class import PerClassPosterior, fit_per_class
from alupdate.laplace.posterior import LastLayerPosterior, Posterior, fit_posterior
from alupdate.laplace.predictive import mean_field, monte_carlo_predictive
from alupdate.models.training import optimal_linear
from benchmarks.measure import Row, in_turn
from benchmarks.problems import WEIGHT_DECAY, Problem, make_problem

PRIOR, SAMPLES = 1.0, 100
SLOW_REPEATS = 3
"""Runs of what takes laplace-torch seconds."""
KRON_CHUNK, FULL_CHUNK = 100, 500
"""Points that laplace-torch predicts at a time: more, or fewer, take it longer."""


@contextmanager
def quiet() -> Iterator[None]:
    """Let the library use what PyTorch deprecates without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Sizes:
    """N labelled instances with D features of C classes, and T points to predict.

    ``full_points`` are fewer: laplace-torch needs two minutes for 10,000 with its full matrix.
    """

    labelled: int = 1000
    dimension: int = 384
    classes: int = 10
    points: int = 10_000
    full_points: int = 500

    def words(self) -> str:
        """Return the sizes for a row."""
        return f"D={self.dimension} C={self.classes} N={self.labelled:,} prior {PRIOR:g}"


@dataclass(frozen=True)
class Setting:
    """Trained weights (C, D), what they were trained on, and what to predict."""

    sizes: Sizes
    labelled: Problem
    test: Problem
    weights: Tensor
    model: nn.Module = field(repr=False)

    @classmethod
    def of(cls, sizes: Sizes) -> "Setting":
        """Return a problem of the given sizes, and the same layer as a model of torch's kind."""
        labelled, test = (
            make_problem(count, sizes.dimension, sizes.classes, seed)
            for seed, count in enumerate((sizes.labelled, sizes.points))
        )
        weights = optimal_linear(labelled.features, labelled.labels, sizes.classes, WEIGHT_DECAY)
        layer = nn.Linear(sizes.dimension + 1, sizes.classes, bias=False)  # the features have one
        layer.weight.data.copy_(weights)
        return cls(sizes, labelled, test, weights, nn.Sequential(nn.Identity(), layer))

    def gaussian(self) -> Posterior:
        """Return our posterior with one covariance for all classes."""
        return fit_posterior(self.weights, self.labelled.features, "gaussian", PRIOR)

    def per_class(self) -> PerClassPosterior:
        """Return our posterior with a covariance per class."""
        return fit_per_class(self.weights, self.labelled.features, PRIOR)

    def peer(self, likelihood: str, structure: str) -> Any:
        """Return laplace-torch's posterior over the last layer, ready to predict."""
        features, targets = self.labelled.features, self.labelled.labels
        if likelihood == "regression":
            targets = nn.functional.one_hot(targets, self.sizes.classes).to(features)
        with quiet():
            posterior: Any = Laplace(
                self.model,
                likelihood,
                subset_of_weights="last_layer",
                hessian_structure=structure,
                prior_precision=PRIOR,
                backend=CurvlinopsGGN if structure == "full" else BackPackGGN,
            )
            posterior.fit(DataLoader(TensorDataset(features, targets), batch_size=len(features)))
            if structure == "full":
                _ = posterior.posterior_covariance  # is computed when first asked for
        return posterior


def rows(quick: bool, sizes: Sizes | None = None) -> Iterator[Row]:
    """Yield the rows; laplace-torch's full matrix, which takes minutes, in the full run only."""
    chosen = sizes or (Sizes(points=1000) if quick else Sizes())
    setting, repeats = Setting.of(chosen), 5 if quick else 7
    yield fit_row(setting, repeats)
    yield from predictive_rows(setting, repeats)
    if not quick:
        yield from full_rows(setting)


def fit_row(setting: Setting, repeats: int) -> Row:
    """Fit the same Gaussian twice: our shared covariance, and Kronecker factors of a regression."""
    ours, other = in_turn([setting.gaussian, partial(setting.peer, "regression", "kron")], repeats)
    return Row(
        section="peers",
        what=f"posterior with one covariance, fit, {setting.sizes.words()}",
        against="laplace-torch, Kronecker factors of a regression (the same matrix)",
        ours=ours,
        other=other,
        agreement=_difference(shared_difference(setting)),
    )


def predictive_rows(setting: Setting, repeats: int) -> Iterator[Row]:
    """Predict classes: mean field against probit in closed form, and both by samples."""
    ours, peer = setting.gaussian(), setting.peer("classification", "kron")
    what = f"T={setting.sizes.points:,} {setting.sizes.words()}"
    against = "laplace-torch, Kronecker factors of the classification, "
    features = setting.test.features
    yield _predictive_row(
        setting.test,
        f"predictive in closed form, one covariance, {what}",
        f"{against}probit",
        lambda: mean_field(ours, features),
        lambda: probit(peer, features, KRON_CHUNK),
        SLOW_REPEATS,
    )
    yield _predictive_row(
        setting.test,
        f"predictive by {SAMPLES} samples, one covariance, {what}",
        f"{against}sampled weights",
        lambda: sampled(ours, features),
        lambda: peer_sampled(peer, features),
        repeats,
    )


def full_rows(setting: Setting) -> Iterator[Row]:
    """A covariance per class against one for all weights together."""
    against = "laplace-torch, full matrix"
    first, second = in_turn(
        [setting.per_class, partial(setting.peer, "classification", "full")], SLOW_REPEATS
    )
    yield Row(
        section="peers",
        what=f"posterior with a covariance per class, fit, {setting.sizes.words()}",
        against=against,
        ours=first,
        other=second,
        agreement=f"blocks of the classes: {_difference(class_difference(setting))}",
    )
    ours, peer = setting.per_class(), setting.peer("classification", "full")
    some = Problem(*(part[: setting.sizes.full_points] for part in _parts(setting.test)))
    what = f"a covariance per class, T={len(some.labels):,} {setting.sizes.words()}"
    yield _predictive_row(
        some,
        f"predictive in closed form, {what}",
        f"{against}, probit",
        lambda: mean_field(ours, some.features),
        lambda: probit(peer, some.features, FULL_CHUNK),
        SLOW_REPEATS,
    )


def shared_difference(setting: Setting) -> float:
    """Return the largest difference of the shared covariance to laplace-torch's, relative."""
    precision = setting.peer("regression", "kron").posterior_precision.to_matrix()
    ours = setting.gaussian().covariance.double()
    difference = class_covariances(precision, setting.sizes.classes) - ours
    return float(difference.abs().max() / ours.abs().max())


def class_difference(setting: Setting) -> float:
    """Return the largest difference of the classes' covariances to laplace-torch's, relative."""
    precision = setting.peer("classification", "full").posterior_precision
    ours = setting.per_class().covariance_matrices().double()
    difference = class_covariances(precision, setting.sizes.classes) - ours
    return float(difference.abs().max() / ours.abs().max())


def class_covariances(precision: Tensor, classes: int) -> Tensor:
    """Return the inverses (C, D, D) of the classes' blocks of a precision matrix (C D, C D)."""
    exact = precision.detach().double()
    blocks = exact.view(classes, -1, classes, len(exact) // classes).diagonal(dim1=0, dim2=2)
    inverses: Tensor = torch.linalg.inv(blocks.permute(2, 0, 1))
    return inverses


def probit(peer: Any, features: Tensor, chunk: int) -> Tensor:
    """Return laplace-torch's predictive (T, C) in closed form."""
    parts = [
        peer(part, pred_type="glm", link_approx="probit") for part in torch.split(features, chunk)
    ]
    return torch.cat(parts)


def peer_sampled(peer: Any, features: Tensor) -> Tensor:
    """Return laplace-torch's predictive (T, C) by samples of the weights, its fastest."""
    with quiet():
        predicted: Tensor = peer(
            features,
            pred_type="nn",
            link_approx="mc",
            n_samples=SAMPLES,
            generator=torch.Generator().manual_seed(0),
        )
    return predicted


def sampled(ours: LastLayerPosterior, features: Tensor) -> Tensor:
    """Return our predictive (T, C) by as many samples."""
    return monte_carlo_predictive(ours, features, SAMPLES, np.random.default_rng(0))


def _predictive_row(
    test: Problem,
    what: str,
    against: str,
    ours: Callable[[], Tensor],
    other: Callable[[], Tensor],
    repeats: int,
) -> Row:
    first, second = in_turn([ours, other], repeats)
    scores = [_score(test, predicted()) for predicted in (ours, other)]
    return Row(
        section="peers",
        what=what,
        against=against,
        ours=first,
        other=second,
        agreement=f"{scores[0]}; theirs {scores[1]}",
    )


def _score(test: Problem, probabilities: Tensor) -> str:
    accuracy = (probabilities.argmax(dim=1) == test.labels).float().mean()
    loss = nn.functional.nll_loss(probabilities.double().log(), test.labels)
    return f"accuracy {accuracy:.4f}, NLL {loss:.4f}"


def _difference(value: float) -> str:
    return f"largest relative difference of the covariance {value:.0e}"


def _parts(problem: Problem) -> tuple[Tensor, Tensor]:
    return problem.features, problem.labels
