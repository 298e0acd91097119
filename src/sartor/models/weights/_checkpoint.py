"""The weights within a checkpoint, which also holds what a training goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sartor.errors import WeightsError

#: Under what names trainings keep their weights; the first that is there is taken.
_NAMES = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "weights",
    "params",
    "module",
    "state_dict_ema",
    "model_ema",
    "ema",
    "ema_state_dict",
    "params_ema",
)
_DEEPEST = 4
#: What torch's averaged models count.
_COUNTERS = ("n_averaged",)


@dataclass(frozen=True)
class StateDict:
    """Tensors by name.

    Attributes:
        tensors: The weights.
        nested: Where in the file they stood, with dots between names; empty for at its top.
        others: What else in the file could have been taken.
    """

    tensors: Mapping[str, Tensor]
    nested: str = ""
    others: tuple[str, ...] = ()


def find_state_dict(content: object, path: Path) -> StateDict:
    """The weights in what a file of ``torch.save`` holds.

    Raises `WeightsError`, naming what there is, if there are none.
    """
    where: list[str] = []
    others: list[str] = []
    while len(where) < _DEEPEST and isinstance(content, Mapping):
        tensors = _tensors_of(content)
        if tensors:
            return StateDict(tensors, ".".join(where), tuple(others))

        found = [name for name in _NAMES if isinstance(content.get(name), Mapping)]
        if not found:
            break
        first, *rest = found
        others += rest
        where.append(first)
        content = content[first]

    place = f" under {'.'.join(where)!r}" if where else ""
    raise WeightsError(
        f"weights {str(path)!r} hold {_words(content)}{place}; a state dict is needed, tensors by "
        f"name, at the top or under one of {', '.join(_NAMES)}"
    )


def _tensors_of(content: Mapping[object, object]) -> dict[str, Tensor]:
    """The content as a state dict; empty if it is none."""
    tensors = {}
    for name, value in content.items():
        # Modules may put whatever they like there, and it is not weights.
        if name in _COUNTERS or str(name).endswith("_extra_state"):
            continue
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return {}
        tensors[name] = value.detach()
    return tensors


def _words(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    names = ", ".join(map(repr, list(content)[:5]))
    return f"the entries {names}" if names else "nothing"
