"""Other networks to learn from than the original."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor import models
from sartor.data import Images
from sartor.errors import UsageError
from sartor.scoring import logits, output_shape


@dataclass(frozen=True)
class Teacher:
    """Trained networks to learn from in place of the original: a larger one teaches more, a smaller one is quicker, and several
    that were trained apart know more together than the best of them.
    """

    models: tuple[str, ...] = ()
    """Zoo names, timm:NAME, or package.module:callable; several teach the mean of their outputs. None: the original."""
    weights: tuple[Path, ...] = ()
    """The .safetensors files with their trained weights, in the same order."""

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.models):
            raise UsageError(
                f"teacher weights are {', '.join(map(str, self.weights))}, teachers are {', '.join(self.models) or 'none'}; "
                "name one network for each file"
            )

    def build(self, images: Images, *, classes: int) -> nn.Module | None:
        """One network, for images as they are normalized in ``images``; None if no other than the original is asked for.

        Several are one whose outputs are the mean of theirs, which makes its distribution, however softened, the geometric mean
        of theirs (Hinton et al. 2015).

        Raises `UsageError` for an unknown name, a zoo network without weights, several of which one cannot run on these images or
        has other outputs than the others, and `WeightsError` for weights that do not fit.
        """
        networks = [
            self._build(model, weights, images, classes) for model, weights in self._pairs()
        ]
        if len(networks) < 2:
            return networks[0] if networks else None
        image, named = images.slice(0, 1).normalized(), zip(networks, self.models, strict=True)
        shapes = [output_shape(network, image, f"the teacher {name}") for network, name in named]
        if len(set(shapes)) > 1:
            raise UsageError(
                f"the teachers' outputs have the shapes {', '.join(map(str, shapes))}; they must be the same"
            )
        return _Ensemble(networks)

    def _pairs(self) -> Iterable[tuple[str, Path | None]]:
        return zip_longest(self.models, self.weights)

    @staticmethod
    def _build(model: str, weights: Path | None, images: Images, classes: int) -> nn.Module:
        pixels = images.pixels.shape[-1]
        missing = f"the teacher's weights are missing: {model} would teach with random weights"
        network = models.build_trained(
            model, weights, classes=classes, pixels=pixels, missing=missing
        )
        mean, std = models.normalisation(weights)
        if (mean, std) == (images.mean, images.std):
            return network
        return _Renormalized(network, (images.mean, images.std), (mean, std))


class _Renormalized(nn.Module):
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


class _Ensemble(nn.Module):
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
