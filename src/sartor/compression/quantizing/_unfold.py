"""The form in which candidates are trained: batch norms stand again where they were folded.

Weights are rounded per output channel, so a batch norm behind a rounded convolution only scales
its steps: folding it afterwards changes nothing but the last bits, and training sees the
statistics of each batch, as the original's did.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import (
    BATCH_NORMS,
    CONVOLUTIONS,
    BatchNorm,
    FoldedNorm,
    affine,
    fold,
    norms_behind,
    own_norms,
    trainable_copy,
)
from sartor.compression.quantizing._learned_ranges import learn_ranges, settle_ranges
from sartor.compression.quantizing._quantizers import QuantizedWeight
from sartor.graph import walk

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


def unfold(folded: fx.GraphModule, inputs: tuple[Tensor, ...]) -> fx.GraphModule:
    """A copy to train, with batch norms where `fold` took them out.

    In evaluation mode it computes what ``folded`` does. Statistics are those of ``inputs``. A batch
    norm that stood behind several layers stays folded, and so does one behind a layer whose steps
    are powers of two: folding it afterwards would scale them to others. Weights before the others
    are scaled to length 1 per output channel: only their direction counts there, and a step of a
    given size turns them the further the shorter they are (van Laarhoven 2017).
    """
    network = trainable_copy(folded)
    missing = own_norms(folded, lambda module: isinstance(module, FoldedNorm))

    def visit(node: fx.Node, value: Tensor) -> None:
        if node.op != "call_module":
            return

        name = str(node.target)
        # Taken out, so that a layer that is called twice is split once.
        norm = missing.pop(name, None)
        if norm is None:
            return

        layer = network.get_submodule(name)
        if isinstance(layer, QuantizedWeight) and layer.scheme.powers_of_two:
            return
        unfolded = _split(cast("_Convolution", layer), value)
        network.set_submodule(norm, unfolded)

    walk(folded, inputs, visit)
    learn_ranges(network)
    return network


@torch.no_grad()
def refold(trained: fx.GraphModule) -> fx.GraphModule:
    """A network of its own whose batch norms are folded again, with the ranges that were learned.

    Folding scales what a layer gives, and so its steps.
    """
    settled = trainable_copy(trained)
    settle_ranges(settled)
    network = trainable_copy(fold(settled))
    for layer, norm in norms_behind(trained, layers=CONVOLUTIONS).items():
        module = network.get_submodule(layer)
        if isinstance(module, QuantizedWeight):
            factor, _ = affine(cast("BatchNorm", trained.get_submodule(norm)))
            module.rescale(factor)
    return network


@torch.no_grad()
def _split(layer: _Convolution, outputs: Tensor) -> BatchNorm:
    """The batch norm that undoes what is done here to a layer.

    Its weights are scaled to length 1, in place, and its bias is taken away.
    """
    assert layer.bias is not None
    length = layer.weight.flatten(1).norm(dim=1)
    # Weights of an output that are all zero have no direction, and stay.
    length = torch.where(length > 0, length, 1.0)
    ones = [1] * (layer.weight.dim() - 1)
    layer.weight.div_(length.view(-1, *ones))
    if isinstance(layer, QuantizedWeight):
        layer.rescale(1 / length)

    # From now on the layer gives (outputs − bias) / length; the norm has its statistics.
    axes = [0, *range(2, outputs.dim())]
    mean = outputs.mean(axes)
    variance = outputs.var(axes, correction=0) / length.square()

    kind = BATCH_NORMS[len(layer.kernel_size) - 1]
    norm = kind(len(mean), device=mean.device).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None

    # Scale and shift give back what the statistics take away.
    deviation = (variance + norm.eps).sqrt()
    norm.running_mean.copy_((mean - layer.bias) / length)
    norm.running_var.copy_(variance)
    norm.weight.copy_(length * deviation)
    norm.bias.copy_(mean)
    layer.bias.zero_()
    return norm
