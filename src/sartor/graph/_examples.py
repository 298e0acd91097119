"""Examples of what a network reads, and how its forward pass is given them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sartor.errors import TraceError

#: What `trace` is given: one input, several in order, or several by name.
Given = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Examples:
    """One example of each input, the batch first, of a size of one.

    Attributes:
        tensors: The examples.
        names: Arguments of the forward pass that they are given as; none where it is given them
            in order.
    """

    tensors: tuple[Tensor, ...]
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: nn.Module, given: Any) -> Examples:
        """The first example of each batch; those by name in the order of the forward pass.

        Raises `TraceError` for what are no tensors, and for names that the forward pass lacks.

        >>> examples = Examples.of(nn.Linear(2, 1), {"input": torch.zeros(4, 2)})
        >>> examples.names, examples.tensors[0].shape
        (('input',), torch.Size([1, 2]))
        """
        if isinstance(given, Mapping):
            names = _in_order(model, list(given))
            return cls(tuple(_first_of_batch(given[name]) for name in names), names)

        is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
        items = given if is_sequence else [given]
        return cls(tuple(_first_of_batch(item) for item in items))

    def call(self, model: nn.Module, tensors: Sequence[Tensor]) -> Any:
        """What a model gives for such tensors."""
        return model(*self.positional(tensors), **self.by_name(tensors))

    def positional(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the forward pass is given in order."""
        return () if self.names else tuple(tensors)

    def by_name(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """What it is given by name."""
        return dict(zip(self.names, tensors, strict=True)) if self.names else {}

    def defaults(self, model: nn.Module) -> dict[str, Any]:
        """Arguments of the forward pass that are not given, with their defaults."""
        parameters = list(inspect.signature(model.forward).parameters.values())
        beyond = parameters[len(self.tensors) :]
        if self.names:
            beyond = [parameter for parameter in parameters if parameter.name not in self.names]
        return {
            parameter.name: parameter.default
            for parameter in beyond
            if parameter.default is not parameter.empty
        }


def _in_order(model: nn.Module, names: list[str]) -> tuple[str, ...]:
    parameters = inspect.signature(model.forward).parameters
    for name in names:
        # Nor what ``**kwargs`` swallows: torch.export cannot leave its batch size open.
        if name not in parameters:
            raise TraceError(
                f"the forward pass of {type(model).__name__} has no argument {name!r}; "
                f"it has {', '.join(parameters)}"
            )
    return tuple(name for name in parameters if name in names)


def _first_of_batch(item: Any) -> Tensor:
    if isinstance(item, np.ndarray):
        item = torch.from_numpy(item)

    what = type(item).__name__
    if isinstance(item, Tensor):
        if item.dim() and len(item):
            first = item[:1]
            return first.detach().cpu()
        what = f"shape {tuple(item.shape)}"

    raise TraceError(
        f"example inputs must be tensors with at least one element of the batch, not {what}"
    )


def random_like(example: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of the range of an example; whole numbers, which may be indices, of it too.

    >>> whole = random_like(torch.tensor([[3, 7, 3]]), torch.Generator().manual_seed(0))
    >>> bool(whole.min() >= 3) and bool(whole.max() <= 7)
    True
    """
    low = example.min().item()
    high = example.max().item()
    if example.dtype is torch.bool:
        drawn = torch.randint(int(low), int(high) + 1, example.shape, generator=generator)
        return drawn.bool()
    if not example.is_floating_point():
        drawn = torch.randint(int(low), int(high) + 1, example.shape, generator=generator)
        return drawn.to(example.dtype)

    drawn = torch.empty_like(example)
    if low == high:
        return drawn.normal_(generator=generator)
    return drawn.uniform_(low, high, generator=generator)
