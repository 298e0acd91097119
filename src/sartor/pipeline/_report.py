"""What a search reports: the typed content of ``result.json``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sartor.errors import RunError
from sartor.graph import KeptWhole
from sartor.machine import structure
from sartor.pipeline._entries import Entry, EpisodeSeconds, Layers, Repair, Timed
from sartor.pipeline._goal import Reached
from sartor.policy import Policy
from sartor.targets import Description, Design

#: Of ``result.json``.
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """What ``result.json`` holds, under the same names.

    Indexed by a name it gives the plain values that stand in the file:
    ``report.best.ratio.macs`` is ``report["best"]["ratio"]["macs"]``.

    Attributes:
        budget: The bounds, as `Budget.parse` reads them; empty for none.
        task: What the network is for.
        metric: What measures how good it is: top-1, mIoU, …; score if that was ``evaluate``.
        budget_enforced: Whether the budget bound the search; else the reward only weighed it.
        budget_met: Whether the latency of what was found is under its bound for certain.
        goal: What came of a goal such as accuracy>=-1%; None without one.
        latency_ceiling: The bound on latency, as a fraction of the original's.
        agent: Who decided.
        seed_with: Rules whose policies came first.
        reward: What was maximised.
        methods: prune, quantize or both.
        state: Measurements of layers that the agent could see.
        granularity: channels or weights.
        multiple: What numbers of channels are multiples of, in words.
        seed: What fixed everything.
        target: Where candidates were measured; None without a target.
        latency_prediction_error: Median relative error of predicted latencies.
        latencies_unsettled: Measurements for which the machine was too busy.
        baselines: What rules gave, by name.
        original: The original network.
        warnings: What looked wrong with it, one sentence each.
        best: What was found.
        repair: How it was repaired; None if it was not.
        layers: The layers of both.
        episodes: How many policies were scored.
        interrupted: Whether the search was ended before all its episodes.
        seconds: What it took, of all processes that went on with it.
        seconds_per_episode: Where they went.
        timed: What was found, timed beside the original; None where that was not asked for, and
            where no runtime that is installed holds it.
        design: What was found as a device would have it, where the target makes designs.
        policy: What was decided.
        kept_whole: Channels that could not be removed, and why.
        not_refitted: Layers whose weights were not fitted anew, with the reason.
        shared: Layers whose weights are those of an earlier one, and count once.
        unknown_operators: Operators that are not known, whose MACs are estimated by running them.
        device: Where candidates were computed.
        versions: Of sartor, torch and Python.
    """

    budget: str
    task: str = "classification"
    metric: str = "top-1"
    goal: Reached | None = None
    budget_enforced: bool = True
    budget_met: bool
    latency_ceiling: float | None
    agent: str
    seed_with: tuple[str, ...]
    reward: str
    methods: tuple[str, ...]
    state: tuple[str, ...]
    granularity: str
    multiple: str = "1"
    seed: int
    target: Description | None
    latency_prediction_error: float | None
    latencies_unsettled: int
    baselines: Mapping[str, Entry]
    original: Entry
    warnings: tuple[str, ...] = ()
    best: Entry
    repair: Repair | None = None
    layers: Layers
    episodes: int
    interrupted: bool
    seconds: float
    seconds_per_episode: EpisodeSeconds
    timed: Timed | None = None
    design: Design | None = None
    policy: Policy
    kept_whole: tuple[KeptWhole, ...]
    not_refitted: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)
    unknown_operators: tuple[str, ...]
    device: str = "cpu"
    versions: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        """The plain values that ``result.json`` holds under a name. Raises `KeyError`."""
        return self.to_dict()[name]

    @property
    def networks(self) -> dict[str, Entry]:
        """All networks by name: the original, what rules gave, what was found.

        Where that was repaired, it stands there before its repair, too, as "refitted".
        """
        found = {"original": self.original, **self.baselines}
        if self.repair is not None:
            found["refitted"] = self.repair.refitted
        return {**found, "found": self.best}

    def to_dict(self) -> dict[str, Any]:
        """Plain values: mappings, lists, strings, numbers."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """The text of ``result.json``."""
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        # A policy has a form of its own, in which it stands in policy.json too.
        content["policy"] = json.loads(self.policy.to_json())
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, place: str = "report") -> Report:
        """The report that `to_json` wrote.

        Raises `RunError` naming ``place`` for another schema and for keys that are unknown or
        missing.
        """
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise RunError(f"{place} is not JSON: {error}") from error

        schema = None
        if isinstance(content, dict):
            schema = content.pop("schema", None)
        if schema != SCHEMA:
            raise RunError(f"{place} is not a report of schema {SCHEMA}; another version wrote it")
        return structure(cls, content, place, RunError)
