"""Saved models: what is read back is what was written, and predicts and learns as it did."""

import hashlib
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import alupdate
from alupdate.data.dataset import ArrayImages, Texts, Vectors
from alupdate.laplace.predictive import mean_field
from alupdate.laplace.updates import update_rule
from alupdate.models.features import Parts
from alupdate.models.model_files import Inputs, posterior_tensors
from alupdate.models.saved import labels_digest, load_model
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.saved import backbone_of, edited, small_model, with_backbone
from tests.support.tiny_bert import save_tiny_bert
from tests.support.update_problems import COMBINATIONS

RNG = np.random.default_rng(1)
ROWS = RNG.normal(size=(12, 4)).astype(np.float32)


def tensors_of(model):
    found = dict(posterior_tensors(model.posterior)[1])
    if model.scale is not None:
        found["shift"] = torch.from_numpy(model.scale.shift)
        found["factor"] = torch.from_numpy(model.scale.factor)
    return found


def assert_same(one, other):
    first, second = tensors_of(one), tensors_of(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        assert tensor.dtype == second[name].dtype
        assert tensor.stride() == second[name].stride(), name
    kept = ("classes", "backbone", "inputs", "facts", "temperature")
    assert [getattr(one, key) for key in kept] == [getattr(other, key) for key in kept]


@given(
    combination=st.sampled_from(COMBINATIONS),
    dimension=st.integers(1, 30),
    n_old=st.integers(1, 40),
    n_new=st.lists(st.integers(1, 3), max_size=3),
    temperature=st.none() | st.floats(0.05, 20),
)
def test_what_is_read_back_is_what_was_written(
    combination, dimension, n_old, n_new, temperature, tmp_path_factory
):
    rule, likelihood = combination
    model = replace(small_model(likelihood, dimension, 3, n_old), temperature=temperature)
    for count in n_new:
        rows = RNG.normal(size=(count, dimension)).astype(np.float32)
        model = model.update(rows, ["b"] * count, update_rule(rule, n_hypotheses=20), gamma=1.0)
    file = model.save(tmp_path_factory.mktemp("model"))
    assert_same(load_model(file), model)
    assert_same(load_model(file.parent), model)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("rule", "likelihood"), COMBINATIONS)
def test_learning_goes_on_bit_for_bit(rule, likelihood, transposed, tmp_path):
    """Whether or not the model was a file in between, and however it lies in memory."""
    model = small_model(likelihood, dimension=64, classes=4, n_old=20)
    if transposed:
        posterior = model.posterior
        mean = posterior.mean.T.contiguous().T
        assert not mean.is_contiguous()
        model = replace(model, posterior=replace(posterior, mean=mean))
    chosen = update_rule(rule, n_hypotheses=50)
    kept = model
    for step in range(4):
        count = (1, 1, 3, 2)[step]
        rows = RNG.normal(size=(count, 64)).astype(np.float32)
        labels = list("abcd"[:count])
        kept = load_model(kept.save(tmp_path)).update(rows, labels, chosen, gamma=0.7)
        model = model.update(rows, labels, chosen, gamma=0.7)
        assert_same(kept, model)
        for predictive in ("map", "mean_field", "monte_carlo"):
            expected = model.predict(rows, predictive)
            np.testing.assert_array_equal(kept.predict(rows, predictive), expected)
        np.testing.assert_array_equal(kept.variances(rows), model.variances(rows))


def test_predictions_are_those_of_the_posterior_on_scaled_features():
    model = small_model()
    rows = torch.from_numpy((ROWS - 0.5) * 2)
    assert model.predict(ROWS) == pytest.approx(model.posterior.predict(rows).numpy(), abs=1e-6)
    expected = model.posterior.predict(rows, "mean_field").numpy()
    assert model.predict(torch.from_numpy(ROWS), "mean_field") == pytest.approx(expected, abs=1e-6)
    assert model.variances(ROWS).shape == (12, 1)
    assert small_model("per_class").variances(ROWS).shape == (12, 3)
    assert model.predict([]).shape == (0, 3)
    assert model.variances([]).shape == (0, 1)


