"""The two files of a saved model: tensors as safetensors, and everything else as JSON beside them.

Reading them executes nothing. The JSON names the SHA-256 and the size of the tensors' file, and has
a checksum of its own: a file that was cut off, edited or mixed up with another model's is refused.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from torch import Tensor

from alupdate.config.options import requirement
from alupdate.config.values import Positive
from alupdate.data.dataset import Kind
from alupdate.laplace.inputs import FLOATS
from alupdate.laplace.names import PER_CLASS, Likelihood
from alupdate.laplace.per_class import DenseCovariances, LowRankCovariances, PerClassPosterior
from alupdate.laplace.posterior import LastLayerPosterior, Posterior
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.files import replace_file, require_regular
from alupdate.utils.paths import expanded

MODEL_FORMAT = 1
"""Version of the two files."""
MODEL_FILE = "model.safetensors"
TENSORS_ENDING = ".safetensors"
LARGEST_JSON, LARGEST_TENSORS = 2**26, 2**34
"""Bytes of files that are read, at most."""
SHIFT, FACTOR = "scale.shift", "scale.factor"
Form = Literal["shared", "dense", "low_rank"]
FORMS: Mapping[Form, frozenset[str]] = {
    "shared": frozenset({"mean", "base"}),
    "dense": frozenset({"mean", "matrices"}),
    "low_rank": frozenset({"mean", "observed", "inner"}),
}
"""The tensors of each form of a posterior; the first may have ``pending``, too."""


@dataclass(frozen=True)
class Inputs:
    """What instances a model takes.

    Attributes:
        kind: of the instances it was trained on.
        dimension: how many features the backbone gives, the constant of the bias left out.
        columns: what the features are called; empty where they have no names.
        shape: of images (H, W, channels), where the backbone needs images of one size.
        bits: of greyscale files that store 16 and 32 bits; None where the images were no files.
    """

    kind: Kind
    dimension: int
    columns: tuple[str, ...] = ()
    shape: tuple[int, int, int] | None = None
    bits: tuple[int, int] | None = None


@dataclass(frozen=True)
class ModelFacts:
    """Where a model comes from.

    Attributes:
        n_labelled: how many labels it has learnt from.
        labels: their SHA-256 (``labels_digest``); None where instances were not named.
        settings: SHA-256 of the settings that decide the model of given labels.
        seed: of its run; it numbers the random streams.
        version: of the program.
        created: time in UTC.
    """

    n_labelled: int
    labels: str | None
    settings: str
    seed: int
    version: str
    created: str


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Document:
    """What the JSON file holds, beside its checksum.

    Attributes:
        format: version of the two files.
        sha256, size: of the file of tensors.
        strides: of each tensor in memory.
        form, likelihood, prior_precision: of the posterior.
        classes: their names.
        backbone: its settings.
        identity: of the backbone's features, the weights' hash included.
        inputs: what instances the model takes.
        facts: where the model comes from.
        temperature: by which logits are divided; None if none was chosen.
    """

    format: int
    sha256: str
    size: int
    strides: dict[str, list[int]]
    form: Form
    likelihood: Likelihood
    prior_precision: float | None
    classes: tuple[str, ...]
    backbone: dict[str, Any]
    identity: str
    inputs: Inputs
    facts: ModelFacts
    temperature: Positive | None


def model_file(path: str | Path) -> Path:
    """Return the file of tensors that a path names, itself or by its folder."""
    place = Path(expanded(str(path)))
    return place if place.suffix == TENSORS_ENDING else place / MODEL_FILE


def dense(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether strides let a tensor fill its memory, without gaps or overlaps."""
    if len(sizes) != len(strides) or not all(0 <= stride < 2**62 for stride in strides):
        return False
    filled = 1
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1 and stride != filled:
            return False
        filled *= size
    return True


def posterior_tensors(posterior: LastLayerPosterior) -> tuple[Form, dict[str, Tensor]]:
    """Return the form and the tensors of a posterior."""
    if isinstance(posterior, Posterior):
        tensors = {"mean": posterior.mean, "base": posterior.base}
        if posterior.pending is not None:
            tensors["pending"] = posterior.pending
        return "shared", tensors
    assert isinstance(posterior, PerClassPosterior)
    covariances = posterior.covariances
    if isinstance(covariances, DenseCovariances):
        return "dense", {"mean": posterior.mean, "matrices": covariances.matrices}
    inner = {"observed": covariances.observed, "inner": covariances.inner}
    return "low_rank", {"mean": posterior.mean, **inner}


