"""The pool strategies of the library scikit-activeml, on this program's model and features."""

import inspect
import warnings
from functools import cache, cached_property
from importlib import metadata
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from threadpoolctl import threadpool_limits
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, OpenMapping, Scalar, that_matches
from alupdate.laplace.names import GAUSSIAN
from alupdate.laplace.posterior import fit_posterior
from alupdate.laplace.predictive import sample_weights
from alupdate.strategies.base import Positions, Query, StrategyOption, checked
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.seeds import sub_seed

OWN_CLASSIFIERS = {
    "ProbabilisticAL": "ParzenWindowClassifier",
    "EpistemicUncertaintySampling": "ParzenWindowClassifier",
    "MonteCarloEER": "ParzenWindowClassifier",
    "ValueOfInformationEER": "ParzenWindowClassifier",
    "FourDs": "MixtureModelClassifier",
}
"""Those that ask a classifier for more than probabilities, or refit it, bring their own."""

PACKAGE = "scikit-activeml"
COMMITTEE = 10
"""Members of the committees that some strategies want, drawn from the posterior."""
FEW, DIMENSION = 40, 8
"""Instances and features of a small made-up query."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ScikitActiveml(StrategyOption):
    """Any pool strategy of scikit-activeml for classification [Kottke2021], by its class's name.

    It sees the features and labels of labelled instances and the current model's predictions;
    committees are drawn from the posterior. Its random state comes from ``query.rng``. The library,
    an extra that takes seconds to import, is imported when the strategy is first asked for
    anything, or by ``load``.

    Attributes:
        query_strategy: the name of the class, as in ``Falcun``.
        parameters: of its constructor.
    """

    name: Literal["skactiveml"] = "skactiveml"
    uses_labels: ClassVar[bool] = True
    signed: ClassVar[bool | None] = None
    query_strategy: Annotated[
        str, Field(strict=True), that_matches(r"[A-Za-z_]\w*", "must be the name of a class")
    ]
    parameters: OpenMapping = Field(default_factory=dict)

    @override
    def digests(self) -> dict[str, str]:
        try:
            return {PACKAGE: metadata.version(PACKAGE)}
        except metadata.PackageNotFoundError:  # ``load`` says so
            return {}

    @override
    def load(self) -> None:
        _ = self.library_class

    @override
    def try_out(self, classes: int, labelled: int, candidates: int, size: int) -> None:
        """Ask for a small batch; only where that fails for one of full size, which takes longer."""
        few = min(candidates, FEW)
        try:
            self.select(made_up_query(classes, min(labelled, FEW), few), min(size, few // 2))
        except InputError:
            self.select(made_up_query(classes, labelled, candidates), min(size, candidates))

    @cached_property
    def library_class(self) -> Any:
        """The library's class.

        Raises:
            InputError: the library is missing, or has no such class or parameter.
        """
        found = _find(self.query_strategy)
        _refuse_unknown(found, self.query_strategy, self.parameters)
        return found

    def utilities(self, query: Query) -> Tensor:
        """Return what the library reports for the first pick (P,); NaN for those in the batch.

        Some of its strategies draw their picks by these numbers instead of taking the highest.
        """
        scores = torch.from_numpy(np.asarray(self._answer(query, 1, scores=True), dtype=np.float64))
        return scores[0, len(query.labelled_features) :].to(query.features)

    @override
    def select(self, query: Query, size: int) -> Positions:
        chosen = np.asarray(self._answer(query, size), dtype=np.int64)
        positions = chosen - len(query.labelled_features)
        return checked(positions, query, size, self._key)  # FourDs repeats itself on copies

    def _answer(self, query: Query, size: int, scores: bool = False) -> Any:
        """Return the library's choice (size,), or its utilities (size, K + t + P).

        Raises:
            InputError: the library is missing or refuses the parameters or the data, in its words.
        """
        self.load()
        try:
            with threadpool_limits(limits=1, user_api="openmp"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = self._ask(query, size, scores)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self._key}: {PACKAGE} says: {text}") from error
        return answer[1] if scores else answer

    def _ask(self, query: Query, size: int, scores: bool) -> Any:
        known, classes = len(query.labelled_features), query.n_classes
        features = torch.cat([query.labelled_features, query.features]).numpy(force=True)
        targets = np.full(len(features), np.nan)
        targets[:known] = query.labelled_labels.numpy(force=True)
        strategy = self._make(query, classes)
        arguments = self._models(query, features, targets)
        return strategy.query(
            X=features.astype(np.float64),
            y=targets,
            candidates=query.free() + known,
            batch_size=size,
            return_utilities=scores,
            **arguments,
        )

    def _make(self, query: Query, classes: int) -> Any:
        """Return the library's object, seeded, and told of the classes where it asks."""
        known = inspect.signature(self.library_class).parameters
        given: dict[str, Any] = {"random_state": sub_seed(query.rng)}
        if "classes" in known:
            given["classes"] = list(range(classes))
        if "n_classes" in known:
            given["n_classes"] = classes
        if "cluster_algo_dict" in known:
            given["cluster_algo_dict"] = {"random_state": given["random_state"]}
        return self.library_class(**{**given, **self.parameters})

    def _models(self, query: Query, features: Any, targets: Any) -> dict[str, Any]:
        """Return the models that the strategy's ``query`` asks for."""
        from skactiveml import classifier
        from sklearn.linear_model import LogisticRegression

        asked = inspect.signature(self.library_class.query).parameters
        labels, seed = list(range(query.n_classes)), sub_seed(query.rng)
        if self.query_strategy in OWN_CLASSIFIERS:
            own = getattr(classifier, OWN_CLASSIFIERS[self.query_strategy])
            return {"clf": own(classes=labels, random_state=seed)}
        if "discriminator" in asked:
            wrapped = classifier.SklearnClassifier(LogisticRegression(), random_state=seed)
            return {"discriminator": wrapped}
        linear = linear_classifier()
        if "ensemble" in asked:
            drawn = sample_weights(query.posterior, COMMITTEE, query.rng).numpy(force=True)
            members = [linear(w, classes=labels, random_state=seed) for w in drawn]
            return {"ensemble": [m.fit(features, targets) for m in members], "fit_ensemble": False}
        for model, fit in (("clf", "fit_clf"), ("estimator", "fit_estimator")):
            if model in asked:
                weights = query.posterior.mean.numpy(force=True)
                one = linear(weights, classes=labels, random_state=seed)
                return {model: one.fit(features, targets), fit: False}
        return {}

    @property
    def _key(self) -> str:
        """The setting that chose the class, for complaints."""
        return f"strategy.query_strategy={self.query_strategy}"


