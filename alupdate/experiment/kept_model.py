"""Keeping the model of a run: from what a task knows to the two files of a saved model."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from alupdate import __version__
from alupdate.config import RunConfig
from alupdate.config.annotators import TruthAnnotator
from alupdate.data.pool import Pool
from alupdate.experiment.setup import Setup, learner_settings
from alupdate.models.calibration import choose_temperature
from alupdate.models.learner import Model, labelled
from alupdate.models.model_files import ModelFacts, model_file
from alupdate.models.saved import SavedModel, inputs_of, labels_digest, load_model
from alupdate.results.provenance import now
from alupdate.results.store import without_added
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError


def settings_digest(config: RunConfig) -> str:
    """Return a SHA-256 of the settings that decide the model of given data and labels."""
    backbone = {k: v for k, v in asdict(config.backbone).items() if k != "label"}
    document = {
        "backbone": backbone | config.backbone.digests(),
        **without_added({"batch": asdict(config.batch)}),
        "posterior": asdict(config.posterior) | {"predictive": None},
        "training": asdict(config.training),
        "update": asdict(config.update),
        "seed": config.seed,
        "n_initial": config.n_initial,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def labels_of(setup: Setup, pool: Pool, names: Sequence[str] | None = None) -> str:
    """Return the digest of a pool's labels in the order of labelling.

    Args:
        setup: whose classes the labels are of.
        pool: what is labelled.
        names: of all instances of the pool; None for their positions.
    """
    classes = setup.dataset.classes
    pairs = zip(pool.indices.tolist(), pool.labels.tolist(), strict=True)
    return labels_digest((str(i) if names is None else names[i], classes[c]) for i, c in pairs)


def saved_model_of(
    config: RunConfig,
    setup: Setup,
    model: Model,
    pool: Pool,
    names: Sequence[str] | None = None,
    display: Display | None = None,
) -> SavedModel:
    """Return a model as it can be kept.

    Args:
        config: of the run; with ``calibrate`` a temperature is chosen.
        setup: data, classes and scale of the features; the backbone is frozen.
        model: what has been learnt.
        pool: the labels that it has learnt, in the order of labelling.
        names: of all instances of the pool; None for their positions.
        display: takes the note if there are too few labels for a temperature.
    """
    temperature = None
    if config.calibrate:
        rows, labels = labelled(model, pool.indices, pool.labels)
        classes = len(setup.dataset.classes)
        chosen = choose_temperature(rows, labels, classes, learner_settings(config))
        temperature = chosen.value
        if chosen.note and display is not None:
            display.say(f"note: {chosen.note}")
    dimension = model.posterior.mean.shape[1] - 1
    return SavedModel(
        posterior=model.posterior,
        classes=setup.dataset.classes,
        backbone=config.backbone,
        inputs=inputs_of(setup.dataset.train, config.backbone, dimension),
        facts=ModelFacts(
            n_labelled=len(pool.indices),
            labels=labels_of(setup, pool, names),
            settings=settings_digest(config),
            seed=config.seed,
            version=__version__,
            created=now(),
        ),
        scale=setup.scale,
        temperature=temperature,
    )


def has_model(folder: Path, config: RunConfig, n_labelled: int) -> bool:
    """Return whether a run's folder has its model, whole, and with a temperature if one is wanted.

    Args:
        folder: of a finished run.
        config: of the run.
        n_labelled: labels that the run ended with, those that were asked for in vain included.
    """
    if not model_file(folder).is_file():
        return False
    try:
        model = load_model(folder)
    except InputError:
        return False
    labels = model.facts.n_labelled
    fewer = config.dataset.outliers > 0 or not isinstance(config.annotator, TruthAnnotator)
    enough = labels == n_labelled or (fewer and labels < n_labelled)
    fits = model.facts.settings == settings_digest(config) and enough
    return fits and (model.temperature is not None or not config.calibrate)
