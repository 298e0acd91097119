"""What a network is: its layers, and which channels must be removed together."""

from sartor.graph._layers import KEPT, LAYERS, BoolArray, Group, IntArray, KeptWhole, LayerSpec, Slot
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._outputs import differ, tensors_in
from sartor.graph._select import ChannelSelect
from sartor.graph._trace import Network, require_finite, trace

__all__ = [
    "KEPT", "LAYERS", "BoolArray", "ChannelSelect", "Effect", "Group", "IntArray", "KeptWhole", "LayerSpec", "Network", "Slot",
    "differ", "function_effect", "module_effect", "operator_name", "require_finite", "tensors_in", "trace",
]  # fmt: skip
