"""Costs of one candidate, and of one of its layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """Cost of one candidate.

    >>> half = Cost(macs=50, params=10, size=40, bops=51200)
    >>> half.ratio(Cost(macs=100, params=20, size=80, bops=102400))["macs"]
    0.5

    Attributes:
        macs: Multiply-accumulates for a batch of one.
        params: Parameters that are not zero. Fine-grained pruning saves parameters and bytes but
            no MACs: dense kernels multiply by zero too.
        size: Bytes.
        bops: MACs × weight bits × activation bits.
    """

    macs: int
    params: int
    size: int
    bops: int

    def ratio(self, original: Cost) -> dict[str, float]:
        """Each quantity as a fraction of the original's; 1 where the original has none."""
        mine = asdict(self)
        theirs = asdict(original)

        ratios = {}
        for key, value in mine.items():
            total = theirs[key]
            ratios[key] = value / total if total else 1.0
        return ratios


@dataclass(frozen=True)
class LayerCost:
    """What one layer of a candidate is left with.

    Attributes:
        name: Name of the layer.
        kind: ``conv``, ``depthwise`` or ``linear``.
        in_channels: Channels it reads.
        out_channels: Channels it writes.
        macs: Its multiply-accumulates for a batch of one.
        density: Share of single weights kept.
        weight_bits: Bits of its weights.
        activation_bits: Bits of what it reads.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    macs: int
    density: float
    weight_bits: int
    activation_bits: int
