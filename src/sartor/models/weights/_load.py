"""Trained weights into a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from sartor.errors import WeightsError
from sartor.graph import require_finite
from sartor.models.weights._names import Fit, differing, fit_names, nearest_prefix
from sartor.models.weights._read import read_weights

_LOG = logging.getLogger(__name__)
#: Names that a message lists.
_SHOWN = 3


@dataclass(frozen=True)
class LoadedWeights:
    """How the tensors of a file were fitted onto a network.

    Attributes:
        path: The file.
        nested: Where in a checkpoint they stood; empty for at its top.
        others: What else in the checkpoint could have been taken.
        stripped: Prefixes that were taken off their names, from the outside in.
    """

    path: Path
    nested: str = ""
    others: tuple[str, ...] = ()
    stripped: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was done, in one line; empty if the file was taken as it is.

        >>> LoadedWeights(Path("a.pt"), "state_dict", ("ema",), ("module.",)).describe()
        "weights a.pt: taken from 'state_dict' (it also holds 'ema'), prefix 'module.' left out"
        """
        done = []
        if self.nested:
            others = " and ".join(map(repr, self.others))
            also = f" (it also holds {others})" if others else ""
            done.append(f"taken from {self.nested!r}{also}")
        if self.stripped:
            prefix = "".join(self.stripped)
            done.append(f"prefix {prefix!r} left out")
        return f"weights {self.path}: {', '.join(done)}" if done else ""


def load_weights(model: nn.Module, path: str | Path) -> LoadedWeights:
    """Fill a network from a safetensors file, or one of ``torch.save`` (.pt, .pth, .bin, .ckpt).

    Checkpoints that hold the weights among other things are looked into, and prefixes that keep all
    names from matching are left out; what is returned says so, and so does the logger
    ``sartor.models``.

    Raises `WeightsError` naming the keys or shapes that do not fit, for NaN and infinity, and, with
    the line of Python that converts it, for a file that holds whole networks.
    """
    path = Path(path)
    found = read_weights(path)
    expected = model.state_dict()

    given = list(found.tensors)
    fit = _fit(model, given, list(expected))
    if fit is None:
        raise _mismatch(path, given, list(expected), type(model).__name__)
    tensors = dict(zip(fit.names, found.tensors.values(), strict=True))
    _require_shapes(path, tensors, expected)

    # Not strict, for counters may be missing.
    model.load_state_dict(tensors, strict=False)
    require_finite(model)

    loaded = LoadedWeights(path, found.nested, found.others, fit.stripped)
    line = loaded.describe()
    if line:
        _LOG.info(line)
    return loaded


def _ties(model: nn.Module) -> list[tuple[str, ...]]:
    """The names of each parameter that has several: some writers keep one of them."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [tuple(each) for each in names.values() if len(each) > 1]


def _fit(model: nn.Module, given: Sequence[str], expected: Sequence[str]) -> Fit | None:
    ties = _ties(model)
    optional = [name for tie in ties for name in tie]
    fit = fit_names(given, expected, optional)
    if fit is None or any(set(tie).isdisjoint(fit.names) for tie in ties):
        return None
    return fit


def _mismatch(
    path: Path, given: Sequence[str], expected: Sequence[str], network: str
) -> WeightsError:
    problems = []
    lacking = differing(expected, given)
    if lacking:
        problems.append(f"lacks {_listed(lacking)}")
    unknown = differing(given, expected)
    if unknown:
        problems.append(f"has the unknown {_listed(unknown)}")
    nearest = nearest_prefix(given, expected)
    return WeightsError(
        f"weights {str(path)!r}: the file {' and '.join(problems)}; "
        f"{network} does not match it{nearest}"
    )


def _listed(names: Sequence[str]) -> str:
    """The first few names, and how many there are.

    >>> _listed(["a", "b", "c", "d"])
    "keys 'a', 'b', 'c', … (4 in all)"
    """
    first = ", ".join(map(repr, names[:_SHOWN]))
    if len(names) == 1:
        return f"key {first}"
    more = ", …" if len(names) > _SHOWN else ""
    return f"keys {first}{more} ({len(names)} in all)"


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
