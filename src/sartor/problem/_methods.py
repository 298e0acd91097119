"""What a search may do to layers, by name."""

from __future__ import annotations

from typing import Literal

#: What pruning removes: whole channels of groups, or single weights of layers.
Granularity = Literal["channels", "weights"]
Method = Literal["prune", "quantize"]
