"""Networks and their weights by name: the zoo, timm, or any callable of the user's."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sartor.errors import UsageError, WeightsError
from sartor.graph import require_finite
from sartor.machine import require, write_atomically
from sartor.models import _zoo

_TIMM = "timm:"


def build(name: str, *, classes: int | None = None, pixels: int | None = None) -> nn.Module:
    """A network with fresh weights: a zoo name, ``timm:NAME``, or ``package.module:callable`` (called without arguments).

    Raises `UsageError` for a name that is none of these.
    """
    if name.startswith(_TIMM):
        timm = require("timm", extra="timm")
        return _built(
            name,
            lambda: timm.create_model(
                name.removeprefix(_TIMM), num_classes=classes, pretrained=False
            ),
        )
    if ":" in name:
        module_name, _, attribute = name.partition(":")
        try:
            target = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise UsageError(f"model {name!r} cannot be imported: {error}") from error
        return _built(name, target)
    return _zoo.build(name, classes=classes, pixels=pixels)


def build_trained(
    name: str, weights: Path | None, *, classes: int, pixels: int, missing: str
) -> nn.Module:
    """A network of `build` with weights from a file; one of the user's own may bring them itself.

    Raises what `build` and `load_weights` raise, and `UsageError`, with the sentence ``missing``, for a network of the zoo or of
    timm without a file.
    """
    model = build(name, classes=classes, pixels=pixels)
    if weights is not None:
        load_weights(model, weights)
    elif ":" not in name or name.startswith(_TIMM):
        raise UsageError(missing)
    return model


def _built(name: str, make: Callable[[], object]) -> nn.Module:
    try:
        model = make()
    except Exception as error:  # somebody else's code may raise anything
        raise UsageError(f"model {name!r} cannot be built: {error}") from error
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"model {name!r} gives a {type(model).__name__}; it must give a torch.nn.Module"
        )
    return model


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill a network from a safetensors file. Raises `WeightsError` naming the keys or shapes that do not fit."""
    path = Path(path)
    _require_file(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"weights {str(path)!r} cannot be read as safetensors: {error}"
        ) from error
    expected = model.state_dict()
    missing = [
        key for key in expected if key not in tensors and not key.endswith("num_batches_tracked")
    ]
    unknown = [
        key for key in tensors if key not in expected and not key.endswith("num_batches_tracked")
    ]
    wrong = [
        key for key in expected if key in tensors and tensors[key].shape != expected[key].shape
    ]
    for problem, keys in (("lacks", missing), ("has the unknown", unknown)):
        if keys:
            raise WeightsError(
                f"weights {str(path)!r}: the file {problem} key {keys[0]!r} ({len(keys)} such); "
                f"{type(model).__name__} does not match it"
            )
    if wrong:
        key = wrong[0]
        raise WeightsError(
            f"weights {str(path)!r}: {key} has shape {tuple(tensors[key].shape)}, the network wants {tuple(expected[key].shape)}"
        )
    model.load_state_dict(tensors, strict=False)
    require_finite(model)


def save_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> None:
    """Write a file that `load_weights` reads, with the normalisation of its images where that is known."""
    numbers = {"mean": mean, "std": std}
    write_tensors(
        path,
        tensors,
        {key: ",".join(map(str, values)) for key, values in numbers.items() if values},
    )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; it is whole or absent. Raises `OSError` if that fails, of a full disk for instance."""
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    try:
        write_atomically(
            path, lambda temporary: save_file(whole, temporary, {"format": "pt", **metadata})
        )
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"weights {str(path)!r} do not exist; a .safetensors file is needed")


def normalisation(path: Path | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """``mean`` and ``std`` from the metadata of a weights file; empty where there are none."""
    if path is None or not path.is_file():
        return (), ()
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        return tuple(
            tuple(float(number) for number in metadata.get(key, "").split(",") if number)
            for key in ("mean", "std")
        )  # type: ignore[return-value]
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"weights {str(path)!r} cannot be read as safetensors: {error}"
        ) from error
