"""Small saved models for tests."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alupdate.config.options import make_option
from alupdate.laplace.names import GAUSSIAN, Likelihood
from alupdate.laplace.updates import laplace_posterior
from alupdate.models.features import Backbone
from alupdate.models.model_files import Inputs, ModelFacts, _checksum
from alupdate.models.saved import SavedModel, labels_digest
from alupdate.models.scales import Scale

FACTS = ModelFacts(6, labels_digest([("0", "a")]), "0" * 64, 3, "0.1.0", "2026-11-27")


def backbone_of(**settings: Any) -> Backbone:
    option = make_option("backbone", settings)
    assert isinstance(option, Backbone)
    return option


IDENTITY = backbone_of(name="identity")


def small_model(
    likelihood: Likelihood = GAUSSIAN, dimension: int = 4, classes: int = 3, n_old: int = 9
) -> SavedModel:
    """A model of feature vectors with random weights."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(n_old, dimension + 1))).float()
    mean = torch.from_numpy(rng.normal(size=(classes, dimension + 1))).float()
    scale = Scale(np.full(dimension, 0.5, np.float32), np.full(dimension, 2, np.float32))
    return SavedModel(
        posterior=laplace_posterior(mean, rows, likelihood, 0.3),
        classes=tuple("abcdefghij"[:classes]),
        backbone=IDENTITY,
        inputs=Inputs("vectors", dimension),
        facts=FACTS,
        scale=scale,
    )


def with_backbone(backbone: Backbone, inputs: Inputs) -> SavedModel:
    """A model on another backbone."""
    return replace(
        small_model(dimension=inputs.dimension), backbone=backbone, inputs=inputs, scale=None
    )


def edited(path: Path, **changes: Any) -> None:
    """Change entries of a model's JSON file as somebody would who knows the checksum."""
    document = json.loads(path.read_text())
    del document["checksum"]
    document |= changes
    path.write_text(json.dumps(document | {"checksum": _checksum(document)}))
