"""Which batch norm stands behind which layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from torch import Tensor, fx, nn

from sartor.graph import LAYERS

#: Batch norms of any dimension, as a type and one by one.
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def keeps_statistics(module: nn.Module) -> bool:
    """Whether a module is a batch norm that applies fixed numbers in evaluation mode."""
    return isinstance(module, BATCH_NORMS) and module.running_mean is not None


def affine(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift that a batch norm applies in evaluation mode, both (channels,).

    >>> norm = nn.BatchNorm1d(2, eps=0.0)
    >>> _ = norm.running_var.fill_(4.0)
    >>> affine(norm)[0].tolist()
    [0.5, 0.5]
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None

    # The same small number as in the forward pass keeps constant channels finite.
    variance = norm.running_var + norm.eps
    scale = variance.rsqrt()
    if not norm.affine:
        return scale, -norm.running_mean * scale

    scaled_mean = norm.running_mean * scale * norm.weight
    return scale * norm.weight, norm.bias - scaled_mean


def norms_behind(
    network: fx.GraphModule,
    is_norm: Callable[[nn.Module], bool] = keeps_statistics,
    layers: tuple[type[nn.Module], ...] = LAYERS,
) -> dict[str, str]:
    """Layers of some kinds with the norm that stands behind them, by name.

    It must follow every call of the layer, with no other reader; and though it may stand behind
    several layers, behind nothing else.
    """
    readers: dict[str, set[str]] = {}
    sources: dict[str, set[str]] = {}
    for node in network.graph.nodes:
        if node.op != "call_module":
            continue

        name = str(node.target)
        module = network.get_submodule(name)
        if isinstance(module, layers):
            reader = _only_reader(node)
            readers.setdefault(name, set()).add(reader)
        elif is_norm(module):
            source = _called_module(node.all_input_nodes[0])
            sources.setdefault(name, set()).add(source)

    behind: dict[str, str] = {}
    for layer, names in readers.items():
        name, *others = names
        # Calls that are read by different modules, or one that no module alone reads.
        if others or not name:
            continue

        if is_norm(network.get_submodule(name)):
            behind[layer] = name

    # Only now is it known which sources are such layers.
    return {layer: norm for layer, norm in behind.items() if sources[norm] <= behind.keys()}


def own_norms(
    network: fx.GraphModule, is_norm: Callable[[nn.Module], bool] = keeps_statistics
) -> dict[str, str]:
    """Those of `norms_behind` that stand behind one layer only: changing them changes no other."""
    found = norms_behind(network, is_norm)
    count = Counter(found.values())
    return {layer: norm for layer, norm in found.items() if count[norm] == 1}


def _only_reader(node: fx.Node) -> str:
    """Name of the module that alone reads a node; empty if there is none."""
    if len(node.users) != 1:
        return ""
    return _called_module(next(iter(node.users)))


def _called_module(node: fx.Node) -> str:
    """Name of the module that a node calls; empty if it calls none."""
    if node.op != "call_module":
        return ""
    return str(node.target)
