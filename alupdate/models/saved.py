"""A model that can be kept: the posterior over a last layer, and all that instances need before it.

It predicts on new instances, learns from new labels, and is written to two files and read back
without executing anything. The layer is that on a frozen backbone, of which the model holds the
settings and the hash of the weights, not the weights.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from alupdate.config.options import make_option, options
from alupdate.data.dataset import FloatArray, Instances, Vectors
from alupdate.laplace.names import MAP, MONTE_CARLO, PREDICTIVES, SECOND_ORDER, Predictive
from alupdate.laplace.per_class import LowRankCovariances, PerClassPosterior
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.predictive import predict
from alupdate.laplace.rules import N_HYPOTHESES, UpdateRule
from alupdate.models.features import Backbone, Parts
from alupdate.models.given import check_dimension, fitting_parts, given_instances
from alupdate.models.learner import make_rule
from alupdate.models.model_files import (
    FACTOR,
    LARGEST_TENSORS,
    MODEL_FORMAT,
    SHIFT,
    Document,
    Inputs,
    ModelFacts,
    model_file,
    packed,
    posterior_from,
    posterior_tensors,
    read_model,
    write_model,
)
from alupdate.models.scales import Scale
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, first_line
from alupdate.utils.seeds import Stream, generator

ROWS_AT_ONCE = 4096
"""Instances whose probabilities are computed together."""


def labels_digest(labelled: Iterable[tuple[str, str]], before: str = "") -> str:
    """Return a SHA-256 over the names and labels of instances in the order of labelling.

    It is a chain: the digest of some labels and that of all before them give the digest of both.

    Args:
        labelled: name and class of each instance.
        before: the digest of earlier labels; empty where there are none.

    Example:
        >>> first, second = ("1.png", "cat"), ("2.png", "dog")
        >>> labels_digest([second], labels_digest([first])) == labels_digest([first, second])
        True
    """
    for pair in labelled:
        before = hashlib.sha256(f"{before}{json.dumps(pair)}".encode()).hexdigest()
    return before


@dataclass(frozen=True)
class SavedModel:
    """A model that was kept, as ``load_model`` returns it: ``predict``, ``update`` and ``save``.

    Attributes:
        posterior: over the last layer's weights, bias included.
        classes: the C class names.
        backbone: computes the features.
        inputs: what instances the model takes.
        facts: where it comes from.
        scale: of the features; None where they are used as the backbone gives them.
        temperature: by which calibrated logits are divided; None if none was chosen.

    Example:
        >>> import alupdate
        >>> small = ["dataset=digits", "backbone=pixels", "n_cycles=1", "progress=false"]
        >>> run = alupdate.run([*small, "keep_model=true", f"results_dir={results}"])
        >>> model = alupdate.load_model(run.path)
        >>> digits = np.zeros((2, 8, 8), np.uint8)
        >>> model.predict(digits).shape, model.variances(digits).shape
        ((2, 10), (2, 1))
        >>> updated = model.update(digits[:1], ["3"], gamma=10.0)
        >>> updated.facts.n_labelled
        21
        >>> file = updated.save(f"{results}/mine")
        >>> bool((alupdate.load_model(file).predict(digits) == updated.predict(digits)).all())
        True
    """

    posterior: LastLayerPosterior
    classes: tuple[str, ...]
    backbone: Backbone
    inputs: Inputs
    facts: ModelFacts
    scale: Scale | None = None
    temperature: float | None = None

    def predict(
        self, x: Any, predictive: Predictive = MAP, calibrated: bool = False
    ) -> NDArray[np.float64]:
        """Return the probability of each class, (N, C).

        Args:
            x: for a model of feature vectors an array or tensor (N, D), or a table of pandas with
                the model's columns; for a model of images a list of paths, Pillow images or arrays
                of bytes; for a model of texts a list of strings. Any model also takes an array of
                floats (N, D): the features as its backbone gives them, before they are scaled.
            predictive: ``map``, ``mean_field`` or ``monte_carlo``.
            calibrated: whether logits are divided by the model's temperature.

        Raises:
            InputError: the instances are not what the model takes, or it has no temperature.
        """
        self.check_predictive(predictive, calibrated)
        chunks = self.chunks(self.raw(x))
        found = [self.probabilities(rows, predictive, calibrated) for rows in chunks]
        return np.concatenate([np.empty((0, len(self.classes))), *found])

    def variances(self, x: Any) -> NDArray[np.float64]:
        """Return the variances of the logits, (N, K); K is 1 or the number of classes.

        Args:
            x: as ``predict`` takes it.

        Raises:
            InputError: the instances are not what the model takes.
        """
        found = [self.posterior.variances(rows) for rows in self.chunks(self.raw(x))]
        empty = self.posterior.variances(self.posterior.mean[:0])
        return torch.cat([empty, *found]).double().numpy(force=True)

    def update(
        self,
        x: Any,
        labels: Sequence[str],
        rule: str | UpdateRule = SECOND_ORDER,
        *,
        gamma: float,
        names: Sequence[str] | None = None,
    ) -> "SavedModel":
        """Return the model after an update with new labels; this one stays as it is.

        The temperature stays the one that was chosen before.

        Args:
            x: the newly labelled instances, as ``predict`` takes them.
            labels: the class name of each, one of ``classes``.
            rule: the name of an update rule, or what ``alupdate.update_rule`` returns.
            gamma: step size; 1 is the Bayesian answer for ``map``, others want tuning.
            names: of the instances, for the labels' digest.

        Raises:
            InputError: an argument is not what the model takes.
        """
        raw = self.raw(x)
        targets = torch.tensor(self._class_indices(labels, len(raw)), device=self._device)
        if names is not None and len(names) != len(raw):
            raise InputError(f"names: there are {len(names)} for {len(raw)} instances")
        if not len(raw):
            return self
        try:
            if isinstance(rule, str):
                rule = make_rule(rule, N_HYPOTHESES, self.facts.seed)
            updated = rule.update(self.posterior, self.scaled(raw), targets, gamma).posterior
        except ValueError as error:
            raise InputError(first_line(error)) from error
        digest = self.facts.labels
        if digest is not None:
            named = None if names is None else zip(names, labels, strict=True)
            digest = None if named is None else labels_digest(named, digest)
        count = self.facts.n_labelled + len(raw)
        return replace(
            self, posterior=updated, facts=replace(self.facts, n_labelled=count, labels=digest)
        )

    def save(self, path: str | Path) -> Path:
        """Write ``model.safetensors`` and ``model.json`` into a folder, each as a whole.

        Args:
            path: the folder, or a file that ends in ``.safetensors``; its JSON lies beside it.

        Returns:
            The file of tensors.

        Raises:
            InputError: the model is too large for a file, or its weights are missing.
            OSError: the disk is full, or cannot be written.
        """
        file = model_file(path)
        form, tensors = posterior_tensors(self.posterior)
        if self.scale is not None:
            tensors[SHIFT] = torch.from_numpy(np.array(self.scale.shift))
            tensors[FACTOR] = torch.from_numpy(np.array(self.scale.factor))
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > LARGEST_TENSORS // 2:
            raise InputError(f"{file}: would have {size} bytes, too many for a model")
        content, strides = packed(tensors)
        document = Document(
            format=MODEL_FORMAT,
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            strides=strides,
            form=form,
            likelihood=self.posterior.likelihood,
            prior_precision=_prior_precision(self.posterior),
            classes=self.classes,
            backbone=asdict(self.backbone),
            identity=self.backbone.identity,
            inputs=self.inputs,
            facts=self.facts,
            temperature=self.temperature,
        )
        write_model(file, content, document)
        return file

    def raw(self, x: Any) -> FloatArray:
        """Return the features (N, D) of instances as the backbone gives them.

        Args:
            x: as ``predict`` takes it.

        Raises:
            InputError: the instances are not what the model takes.
        """
        given = given_instances(x, self.inputs)
        if isinstance(given, np.ndarray):
            return given
        return self.raw_features(Parts("x", (given,)), None, Display(enabled=False))[0]

    def raw_features(
        self, parts: Parts, cache: Path | None, display: Display
    ) -> tuple[FloatArray, ...]:
        """Return the features (N, D) of each part as the backbone gives them.

        Args:
            parts: the instances.
            cache: the cache directory; None to keep nothing.
            display: shows progress.

        Raises:
            InputError: the instances are not what the model takes.
        """
        parts = fitting_parts(parts, self.inputs)
        found = self.backbone.raw_features(parts, self._device, cache, display)
        for rows in found:
            check_dimension(rows.shape[1], self.inputs, parts.name)
        return found

    def chunks(self, raw: FloatArray) -> Iterator[Tensor]:
        """Yield features as the last layer sees them (n, D + 1), some rows at a time.

        Args:
            raw: (N, D), features as the backbone gives them.

        Raises:
            InputError: a feature is too far from the pool.
        """
        for start in range(0, len(raw), ROWS_AT_ONCE):
            yield self.scaled(raw[start : start + ROWS_AT_ONCE], start)

    def probabilities(
        self, rows: Tensor, predictive: Predictive = MAP, calibrated: bool = False
    ) -> NDArray[np.float64]:
        """Return the probability of each class, (N, C).

        Args:
            rows: (N, D + 1), as ``scaled`` gives them.
            predictive, calibrated: as in ``predict``, checked.
        """
        kind = rows.dtype if predictive == MONTE_CARLO else torch.float64  # samples take long
        divisor = (self.temperature or 1.0) if calibrated else 1.0
        tempered = Tempered(self.posterior, divisor, kind)
        rng = generator(self.facts.seed, Stream.PREDICTIVE)  # the same noise for all instances
        return predict(tempered, rows, predictive, rng).double().numpy(force=True)

    def check_predictive(self, predictive: str, calibrated: bool) -> None:
        """Refuse ways of predicting that the model does not have.

        Raises:
            InputError: there is no such predictive, or the model has no temperature.
        """
        if predictive not in PREDICTIVES:
            raise InputError(f"predictive={predictive}: must be one of {', '.join(PREDICTIVES)}")
        if calibrated and self.temperature is None:
            raise InputError(
                "calibrate=true: the model has no temperature; make it with calibrate=true, too"
            )

    def scaled(self, raw: FloatArray, first: int = 0) -> Tensor:
        """Return features (N, D) scaled like the pool, with the constant of the bias (N, D + 1).

        Args:
            raw: as the backbone gives them.
            first: the position of the first one, for error messages.

        Raises:
            InputError: one is so far from the pool that 32 bits do not hold it.
        """
        rows = raw if self.scale is None else self.scale.apply(raw)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            row = first + int(finite.argmin())
            raise InputError(f"instance {row}: is too far from the pool to be standardised")
        complete = np.ones((len(rows), rows.shape[1] + 1), np.float32)
        complete[:, :-1] = rows
        return torch.from_numpy(complete).to(self.posterior.mean)

    def on(self, device: torch.device) -> "SavedModel":
        """Return the model with its tensors on a device."""
        form, tensors = posterior_tensors(self.posterior)
        moved = {name: tensor.to(device) for name, tensor in tensors.items()}
        likelihood, precision = self.posterior.likelihood, _prior_precision(self.posterior)
        posterior = posterior_from(form, likelihood, precision, len(self.classes), moved)
        return replace(self, posterior=posterior)

    @property
    def _device(self) -> torch.device:
        return self.posterior.mean.device

    def _class_indices(self, labels: Sequence[str], count: int) -> list[int]:
        if isinstance(labels, str) or len(labels) != count:
            raise InputError(f"labels: give a class name for each of the {count} instances")
        for label in labels:
            if label not in self.classes:
                raise InputError(
                    f"labels: {label!r} is no class of the model; it has {', '.join(self.classes)}"
                )
        return [self.classes.index(label) for label in labels]


@dataclass(frozen=True)
class Tempered:
    """A posterior whose logits are divided by a temperature.

    Attributes:
        posterior: of the model.
        temperature: T; the variances are divided by T^2.
        dtype: of all that it returns; in 64 bits rounding makes no two classes equally probable.
    """

    posterior: LastLayerPosterior
    temperature: float
    dtype: torch.dtype

    @property
    def mean(self) -> Tensor:
        """The mean weights (C, D)."""
        return self.posterior.mean.to(self.dtype) / self.temperature

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C)."""
        return self.posterior.logits(features).to(self.dtype) / self.temperature

    def variances(self, features: Tensor) -> Tensor:
        """Return their variances (N, K)."""
        return self.posterior.variances(features).to(self.dtype) / self.temperature**2

    def covariance_matrices(self) -> Tensor:
        """Return the covariances of the weights (K, D, D)."""
        return self.posterior.covariance_matrices().to(self.dtype) / self.temperature**2


