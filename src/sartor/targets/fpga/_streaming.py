"""How long one example takes from end to end: units begin as soon as enough has arrived.

A unit begins when the first rows that it needs exist, on the linear ramp of what its producer
gives, and ends when it has computed everything, but not before its last row has arrived. FINN's own
figure, the sum of all cycles, is 1.6 to 1.8 times what was measured of published designs; this one
is within 3 % of it (``bench/fpga.py``).
"""

from __future__ import annotations

import numpy as np

from sartor.machine import FloatArray
from sartor.targets.fpga._dataflow import Dataflow

#: Bits of what waits for the other summand of an addition.
WAITING_BITS = 8


def stream(dataflow: Dataflow, cycles: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cycles from end to end (policies,), of cycles of each layer's units (policies, layers).

    And, for each addition of streams, the share of a stream that waits there for the other one
    (policies, additions).
    """
    policies = len(cycles)
    start = np.zeros((policies, len(dataflow.stages)))
    end = np.zeros_like(start)
    waiting = []
    for index, stage in enumerate(dataflow.stages):
        if not stage.before:
            continue

        ramps = end[:, stage.before] - start[:, stage.before]
        begins = start[:, stage.before] + stage.waits * ramps
        arrived = end[:, stage.before].max(1)
        start[:, index] = begins.max(1)
        takes = 0.0 if stage.layer is None else cycles[:, stage.layer]
        last_row = takes / stage.rows
        end[:, index] = np.maximum(start[:, index] + takes, arrived + last_row)
        if stage.sized_like is not None:
            late = begins.max(1) - begins.min(1)
            waiting.append(np.minimum(1.0, late / np.maximum(1.0, ramps.max(1))))

    shares = np.stack(waiting, axis=1) if waiting else np.zeros((policies, 0))
    return end[:, dataflow.last], shares
