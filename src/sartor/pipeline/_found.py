"""What goes into a search beside its options, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx

from sartor.compression import Compressor
from sartor.graph import Network
from sartor.pipeline._report import Report
from sartor.policy import Policy
from sartor.search import Episode


@dataclass(frozen=True)
class SearchFiles:
    """Where a search keeps what it need not do twice; nowhere what is None.

    Attributes:
        episodes: Every policy scored; a search that was interrupted goes on from it.
        latencies: Latencies of single layers.
        profile: Shares of layers in the whole latency.
        sensitivity: How sensitive each layer is.
        probes: What each decision costs alone.
        experience: What other searches can learn from this one.
        goal: What was tried before the search, to find out how small a network can be.
        repairs: Folder of the checkpoints of repairs.
    """

    episodes: Path | None = None
    latencies: Path | None = None
    profile: Path | None = None
    sensitivity: Path | None = None
    probes: Path | None = None
    experience: Path | None = None
    goal: Path | None = None
    repairs: Path | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        policy: What was decided.
        model: The compressed network, in evaluation mode: a plain `torch.nn.Module`.
        report: How accurate it is and what it costs, beside the original and the rules.
        stopped: Whether Ctrl-C was pressed, if only in the last episode: callers that have more
            to do should not.
        compressor: What built it.
        episodes: Every policy scored, in order.
        settings: What those depend on, by name.
    """

    policy: Policy
    model: fx.GraphModule
    report: Report
    stopped: bool
    compressor: Compressor
    episodes: tuple[Episode, ...]
    settings: Mapping[str, Any]

    @property
    def network(self) -> Network:
        """The original, traced."""
        return self.compressor.network
