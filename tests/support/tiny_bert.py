"""A BERT of random weights, small enough for tests, in a folder."""

import string
from pathlib import Path

import torch


def save_tiny_bert(folder: Path, seed: int = 0) -> str:
    """Write config, safetensors weights and a letter-wise tokenizer; return the folder's name.

    Like those of bert-base-uncased, the weights come with a head that features do not use.
    """
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    folder.mkdir(parents=True)
    letters = [prefix + letter for prefix in ("", "##") for letter in string.ascii_lowercase]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]))
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(letters) + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertForMaskedLM(config).save_pretrained(folder)
    return str(folder)
