"""What is delivered, timed beside the original in a runtime that is installed here.

Fewer operations are not always less time: a search that had no target is told so before its user
finds it out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import fx

from sartor import targets
from sartor.compression import deployable
from sartor.errors import SartorError
from sartor.graph import Network
from sartor.pipeline._entries import Timed
from sartor.targets import Comparison, Patience, Target, TargetOptions, of_batch

#: The first of them that is installed and holds the network is where it is timed.
_RUNTIMES = ("onnxruntime", "openvino", "torch")
#: Enough to tell half the time from all of it.
_BRIEFLY = Patience(tolerance=0.03, limit_s=1.5, warm_up=3)
#: Enough to say that something is slower.
_AGAIN = Patience(tolerance=0.01, limit_s=5.0, least_s=1.0)


def time_delivered(
    original: Network, delivered: fx.GraphModule, options: TargetOptions
) -> Timed | None:
    """Both in the first runtime that can; None if none can. It takes some seconds."""
    told = TargetOptions(threads=options.threads, batch=options.batch)
    for name in _RUNTIMES:
        try:
            target = targets.make(name, told)
            found = _compare(target, original, delivered)
        except SartorError:  # it is not installed, or lacks an operator
            continue
        return Timed.of(found, target.describe())
    return None


def _compare(target: Target, original: Network, delivered: fx.GraphModule) -> Comparison:
    inputs = of_batch(original.example_inputs, target.batch)
    networks = {"original": deployable(original.module), "delivered": deployable(delivered)}
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, network in networks.items():
            path = Path(folder) / f"{name}{target.suffix}"
            artifact = target.build(network, inputs, path)
            sessions[name] = target.load(artifact)

        before = sessions["original"]
        after = sessions["delivered"]
        found = target.compare(after, before, _BRIEFLY)
        if not found.slower:
            return found

        # that it is slower is said only of what was so twice
        again = target.compare(after, before, _AGAIN)
        return min(found, again, key=lambda comparison: comparison.low)