def _prior_precision(posterior: LastLayerPosterior) -> float | None:
    if isinstance(posterior, PerClassPosterior):
        covariances = posterior.covariances
        if isinstance(covariances, LowRankCovariances):
            return covariances.prior_precision
    return None


def inputs_of(instances: Instances, backbone: Backbone, dimension: int) -> Inputs:
    """Return what a model takes that was trained on features (N, dimension) of such instances."""
    parts = Parts("", (instances,))
    columns = instances.columns if isinstance(instances, Vectors) else ()
    shape = None if backbone.extracts else getattr(instances, "shape", None)
    depth = getattr(instances, "depth", None)
    bits = None if depth is None else (depth.grey_16, depth.grey_32)
    return Inputs(parts.kind, dimension, columns, shape, bits)


def load_model(path: str | Path, device: str | torch.device = "cpu") -> SavedModel:
    """Return a model that was saved; nothing is executed or unpickled.

    Args:
        path: the file ``model.safetensors``, or its folder.
        device: where the model lives.

    Raises:
        InputError: a file is missing, cut off, edited or of another version, or the backbone's
            weights are not those that the model was made with; the message names the file. Or there
            is no such device.
    """
    place = _place(device)
    file = model_file(path)
    document, tensors = read_model(file)
    try:
        scale = _scale_from(tensors, document.inputs.dimension)
        posterior = posterior_from(
            document.form,
            document.likelihood,
            document.prior_precision,
            len(document.classes),
            tensors,
        )
        if posterior.mean.shape[1] != document.inputs.dimension + 1:
            raise ValueError(
                f"weights have {posterior.mean.shape[1]} columns, but there are "
                f"{document.inputs.dimension} features and a bias"
            )
    except ValueError as error:
        raise InputError(f"{file}: {first_line(error)}") from error
    model = SavedModel(
        posterior=posterior,
        classes=document.classes,
        backbone=_backbone_from(document, file.with_suffix(".json")),
        inputs=document.inputs,
        facts=document.facts,
        scale=scale,
        temperature=document.temperature,
    )
    return model if place.type == "cpu" else model.on(place)