def test_rows_are_predicted_in_parts_as_all_at_once(monkeypatch):
    model = small_model()
    whole = model.predict(ROWS, "monte_carlo")
    monkeypatch.setattr("alupdate.models.saved.ROWS_AT_ONCE", 5)
    assert model.predict(ROWS, "monte_carlo") == pytest.approx(whole, abs=1e-6)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_rows_may_be_of_half_precision_or_a_matrix():
    model, half = small_model(), torch.from_numpy(ROWS).bfloat16()
    np.testing.assert_array_equal(model.predict(half), model.predict(half.float()))
    np.testing.assert_array_equal(model.predict(np.asmatrix(ROWS)), model.predict(ROWS))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 3.5])
def test_a_device_that_is_not_there_is_one_line(device, tmp_path):
    path = small_model().save(tmp_path / "model")
    with pytest.raises(InputError, match=f"device={device}: there is no such device here"):
        load_model(path, device)


def test_a_temperature_divides_logits_and_standard_deviations():
    model = replace(small_model(), temperature=2.0)
    logits = np.log(model.predict(ROWS)) / 2
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert model.predict(ROWS, calibrated=True) == pytest.approx(expected, abs=1e-9)
    halved = replace(model.posterior, mean=model.posterior.mean / 2, base=model.posterior.base / 4)
    cool = mean_field(halved, model.scaled(ROWS)).numpy()
    assert model.predict(ROWS, "mean_field", calibrated=True) == pytest.approx(cool, abs=1e-6)
    with pytest.raises(InputError, match=r"^calibrate=true: the model has no temperature; make it"):
        small_model().predict(ROWS, calibrated=True)


def test_the_digest_of_labels_grows_with_them():
    model = small_model().update(ROWS[:1], ["b"], gamma=1.0, names=["x.png"])
    assert model.facts.labels == labels_digest([("0", "a"), ("x.png", "b")])
    assert model.facts.n_labelled == 7
    assert model.update(ROWS[:1], ["b"], gamma=1.0).facts.labels is None
    assert labels_digest([("a", "bc")]) != labels_digest([("ab", "c")])


