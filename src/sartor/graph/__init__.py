"""What a network is: its layers, and which channels must be removed together."""

from sartor.graph._layers import KEPT, BoolArray, Group, IntArray, KeptWhole, LayerSpec, Slot
from sartor.graph._select import ChannelSelect
from sartor.graph._trace import Network, require_finite, trace

__all__ = [
    "KEPT", "BoolArray", "ChannelSelect", "Group", "IntArray", "KeptWhole", "LayerSpec", "Network", "Slot",
    "require_finite", "trace",
]  # fmt: skip
