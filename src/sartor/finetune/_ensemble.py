"""Networks that other networks are taught by: normalised for, and as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, cast

import torch
from torch import Tensor, fx, nn

from sartor.tasks import Outputs, Task

#: Mean and standard deviation of each channel; both empty where nothing is normalised.
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]


class Renormalized(nn.Module):
    """A network that reads images which were normalised for another one.

    Args:
        network: Reads images · scale + shift.
        scale: (channels, 1, 1).
        shift: (channels, 1, 1).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    @classmethod
    def of(cls, network: nn.Module, *, given: Normalisation, wanted: Normalisation) -> Self:
        """A network that wants one normalisation, for images that were given another."""
        mean, std = _tensors(given)
        its_mean, its_std = _tensors(wanted)

        # (x · std + mean - its_mean) / its_std, in one multiplication and one addition.
        scale = std / its_std
        shift = (mean - its_mean) / its_std
        return cls(network, scale, shift)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the network."""
        renormalized = x * self.scale + self.shift
        return cast("Tensor", self.network(renormalized))


class Ensemble(nn.Module):
    """Several networks as one: the means of their outputs, as far as the task counts them.

    Args:
        networks: With outputs of the same shapes.
        task: Which of the outputs count.
    """

    def __init__(self, networks: Iterable[nn.Module], task: Task) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._task = task

    def forward(self, x: Tensor) -> Tensor | Outputs:
        """Means of their outputs, (images, …) each; of one output the tensor itself."""
        outputs = [self._outputs(network(x)) for network in self.networks]
        means = tuple(torch.stack(alike).mean(0) for alike in zip(*outputs, strict=True))
        return means[0] if len(means) == 1 else means

    def _outputs(self, output: object) -> Outputs:
        # While the ensemble is traced, an output is a proxy that nothing can be asked of.
        if isinstance(output, fx.Proxy):
            return (cast("Tensor", output),)
        return self._task.outputs(output)


def _tensors(normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    mean, std = normalisation
    # One number broadcasts over channels, so their count need not be known.
    means = _per_channel(mean or (0.0,))
    stds = _per_channel(std or (1.0,))
    return means, stds


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1)
