"""Which batch norm stands behind which layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from torch import fx, nn

from sartor.graph import LAYERS


def keeps_statistics(module: nn.Module) -> bool:
    """Whether a module is a batch norm that scales and shifts by fixed numbers in evaluation mode."""
    return isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_mean is not None


def norms_behind(
    network: fx.GraphModule,
    is_norm: Callable[[nn.Module], bool] = keeps_statistics,
    layers: tuple[type[nn.Module], ...] = LAYERS,
) -> dict[str, str]:
    """Layers of some kinds with the norm that stands behind them, by name.

    It must follow every call of the layer, with no other reader; and though it may stand behind several layers, behind nothing
    else.
    """
    followers: dict[str, set[str]] = {}
    feeding: dict[str, set[str]] = {}
    for node in network.graph.nodes:
        module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, layers):
            readers = [str(user.target) if user.op == "call_module" else "" for user in node.users]
            alone = len(readers) == 1 and is_norm(network.get_submodule(readers[0]))
            followers.setdefault(str(node.target), set()).add(readers[0] if alone else "")
        elif module is not None and is_norm(module):
            (source,) = node.all_input_nodes
            feeding.setdefault(str(node.target), set()).add(
                str(source.target) if source.op == "call_module" else ""
            )
    followed = {
        layer: min(names)
        for layer, names in followers.items()
        if len(names) == 1 and "" not in names
    }
    return {layer: norm for layer, norm in followed.items() if feeding[norm] <= followed.keys()}


def own_norms(
    network: fx.GraphModule, is_norm: Callable[[nn.Module], bool] = keeps_statistics
) -> dict[str, str]:
    """Those of `norms_behind` that stand behind one layer only, so that changing them changes no other."""
    found = norms_behind(network, is_norm)
    count = Counter(found.values())
    return {layer: norm for layer, norm in found.items() if count[norm] == 1}
