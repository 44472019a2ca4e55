import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.models.end_to_end import features_of, recalibrate_batch_norm
from alupdate.models.images import augmented
from alupdate.models.learner import LearnerSettings, NetworkLearner
from alupdate.utils.display import Display
from alupdate.utils.seeds import Stream, generator
from tests.support.image_problems import saved_weights, small_network, some_digits
from tests.support.runs import only_run, run_small

CPU = torch.device("cpu")
DATA = some_digits(per_class=8, classes=(0, 1, 7), n_test=60)
ALL = np.arange(len(DATA.train))
SETTINGS = TrainingConfig(epochs=12, minibatch=8)
FEW_STEPS = replace(SETTINGS, epochs=4)
FINE_TUNING = (
    "backbone=timm",
    "backbone.model=test_resnet",
    "backbone.weights=random",
    "backbone.image_size=32",
    "backbone.frozen=false",
    "dataset.n_train=60",
    "dataset.n_test=30",
)


def trainable(model="test_resnet", size=32, **options):
    settings = small_network(model, size, **({"frozen": False, "augment": False} | options))
    rng = generator(0, Stream.MODEL_INIT)
    return settings.trainable(DATA, SETTINGS.learning_rate, rng, CPU, Display(False))


def fitted(start, indices=ALL, settings=SETTINGS, cycle=0):
    learner = NetworkLearner(start, LearnerSettings(settings, PosteriorConfig(), 0), CPU)
    return learner.fit(indices, DATA.train_labels[indices], cycle)


def accuracy(model):
    predictions = model.posterior.logits(model.test).argmax(dim=1).numpy()
    return (predictions == DATA.test_labels).mean()


def initial_features(start):
    return features_of(start.initial, start.pool, start)


def moved(model, start):
    """How far training moved the pool's features, relative to their size."""
    before = initial_features(start)
    return ((model.pool[:, :-1] - before).norm() / before.norm()).item()


def test_network_learns():
    """In 36 steps: too few for running averages of batch statistics to catch up."""
    assert accuracy(fitted(trainable("resnet18"))) > 0.75


def test_same_arguments_give_the_same_model_bit_for_bit():
    first, second = (fitted(trainable(augment=True), cycle=2) for _ in range(2))
    assert torch.equal(first.pool, second.pool)
    assert torch.equal(first.posterior.mean, second.posterior.mean)


def test_every_fit_starts_from_the_initial_weights():
    start = trainable(augment=True)
    learner = NetworkLearner(start, LearnerSettings(SETTINGS, PosteriorConfig(), 0), CPU)
    labels = DATA.train_labels
    learner.fit(ALL[:9], labels[:9], 0)
    later = learner.fit(ALL, labels, 1)
    assert torch.equal(later.pool, fitted(start, cycle=1).pool)


def test_global_generator_is_left_alone():
    state = torch.get_rng_state()
    fitted(trainable("vit_tiny_patch16_224"), settings=replace(SETTINGS, epochs=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_features_do_not_depend_on_chunks_and_end_in_the_constant_of_the_bias():
    start = trainable()
    network = start.initial
    whole, chunked = (features_of(network, start.pool, replace(start, chunk=n)) for n in (64, 5))
    torch.testing.assert_close(chunked, whole, rtol=1e-4, atol=1e-5)
    model = fitted(start, settings=FEW_STEPS)
    assert model.pool.shape == (len(ALL), whole.shape[1] + 1)
    assert (model.pool[:, -1] == 1).all()


def test_tiny_learning_rate_leaves_the_body_nearly_unchanged():
    """A network without batch normalisation, whose statistics would move at any rate."""
    slow, fast = (trainable("vit_tiny_patch16_224", learning_rate=r) for r in (1e-9, 1e-3))
    assert moved(fitted(slow, settings=FEW_STEPS), slow) < 1e-3
    assert moved(fitted(fast, settings=FEW_STEPS), fast) > 1e-2


def test_augmentation_changes_training_but_not_evaluation():
    plain, varied = trainable(), trainable(augment=True)
    assert torch.equal(initial_features(plain), initial_features(varied))
    assert torch.equal(plain.pool, varied.pool)
    assert not torch.equal(fitted(plain).pool, fitted(varied).pool)


def test_augmented_images_are_cuts_of_the_framed_image_or_of_its_mirror():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(1, 256, size=(40, 3, 16, 16)).astype(np.uint8))
    varied = augmented(images, rng)
    assert varied.shape == images.shape
    assert varied.dtype == torch.uint8
    framed = torch.nn.functional.pad(images, (2, 2, 2, 2))
    mirrored_count = 0
    for i in range(40):
        cuts = (
            framed[i]
            .unfold(1, 16, 1)
            .unfold(2, 16, 1)
            .permute(1, 2, 0, 3, 4)
            .reshape(-1, 3, 16, 16)
        )
        straight = any(torch.equal(cut, varied[i]) for cut in cuts)
        mirrored = any(torch.equal(cut.flip(2), varied[i]) for cut in cuts)
        assert straight or mirrored
        mirrored_count += mirrored
    assert 8 < mirrored_count < 32


@pytest.mark.parametrize("count", [1, 9])
def test_minibatch_of_one_instance_does_not_break_batch_normalisation(count):
    """At 32 pixels the last maps of resnet18 have one pixel: nothing to normalise by."""
    model = fitted(trainable("resnet18"), ALL[:count], replace(SETTINGS, epochs=3))
    assert torch.isfinite(model.pool).all()
    assert torch.isfinite(model.posterior.mean).all()


def test_training_starts_from_the_weights_of_a_file(tmp_path):
    path = tmp_path / "net.safetensors"
    tensors = saved_weights(path, "test_resnet")
    weights = trainable(weights=str(path)).initial.body.state_dict()
    assert set(tensors) - set(weights) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensors[name], weights[name]) for name in weights)


