"""Weights of networks as safetensors files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sartor.errors import WeightsError
from sartor.graph import require_finite
from sartor.machine import write_atomically

#: A buffer of batch norms that files may leave out.
_COUNTER = "num_batches_tracked"


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill a network from a safetensors file.

    Raises `WeightsError` naming the keys or shapes that do not fit, and for NaN and infinity.
    """
    path = Path(path)
    _require_file(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error

    expected = model.state_dict()
    name = type(model).__name__
    lacking = expected.keys() - tensors.keys()
    _refuse(path, "lacks", lacking, list(expected), name)
    unknown = tensors.keys() - expected.keys()
    _refuse(path, "has the unknown", unknown, list(tensors), name)
    _require_shapes(path, tensors, expected)

    # Not strict, for counters may be missing.
    model.load_state_dict(tensors, strict=False)
    require_finite(model)


def _refuse(path: Path, problem: str, keys: set[str], order: Sequence[str], network: str) -> None:
    """Raise `WeightsError` if there are keys that do not match, with the first of them."""
    wrong = []
    for key in order:
        if key in keys and not key.endswith(_COUNTER):
            wrong.append(key)

    if wrong:
        raise WeightsError(
            f"weights {str(path)!r}: the file {problem} key {wrong[0]!r} ({len(wrong)} such); "
            f"{network} does not match it"
        )


def _require_shapes(
    path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    for key, tensor in expected.items():
        # A counter may be missing.
        if key not in tensors:
            continue

        given = tuple(tensors[key].shape)
        wanted = tuple(tensor.shape)
        if given != wanted:
            raise WeightsError(
                f"weights {str(path)!r}: {key} has shape {given}, the network wants {wanted}"
            )


def save_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> None:
    """Write a file that `load_weights` reads.

    ``mean`` and ``std`` are the normalisation of its images, where that is known.
    """
    metadata = {}
    for key, numbers in (("mean", mean), ("std", std)):
        if numbers:
            metadata[key] = ",".join(map(str, numbers))
    write_tensors(path, tensors, metadata)


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


def normalisation(path: Path | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """``mean`` and ``std`` from the metadata of a weights file; empty where there are none.

    Raises `WeightsError` for a file that cannot be read.
    """
    if path is None or not path.is_file():
        return (), ()

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        mean = _numbers(metadata.get("mean", ""))
        std = _numbers(metadata.get("std", ""))
    except (SafetensorError, ValueError) as error:
        raise _unreadable(path, error) from error
    return mean, std


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(",") if number)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"weights {str(path)!r} do not exist; a .safetensors file is needed")


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"weights {str(path)!r} cannot be read as safetensors: {error}")