def made_up_query(classes: int, labelled: int, candidates: int) -> Query:
    """Return a query on random features; all classes are labelled, if there are enough labels."""
    rng = np.random.default_rng(0)
    weights, known, pool = (
        torch.from_numpy(rng.normal(size=(count, DIMENSION)).astype(np.float32))
        for count in (classes, labelled, candidates)
    )
    posterior = fit_posterior(weights, known, GAUSSIAN, 1.0)
    return Query.of(posterior, pool, known, torch.arange(labelled) % classes)


@cache
def linear_classifier() -> Any:
    """Return the class of softmax(W phi) behind the library's interface."""
    from skactiveml.base import SkactivemlClassifier

    class LinearClassifier(SkactivemlClassifier):
        """softmax(W phi); fitting does not change the weights."""

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

    return LinearClassifier


def _find(name: str) -> Any:
    """Return the class of that name.

    Raises:
        InputError: the library is missing, there is no such class, or it is not for the pool of a
            classification task.
    """
    try:
        from skactiveml import pool
        from skactiveml.base import SingleAnnotatorPoolQueryStrategy
    except ImportError as error:
        raise InputError(
            f"strategy=skactiveml: {error}; pip install 'alupdate[skactiveml]'"
        ) from error
    available: dict[str, Any] = {
        key: value
        for key, value in vars(pool).items()
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


def _refuse_unknown(found: Any, name: str, parameters: dict[str, Scalar]) -> None:
    known = [key for key in inspect.signature(found).parameters if key != "random_state"]
    for key in parameters:
        if key not in known:
            raise InputError(
                f"strategy.parameters.{key}: {name} has no such parameter; "
                f"{suggestion(key, known)}available: {', '.join(known)}"
            )