def test_random_weights_differ_by_seed():
    first, second = (
        small_network("test_resnet", frozen=False).trainable(
            DATA, 0.01, generator(seed, Stream.MODEL_INIT), CPU, Display(False)
        )
        for seed in (0, 1)
    )
    assert not torch.equal(initial_features(first), initial_features(second))


def test_batch_statistics_are_those_of_the_training_images():
    """So evaluating the training images normalises them as training on all at once would."""
    start = replace(trainable(), chunk=len(ALL))
    network = copy.deepcopy(start.initial)
    recalibrate_batch_norm(network, start.pool, start)
    evaluated = features_of(network, start.pool, start)
    with torch.no_grad():
        together = network.train()(start.inputs(start.pool))
        torch.testing.assert_close(network.last(evaluated), together, rtol=0.05, atol=0.05)


def test_images_are_kept_as_bytes_at_the_size_of_training():
    start = trainable()
    assert start.pool.shape == (len(DATA.train), 3, 32, 32)
    assert start.pool.dtype == torch.uint8


def test_run_is_repeatable_and_resumes_with_the_same_curve(monkeypatch, tmp_path):
    from alupdate.results.store import RunStore

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    arguments = (*FINE_TUNING, "update=second_order", "update.compare=true")
    assert run_small(monkeypatch, whole, *arguments) == 0
    save = RunStore.save

    def killed(store, steps, tables):
        save(store, steps, tables)
        if len(steps) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "save", killed)
        assert run_small(patch, cut, *arguments) == 130
    assert run_small(monkeypatch, cut, *arguments) == 0
    curves = [(only_run(folder) / "curve.csv").read_bytes() for folder in (whole, cut)]
    assert curves[0] == curves[1]


def test_own_weights_are_part_of_a_runs_identity_and_their_place_is_not(monkeypatch, tmp_path):
    saved_weights(tmp_path / "one.safetensors", "test_resnet")
    moved_file = tmp_path / "moved.safetensors"
    moved_file.write_bytes((tmp_path / "one.safetensors").read_bytes())
    saved_weights(tmp_path / "other.safetensors", "test_resnet", num_classes=2)

    def run(name):
        weights = f"backbone.weights={tmp_path / name}.safetensors"
        chosen = ("backbone=timm", "backbone.model=test_resnet", "backbone.image_size=32", weights)
        sizes = ("dataset.n_train=60", "dataset.n_test=30")
        assert run_small(monkeypatch, tmp_path, *chosen, *sizes) == 0
        return len(list((tmp_path / "results").glob("*/*/status.json")))

    assert [run(name) for name in ("one", "moved", "other")] == [1, 1, 2]


def test_updating_has_no_linear_optimum_of_a_network_that_is_trained(monkeypatch, tmp_path):
    from alupdate.results.reader import read_results

    study = ("task=updating", "task.initial_sizes=[10]", "task.new_sizes=[2]")
    assert run_small(monkeypatch, tmp_path, *FINE_TUNING, *study, "update.n_hypotheses=50") == 0
    methods = set(read_results(tmp_path / "results").updates["method"])
    assert {"base", "retrain", "second_order"} <= methods
    assert "retrain_lbfgs" not in methods