def posterior_from(
    form: Form,
    likelihood: Likelihood,
    prior_precision: float | None,
    n_classes: int,
    tensors: Mapping[str, Tensor],
) -> LastLayerPosterior:
    """Return the posterior of some form that consists of these tensors.

    Raises:
        ValueError: they do not go together.
    """
    own = dict(tensors)
    pending = own.pop("pending", None) if form == "shared" else None
    if own.keys() != FORMS[form]:
        wanted = ", ".join(sorted(FORMS[form]))
        raise ValueError(f"holds the tensors {', '.join(sorted(own))}, not {wanted}")
    if len({tensor.dtype for tensor in tensors.values()}) > 1:
        raise ValueError("its tensors are of several types")
    _check_shapes(n_classes, tensors)
    if (likelihood == PER_CLASS) == (form == "shared"):
        raise ValueError(f"likelihood {likelihood} has no {form} covariance")
    if form == "dense":
        return PerClassPosterior(own["mean"], DenseCovariances(own["matrices"]))
    if form == "low_rank":
        if prior_precision is None or not prior_precision > 0:
            raise ValueError(f"prior_precision is {prior_precision}, not a positive number")
        covariances = LowRankCovariances(own["observed"], own["inner"], prior_precision)
        return PerClassPosterior(own["mean"], covariances)
    assert likelihood != PER_CLASS
    return Posterior(own["mean"], own["base"], likelihood, pending)


def _check_shapes(n_classes: int, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors whose shapes do not go together.

    Raises:
        ValueError: naming the first.
    """
    mean = tensors["mean"]
    if mean.ndim != 2 or len(mean) != n_classes:
        raise ValueError(
            f"weights have shape {tuple(mean.shape)}, but there are {n_classes} classes"
        )
    size = mean.shape[1]
    many = {name: len(rows) for name, rows in tensors.items() if rows.ndim}
    shapes = {
        "base": (size, size),
        "pending": (many.get("pending"), size),
        "matrices": (n_classes, size, size),
        "observed": (many.get("observed"), size),
        "inner": (n_classes, many.get("observed"), many.get("observed")),
    }
    for name, wanted in shapes.items():
        if name in tensors and tensors[name].shape != wanted:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}, not {wanted}")


def packed(tensors: Mapping[str, Tensor]) -> tuple[bytes, dict[str, list[int]]]:
    """Return the content of a safetensors file, and the strides of the tensors in it.

    A product of matrices may differ in its last digit with how they lie in memory; so a model that
    is read back lies as the one that was written.
    """
    from safetensors.torch import save

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    strides = {
        name: list((tensor if dense(tensor.shape, tensor.stride()) else stored[name]).stride())
        for name, tensor in tensors.items()
    }
    return save(stored), strides


def write_model(file: Path, content: bytes, document: Document) -> None:
    """Write the file of tensors, then the JSON beside it; each is replaced as a whole.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    described = asdict(document)
    signed = described | {"checksum": _checksum(described)}
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, content)
    replace_file(file.with_suffix(".json"), json.dumps(signed, indent=1) + "\n")


def read_model(file: Path) -> tuple[Document, dict[str, Tensor]]:
    """Return what the two files of a model hold, as far as each is what it should be by itself.

    Raises:
        InputError: one is missing, too large, damaged, edited, or of another version.
    """
    document = _read_document(file.with_suffix(".json"))
    content = _read(file, LARGEST_TENSORS)
    if len(content) != document.size:
        raise InputError(
            f"{file}: has {len(content)} bytes, not the {document.size} that were written: it was "
            "cut off, or belongs to another model"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != document.sha256:
        raise InputError(
            f"{file}: was damaged or edited, or belongs to another model (SHA-256 {found[:8]}..., "
            f"not {document.sha256[:8]}...)"
        )
    return document, _unpacked(file, content, document)


def _unpacked(file: Path, content: bytes, document: Document) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stored = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{file}: is no safetensors file ({error})") from error
    tensors = {}
    for name, tensor in stored.items():
        strides = document.strides.get(name, [])
        if tensor.dtype not in FLOATS or not dense(tensor.shape, strides):
            raise InputError(f"{file}: {name} has another type or layout than a model's tensors")
        if not torch.isfinite(tensor).all():
            raise InputError(f"{file}: {name} holds NaN or infinite values")
        tensors[name] = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
    return tensors


def _read_document(path: Path) -> Document:
    content = _read(path, LARGEST_JSON)
    try:
        raw = json.loads(content)
        if not isinstance(raw, dict):
            raise ValueError("no mapping")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is damaged, or no JSON file of a model") from error
    version = raw.get("format")
    if version != MODEL_FORMAT:
        raise InputError(
            f"{path}: has format {str(version)[:20]}, and this version reads {MODEL_FORMAT}; save "
            "the model again with this version"
        )
    if raw.pop("checksum", None) != _checksum(raw):
        raise InputError(f"{path}: was damaged or edited (its checksum differs)")
    try:
        return TypeAdapter(Document).validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {key}: {requirement(first['msg'])}") from error


def _checksum(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _read(path: Path, most: int) -> bytes:
    """Return the content of a regular file of bounded size.

    Raises:
        InputError: it is none, or cannot be read.
    """
    try:
        require_regular(path)
        size = path.stat().st_size
        if size > most:
            raise InputError(f"{path}: has {size} bytes; a model has {most} at most")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise cannot_read(str(path), error) from error
