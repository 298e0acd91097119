"""What layers read and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a convolution or linear layer."""

    name: str
    layer: nn.Conv1d | nn.Conv2d | nn.Linear
    input: Tensor
    output: Tensor


@torch.no_grad()
def layer_calls(network: fx.GraphModule, inputs: Sequence[Tensor]) -> list[LayerCall]:
    """All calls, in forward order; layers that share a module are called more than once."""
    calls: list[LayerCall] = []

    class Recorder(fx.Interpreter):
        def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            output = super().call_module(target, args, kwargs)
            layer = network.get_submodule(target)
            if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                calls.append(LayerCall(target, layer, args[0], output))
            return output

    Recorder(network).run(*inputs)
    return calls