def _place(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, TypeError, AssertionError) as error:  # by how PyTorch was built
        raise InputError(f"device={device}: there is no such device here; use cpu") from error
    return place


def _scale_from(tensors: dict[str, Tensor], dimension: int) -> Scale | None:
    """Return the scale, and take its tensors from the others.

    Raises:
        ValueError: it does not go with the features.
    """
    shift, factor = tensors.pop(SHIFT, None), tensors.pop(FACTOR, None)
    if shift is None and factor is None:
        return None
    if shift is None or factor is None or not shift.shape == factor.shape == (dimension,):
        raise ValueError(f"its scale is not that of {dimension} features")
    if shift.dtype != factor.dtype:
        raise ValueError("its scale is of two types")
    return Scale(shift.numpy(), factor.numpy())


def _backbone_from(document: Document, path: Path) -> Backbone:
    """Return the backbone, whose weights are those that the model was made with.

    Raises:
        InputError: they are not, or there is no such backbone here.
    """
    name = str(document.backbone.get("name"))
    if name not in options("backbone"):
        raise InputError(f"{path}: its backbone {name[:40]!r} is unknown to this version")
    try:
        backbone = make_option("backbone", document.backbone)
        assert isinstance(backbone, Backbone)
        found = backbone.identity
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise InputError(f"{path}: the settings of backbone {name} are wrong ({reason})") from error
    except InputError as error:
        raise InputError(f"{path}: its backbone cannot be had: {error}") from error
    if found != document.identity:
        raise InputError(f"{path}: {_difference(name, document.identity, found)}")
    return backbone


def _difference(name: str, wanted: str, found: str) -> str:
    """Return what differs between the identities of two backbones."""
    (old, *how), (new, *other) = wanted.split("|"), found.split("|")
    if old != new:
        return (
            f"was made with backbone {name} of weights {old[:8]}..., but those at hand are "
            f"{new[:8]}...; restore the former"
        )
    return f"was made with backbone {name} as {'|'.join(how)}, which is {'|'.join(other)} here"
