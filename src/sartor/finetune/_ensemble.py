"""Networks that other networks are taught by: normalised for, and as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.scoring import logits


class Renormalized(nn.Module):
    """A network that reads images which were normalized for another one."""

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        given: tuple[tuple[float, ...], ...],
        wanted: tuple[tuple[float, ...], ...],
    ) -> None:
        super().__init__()
        self.network = network
        (mean, std), (its_mean, its_std) = (
            tuple(
                torch.tensor(item or default).view(-1, 1, 1)
                for item, default in zip(pair, (0.0, 1.0), strict=True)
            )
            for pair in (given, wanted)
        )
        self.register_buffer("scale", std / its_std)
        self.register_buffer("shift", (mean - its_mean) / its_std)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the network."""
        return cast("Tensor", self.network(x * self.scale + self.shift))


class Ensemble(nn.Module):
    """Several networks as one."""

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Mean of their outputs."""
        outputs = [network(x) for network in self.networks]  # proxies of tensors while it is traced
        return torch.stack(
            [
                cast("Tensor", item) if isinstance(item, fx.Proxy) else logits(item)
                for item in outputs
            ]
        ).mean(0)
