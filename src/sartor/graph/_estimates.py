"""What is not counted in closed form, by what runs: at full width, whatever a policy does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sartor.graph._labelling import Labelling, ProductCall
from sartor.graph._labels import NEUTRAL
from sartor.graph._walk import arguments, call_node

_NONE = np.array([NEUTRAL], dtype=np.int64)


def estimate_unknown(labelled: Labelling) -> None:
    """Count the multiply-accumulates of operators that are not known, as torch counts them.

    What torch does not count either, such as recurrent layers, stays without a number.
    """
    for node in labelled.unknown:
        macs = _macs(labelled, node)
        if macs:
            call = ProductCall(node, _NONE, macs)
            labelled.products.append(call)


@torch.no_grad()
def _macs(labelled: Labelling, node: fx.Node) -> int:
    args, kwargs = arguments(node, labelled.values.__getitem__)
    counter: Any = FlopCounterMode(display=False)
    try:
        # Fused kernels are not counted.
        with counter, sdpa_kernel(SDPBackend.MATH):
            call_node(labelled.network, node, args, kwargs)
    except Exception:  # somebody's operator may not run under a counter
        return 0
    return int(counter.get_total_flops()) // 2
