"""Another network to learn from than the original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from sartor import models
from sartor.data import Images
from sartor.errors import UsageError


@dataclass(frozen=True)
class Teacher:
    """A trained network to learn from in place of the original: a larger one teaches more, a smaller one is quicker."""

    model: str = ""
    """Zoo name, timm:NAME, or package.module:callable. Empty: the original."""
    weights: Path | None = None
    """A .safetensors file with its trained weights."""

    def __post_init__(self) -> None:
        if self.weights is not None and not self.model:
            raise UsageError(f"teacher weights are {self.weights}, but there is no teacher; name its network too")

    def require_weights(self) -> None:
        """Raises what `models.require_weights` raises, if another network than the original is asked for."""
        if self.model:
            models.require_weights(self.model, self.weights, missing=self._missing)

    def build(self, images: Images, *, classes: int) -> nn.Module | None:
        """The network, for images as they are normalized in ``images``; None if no other than the original is asked for.

        Raises `UsageError` for an unknown name, or a zoo network without weights, and `WeightsError` for weights that do not fit.
        """
        if not self.model:
            return None
        pixels = images.pixels.shape[-1]
        network = models.build_trained(self.model, self.weights, classes=classes, pixels=pixels, missing=self._missing)
        mean, std = models.normalisation(self.weights)
        if (mean, std) == (images.mean, images.std):
            return network
        return _Renormalized(network, (images.mean, images.std), (mean, std))

    @property
    def _missing(self) -> str:
        return f"the teacher's weights are missing: {self.model} would teach with random weights"


class _Renormalized(nn.Module):
    """A network that reads images which were normalized for another one."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, given: tuple[tuple[float, ...], ...], wanted: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.network = network
        (mean, std), (its_mean, its_std) = (
            tuple(torch.tensor(item or default).view(-1, 1, 1) for item, default in zip(pair, (0.0, 1.0), strict=True))
            for pair in (given, wanted)
        )
        self.register_buffer("scale", std / its_std)
        self.register_buffer("shift", (mean - its_mean) / its_std)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the network."""
        return cast("Tensor", self.network(x * self.scale + self.shift))
