"""The search: environment, rewards, record, loop."""

from sartor.search._env import FEATURES, PruningEnv
from sartor.search._front import CostAxis, cost_axis, cost_of, front
from sartor.search._loop import LayerLatency, MemoryRecord, Plan, Record, Search, finalists
from sartor.search._reward import CAN_RACE, REWARDS, RewardName
from sartor.search._study import Episode, Study, read_episodes

__all__ = [
    "CAN_RACE",
    "FEATURES",
    "REWARDS",
    "CostAxis",
    "Episode",
    "LayerLatency",
    "MemoryRecord",
    "Plan",
    "PruningEnv",
    "Record",
    "RewardName",
    "Search",
    "Study",
    "cost_axis",
    "cost_of",
    "finalists",
    "front",
    "read_episodes",
]  # fmt: skip
