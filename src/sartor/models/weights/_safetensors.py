"""Weights as safetensors: tensors by name, and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from sartor.errors import WeightsError
from sartor.machine import write_atomically


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file. Raises `WeightsError` if it is none of safetensors."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def read_header(path: Path) -> dict[str, str]:
    """The metadata of a file; no tensor is read. Raises `WeightsError` as `read_tensors`."""
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def save_weights(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file that `sartor.models.load_weights` reads.

    ``metadata`` may say how the network's inputs are made:
    `sartor.models.preprocessing.metadata_of`.
    """
    write_tensors(path, tensors, metadata or {})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; it is whole or absent.

    Raises `OSError` if that fails, of a full disk for instance.
    """
    # Files hold no tensors that share memory.
    apart = {}
    for name, tensor in tensors.items():
        copy = tensor.detach().clone()
        apart[name] = copy.contiguous()

    # Other readers, such as transformers, refuse files without a format.
    labels = {"format": "pt", **metadata}
    try:
        write_atomically(path, lambda temporary: save_file(apart, temporary, labels))
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"weights {str(path)!r} cannot be read as safetensors, nor did torch.save write them: "
        f"{error}"
    )