WRONG = {
    "x: has 3 features, but the model takes 4": lambda m: m.predict(ROWS[:, :3]),
    r"x: holds str; give an array": lambda m: m.predict(["a", "b"]),
    "x: is an array of float32 with shape": lambda m: m.predict(ROWS[0]),
    "x: is str; give an array of features": lambda m: m.predict("photo.png"),
    "x: row 2 has NaN or infinite": lambda m: m.predict([[0] * 4, [1] * 4, [np.nan] * 4]),
    "x: has masked elements": lambda m: m.predict(np.ma.masked_less(ROWS, 0)),
    "x: is a sparse tensor; give an array": lambda m: m.predict(torch.zeros(1, 4).to_sparse()),
    "x: has rows of different lengths": lambda m: m.predict([[1.0], [1.0, 2.0]]),
    "which 32-bit numbers cannot hold": lambda m: m.predict(np.full((1, 4), 1e300)),
    "instance 1: is too far from the pool": lambda m: m.predict([[0] * 4, [3e38] * 4]),
    "predictive=laplace: must be one of map": lambda m: m.predict(ROWS, "laplace"),
    "labels: give a class name for each of the 1": lambda m: m.update(ROWS[:1], "b", gamma=1.0),
    "labels: 'z' is no class of the model; it has a, b, c": lambda m: m.update(
        ROWS[:1], ["z"], gamma=1.0
    ),
    "names: there are 2 for 1 instances": lambda m: m.update(
        ROWS[:1], ["a"], gamma=1.0, names=["1", "2"]
    ),
    "gamma is 0: it must be": lambda m: m.update(ROWS[:1], ["a"], gamma=0),
    "no update rule 'magic'": lambda m: m.update(ROWS[:1], ["a"], "magic", gamma=1.0),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_the_model_does_not_take_is_one_line(message):
    with pytest.raises(InputError, match=message) as caught:
        WRONG[message](small_model())
    assert "\n" not in str(caught.value)


def test_columns_have_the_names_and_the_order_of_the_model():
    model = replace(small_model(), inputs=Inputs("vectors", 4, ("a", "b", "c", "d")))
    expected = small_model().predict(ROWS)
    table = pd.DataFrame(ROWS, columns=list("abcd"))
    np.testing.assert_array_equal(model.predict(table), expected)
    np.testing.assert_array_equal(model.predict(ROWS), expected)
    with pytest.raises(InputError, match="x: its feature columns come in another order"):
        model.predict(table[["b", "a", "c", "d"]])
    with pytest.raises(InputError, match="x: has no feature column d, which the model needs"):
        model.predict(table.rename(columns={"d": "e"}))
    with pytest.raises(InputError, match="x: has the feature column e, which the model lacks"):
        model.predict(table.assign(e=0.0))

    def features(columns):
        parts = Parts("mine", (Vectors(ROWS, columns),))
        return model.raw_features(parts, None, Display(enabled=False))

    assert features(("a", "b", "c", "d"))[0] is ROWS
    with pytest.raises(InputError, match="mine: the model's features have names and mine have"):
        features(())
    with pytest.raises(InputError, match="mine: has texts, but the model takes vectors"):
        model.raw_features(Parts("mine", (Texts(("a",)),)), None, Display(enabled=False))


def test_images_come_as_paths_pillow_images_or_arrays(tmp_path):
    backbone = backbone_of(name="timm", model="test_resnet", weights="random", image_size=32)
    model = with_backbone(backbone, Inputs("images", 96))
    pixels = [RNG.integers(256, size=(40, w, 3), dtype=np.uint8) for w in (40, 50)]
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    expected = model.predict(pixels)
    assert np.ptp(expected, axis=0).max() > 0
    for x in (paths, [str(path) for path in paths], [Image.open(path) for path in paths]):
        np.testing.assert_array_equal(model.predict(x), expected)
    np.testing.assert_array_equal(model.predict([paths[0], pixels[1]]), expected)
    same = np.stack([pixels[0], pixels[0]])
    np.testing.assert_array_equal(model.predict(same), model.predict([pixels[0]] * 2))
    grey = pixels[0][:, :, 0]
    thrice = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(model.predict([grey]), model.predict([thrice]))
    raw = model.raw(pixels)
    np.testing.assert_array_equal(model.predict(raw), expected)
    parts = Parts("mine", (ArrayImages(same),))
    (kept,) = model.raw_features(parts, tmp_path / "cache", Display(enabled=False))
    np.testing.assert_array_equal(kept, model.raw(same))
    with pytest.raises(InputError, match=r"^x: .*no\.png cannot be read \(No such file"):
        model.predict([tmp_path / "no.png"])
    with pytest.raises(InputError, match="x: has float at position 1; give a list of paths"):
        model.predict([paths[0], 1.5])
    with pytest.raises(InputError, match="x: is an array of uint8 with shape"):
        model.predict(np.zeros((2, 96), np.uint8))
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png cannot be read \(is no regular file"):
        model.predict([tmp_path / "pipe.png"])


def test_pixels_have_the_size_that_the_model_has_learnt(tmp_path):
    model = with_backbone(backbone_of(name="pixels"), Inputs("images", 16, (), (4, 4, 1)))
    images = RNG.integers(256, size=(3, 4, 4), dtype=np.uint8)
    expected = model.predict(images.reshape(3, 16).astype(np.float32))
    np.testing.assert_array_equal(model.predict(images), expected)
    Image.fromarray(images[0]).save(tmp_path / "0.png")
    assert model.predict([tmp_path / "0.png"]) == pytest.approx(expected[:1], abs=1e-6)
    with pytest.raises(InputError, match=r"image 0 has shape \(2, 8, 1\), but the model takes"):
        model.predict(images.reshape(3, 2, 8))
    parts = Parts("mine", (ArrayImages(images.reshape(3, 2, 8, 1)),))
    with pytest.raises(InputError, match=r"mine: has images \(2, 8, 1\), but the model takes"):
        model.raw_features(parts, None, Display(enabled=False))


def test_values_of_deep_images_are_read_as_those_that_were_learnt(tmp_path):
    inputs = Inputs("images", 16, (), (4, 4, 1), (12, 31))
    model = with_backbone(backbone_of(name="pixels"), inputs)
    Image.fromarray(np.full((4, 4), 160, np.uint16)).save(tmp_path / "dark.png")
    expected = model.predict(np.full((1, 16), 160 >> 4, np.float32))
    np.testing.assert_array_equal(model.predict([tmp_path / "dark.png"]), expected)
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(tmp_path / "bright.png")
    with pytest.raises(InputError, match=r"bright\.png cannot be decoded \(it has values beyond"):
        model.predict([tmp_path / "bright.png"])


def test_texts_come_as_strings(tmp_path):
    folder = save_tiny_bert(tmp_path / "bert")
    model = with_backbone(
        backbone_of(name="transformers", model=folder, max_length=16), Inputs("texts", 16)
    )
    texts = ["a question", "another one", "a question"]
    found = load_model(model.save(tmp_path / "model")).predict(texts)
    np.testing.assert_array_equal(found, model.predict(texts))
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0
    np.testing.assert_array_equal(model.predict(pd.Series(texts)), found)
    with pytest.raises(InputError, match="x: has int at position 1; give a list of strings"):
        model.predict(["a", 1])
    other = save_tiny_bert(tmp_path / "other", seed=1)
    os.rename(folder, tmp_path / "former")
    with pytest.raises(InputError, match=r"model\.json: its backbone cannot be had: .* no such"):
        load_model(tmp_path / "model")
    os.rename(other, folder)
    with pytest.raises(InputError, match=r"of weights \w{8}\.\.\., but those at hand are \w{8}"):
        load_model(tmp_path / "model")


def rewritten(folder, **tensors):
    """Replace tensors of a model's file, and its hash in the JSON file, too."""
    from safetensors.torch import load, save

    file = folder / "model.safetensors"
    content = save({**load(file.read_bytes()), **tensors})
    file.write_bytes(content)
    strides = {name: list(tensor.stride()) for name, tensor in load(content).items()}
    digest = hashlib.sha256(content).hexdigest()
    edited(folder / "model.json", sha256=digest, size=len(content), strides=strides)


def swapped(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)


def cut(folder, name, count=7):
    (folder / name).write_bytes((folder / name).read_bytes()[:-count])


def flipped(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-9] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def replaced(folder, before, after):
    path = folder / "model.json"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def json_of(**changes):
    return lambda folder: edited(folder / "model.json", **changes)


NAN = torch.full((3, 5), float("nan"))
TAMPERED = {
    "json missing": (lambda f: (f / "model.json").unlink(), r"model\.json: No such file"),
    "tensors missing": (lambda f: (f / "model.safetensors").unlink(), r"tensors: No such file"),
    "json is a pipe": (
        lambda f: swapped(f, "model.json"),
        r"json: cannot be read \(is no regul",
    ),
    "tensors are a pipe": (lambda f: swapped(f, "model.safetensors"), "is no regular file"),
    "json cut off": (lambda f: cut(f, "model.json"), r"model\.json: is damaged, or no JSON file"),
    "json a list": (lambda f: (f / "model.json").write_text("[]"), "is damaged, or no JSON file"),
    "json nested": (lambda f: (f / "model.json").write_text("[" * 200_000), "is damaged, or no"),
    "json binary": (lambda f: (f / "model.json").write_bytes(b"\xff\xfe"), "is damaged, or no"),
    "tensors cut off": (lambda f: cut(f, "model.safetensors"), r"tensors: has \d+ bytes, not the"),
    "a bit flipped": (flipped, r"tensors: was damaged or edited, .*SHA-256 \w{8}"),
    "json edited": (lambda f: replaced(f, '"a"', '"z"'), r"json: was damaged or edited \(its che"),
    "another format": (lambda f: replaced(f, '"format": 1', '"format": 2'), "has format 2, and th"),
    "no format": (lambda f: replaced(f, '"format": 1,', ""), "has format None"),
    "too few classes": (json_of(classes=["a", "b"]), r"shape \(3, 5\), but there are 2 classes"),
    "unknown key": (json_of(code="x"), r"model\.json: code: "),
    "wrong type": (json_of(size="large"), r"model\.json: size: must be a valid integer"),
    "unknown backbone": (json_of(backbone={"name": "magic"}), "its backbone 'magic' is unknown"),
    "wrong backbone": (
        json_of(backbone={"name": "identity", "standardise": "x"}),
        "settings of backbone identity are wrong",
    ),
    "target": (
        json_of(backbone={"name": "identity", "_target_": "os.system"}),
        "settings of backbone identity are wrong",
    ),
    "other identity": (json_of(identity="pixels"), "was made with backbone identity of weights"),
    "other dimension": (
        json_of(inputs={"kind": "vectors", "dimension": 7}),
        "scale is not that of 7 features",
    ),
    "likelihood": (json_of(likelihood="per_class"), "likelihood per_class has no shared"),
    "form": (json_of(form="dense"), "holds the tensors base, mean, not matrices, mean"),
    "NaN": (lambda f: rewritten(f, mean=NAN), "mean holds NaN or infinite values"),
    "shape": (lambda f: rewritten(f, base=torch.eye(4)), r"base has shape \(4, 4\), not \(5, 5\)"),
    "integers": (lambda f: rewritten(f, mean=torch.ones(3, 5).int()), "mean has another type"),
    "half": (lambda f: rewritten(f, mean=torch.ones(3, 5).half()), "mean has another type"),
    "mixed": (lambda f: rewritten(f, mean=torch.ones(3, 5).double()), "are of several types"),
    "another tensor": (lambda f: rewritten(f, more=torch.ones(1)), "holds the tensors base, mean"),
    "strides": (
        json_of(strides={"mean": [0, 0], "base": [1, 5], "scale.shift": [1], "scale.factor": [1]}),
        "mean has another type or layout",
    ),
    "temperature": (
        json_of(temperature="hot"),
        "json: temperature: must be a valid number",
    ),
    "infinite temperature": (json_of(temperature=float("inf")), r"temperature: must be"),
    "negative temperature": (json_of(temperature=-1.0), r"temperature: must be greater than 0"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_model_that_was_tampered_with_is_one_line(name, tmp_path):
    change, message = TAMPERED[name]
    small_model().save(tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_model_of_two_files_that_do_not_belong_together_is_refused(tmp_path):
    one, two = small_model().save(tmp_path / "1"), small_model().update(ROWS, ["a"] * 12, gamma=1.0)
    two.save(tmp_path / "2.safetensors")
    (tmp_path / "2.json").replace(one.with_suffix(".json"))
    with pytest.raises(InputError, match="belongs to another model"):
        load_model(one)


def test_files_beyond_any_model_are_not_read(tmp_path, monkeypatch):
    file = small_model().save(tmp_path)
    monkeypatch.setattr("alupdate.models.model_files.LARGEST_TENSORS", 100)
    with pytest.raises(InputError, match="bytes; a model has 100 at most"):
        load_model(file)
    monkeypatch.setattr("alupdate.models.saved.LARGEST_TENSORS", 100)
    with pytest.raises(InputError, match="too many for a model"):
        small_model().save(tmp_path)


def test_a_model_that_cannot_be_written_leaves_the_former_one(tmp_path, monkeypatch):
    file = small_model().save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        small_model("categorical").save(file)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_door_has_it():
    assert alupdate.load_model is load_model
