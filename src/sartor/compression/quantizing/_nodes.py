"""What a node of a network does to numbers, as far as rounding asks."""

from __future__ import annotations

from torch import fx, nn

from sartor.graph import Effect, function_effect, module_effect, operator_name

_CLIPPING_MODULES = (nn.ReLU, nn.ReLU6)
_CLIPPING_FUNCTIONS = ("relu", "relu6")
_AVERAGING_MODULES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_ADAPTIVE = ("adaptive_avg_pool1d", "adaptive_avg_pool2d")
_AVERAGING_FUNCTIONS = ("mean", "avg_pool1d", "avg_pool2d", *_ADAPTIVE)


def averages(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node takes means."""
    module = module_of(network, node)
    if module is not None:
        return isinstance(module, _AVERAGING_MODULES)
    return is_operator(node) and operator_name(node) in _AVERAGING_FUNCTIONS


def sums_up(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a tensor is a sum, perhaps clipped."""
    while clips(network, node):
        node = node.all_input_nodes[0]
    return is_sum(node)


def is_sum(node: fx.Node) -> bool:
    """Whether a node adds two tensors."""
    is_add = is_operator(node) and operator_name(node) == "add"
    return is_add and len(node.all_input_nodes) > 1


def clips(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node clips as kernels do for nothing."""
    if node.op == "call_function":
        return operator_name(node) in _CLIPPING_FUNCTIONS
    return isinstance(module_of(network, node), _CLIPPING_MODULES)


def only_moves(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether elements of one tensor are moved and nothing is computed."""
    if len(node.all_input_nodes) != 1:
        return False

    module = module_of(network, node)
    # Where a batch norm was folded, an Identity is left.
    if isinstance(module, nn.Identity):
        return True
    if module is not None:
        return module_effect(module) is Effect.MOVE

    if not is_operator(node):
        return False

    effect = function_effect(operator_name(node))
    return effect is Effect.MOVE


def module_of(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls."""
    if node.op != "call_module":
        return None
    return network.get_submodule(str(node.target))


def is_operator(node: fx.Node) -> bool:
    """Whether a node calls a function or a method."""
    return node.op in ("call_function", "call_method")
