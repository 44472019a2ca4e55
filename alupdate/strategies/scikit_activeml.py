"""The pool strategies of the library scikit-activeml, on this program's model and features."""

import inspect
import warnings
from typing import Any

import numpy as np
import skactiveml.pool
import torch
from numpy.typing import NDArray
from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
from skactiveml.classifier import (
    MixtureModelClassifier,
    ParzenWindowClassifier,
    SklearnClassifier,
)
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from alupdate.config import SkactivemlStrategy
from alupdate.laplace.predictive import sample_weights
from alupdate.strategies.base import Positions, Query, checked
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.seeds import sub_seed

OWN_CLASSIFIERS = {
    "ProbabilisticAL": ParzenWindowClassifier,
    "EpistemicUncertaintySampling": ParzenWindowClassifier,
    "MonteCarloEER": ParzenWindowClassifier,
    "ValueOfInformationEER": ParzenWindowClassifier,
    "FourDs": MixtureModelClassifier,
}
"""Those that ask a classifier for more than probabilities, or refit it, bring their own."""

COMMITTEE = 10
"""Members of the committees that some strategies want, drawn from the posterior."""


class ScikitActiveml:
    """Any pool strategy of scikit-activeml for classification, by the name of its class.

    It sees the features and labels bought so far and the current model's predictions; committees
    are drawn from the posterior. Its random state comes from the run's seed.
    """

    needs_oracle = False

    def __init__(self, settings: SkactivemlStrategy) -> None:
        self._name = settings.query_strategy
        self._parameters = dict(settings.parameters)
        self._class = _find(self._name)
        _refuse_unknown(self._class, self._name, self._parameters)

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``.

        Raises:
            InputError: the library refuses the parameters or the data, in its own words, or its
                answer repeats itself, as FourDs' does on identical instances.
        """
        try:
            with threadpool_limits(limits=1, user_api="openmp"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = self._select(query, size)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"strategy.query_strategy={self._name}: {text}") from error
        return checked(answer, query, size, f"strategy.query_strategy={self._name}")

    def _select(self, query: Query, size: int) -> Positions:
        known, classes = len(query.labelled_features), query.logits.shape[1]
        features = torch.cat([query.labelled_features, query.features]).numpy(force=True)
        targets = np.full(len(features), np.nan)
        targets[:known] = query.labelled_labels.numpy(force=True)
        strategy = self._make(query, classes)
        arguments = self._models(query, features, targets)
        chosen = strategy.query(
            X=features.astype(np.float64),
            y=targets,
            candidates=query.free() + known,
            batch_size=size,
            **arguments,
        )
        return np.asarray(chosen, dtype=np.int64) - known

    def _make(self, query: Query, classes: int) -> Any:
        """Return the library's object, seeded, and told of the classes where it asks."""
        known = inspect.signature(self._class).parameters
        given: dict[str, Any] = {"random_state": sub_seed(query.rng)}
        if "classes" in known:
            given["classes"] = list(range(classes))
        if "n_classes" in known:
            given["n_classes"] = classes
        if "cluster_algo_dict" in known:
            given["cluster_algo_dict"] = {"random_state": given["random_state"]}
        return self._class(**{**given, **self._parameters})

    def _models(self, query: Query, features: Any, targets: Any) -> dict[str, Any]:
        """Return the models that the strategy's ``query`` asks for."""
        asked = inspect.signature(self._class.query).parameters
        labels, seed = list(range(query.logits.shape[1])), sub_seed(query.rng)
        if self._name in OWN_CLASSIFIERS:
            return {"clf": OWN_CLASSIFIERS[self._name](classes=labels, random_state=seed)}
        if "discriminator" in asked:
            return {"discriminator": SklearnClassifier(LogisticRegression(), random_state=seed)}
        if "ensemble" in asked:
            drawn = sample_weights(query.posterior, COMMITTEE, query.rng).numpy(force=True)
            members = [_classifier(weights, labels, seed, features, targets) for weights in drawn]
            return {"ensemble": members, "fit_ensemble": False}
        for model, fit in (("clf", "fit_clf"), ("estimator", "fit_estimator")):
            if model in asked:
                weights = query.posterior.mean.numpy(force=True)
                return {model: _classifier(weights, labels, seed, features, targets), fit: False}
        return {}


class LinearClassifier(SkactivemlClassifier):
    """softmax(W phi) behind the library's interface; fitting does not change the weights."""

    def __init__(
        self,
        weights: NDArray[np.floating] | None = None,
        classes: list[int] | None = None,
        missing_label: float = np.nan,
        cost_matrix: None = None,
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            classes=classes,
            missing_label=missing_label,
            cost_matrix=cost_matrix,
            random_state=random_state,
        )
        self.weights = weights

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "LinearClassifier":
        """Take note of the classes."""
        self._validate_data(X, y, sample_weight)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the probabilities (N, C) of features (N, D)."""
        logits = torch.from_numpy(np.asarray(X, dtype=np.float64) @ np.asarray(self.weights).T)
        probabilities: NDArray[np.floating] = torch.softmax(logits, dim=1).numpy()
        return probabilities


def _classifier(
    weights: NDArray[np.floating], labels: list[int], seed: int, features: Any, targets: Any
) -> LinearClassifier:
    return LinearClassifier(weights, classes=labels, random_state=seed).fit(features, targets)


def _find(name: str) -> Any:
    """Return the class of that name.

    Raises:
        InputError: there is none, or it is not for the pool of a classification task.
    """
    available: dict[str, Any] = {
        key: value
        for key, value in vars(skactiveml.pool).items()
        if inspect.isclass(value) and issubclass(value, SingleAnnotatorPoolQueryStrategy)
    }
    found = available.get(name)
    if found is None:
        hint = suggestion(name, sorted(available))
        raise InputError(
            f"strategy.query_strategy={name}: no such strategy in scikit-activeml; {hint}"
            f"available: {', '.join(sorted(available))}"
        )
    asked = inspect.signature(found.query).parameters
    problem = None
    if "reg" in asked:
        problem = "is for regression"
    elif "query_kwargs" in asked:
        problem = "wraps another strategy"
    elif name == "ExpectedErrorReduction" or inspect.isabstract(found):
        problem = "is the base of other strategies"
    if problem is not None:
        raise InputError(f"strategy.query_strategy={name}: {problem}, choose another")
    return found


def _refuse_unknown(found: Any, name: str, parameters: dict[str, Any]) -> None:
    known = [key for key in inspect.signature(found).parameters if key != "random_state"]
    for key in parameters:
        if key not in known:
            raise InputError(
                f"strategy.parameters.{key}: {name} has no such parameter; "
                f"{suggestion(key, known)}available: {', '.join(known)}"
            )
