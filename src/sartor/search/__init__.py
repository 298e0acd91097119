"""The search: environment, rewards, record, loop."""

from sartor.search._env import FEATURES, PruningEnv
from sartor.search._loop import MemoryRecord, Plan, Record, Search, finalists
from sartor.search._reward import REWARDS, RewardName
from sartor.search._study import Episode, Study

__all__ = [
    "FEATURES", "REWARDS", "Episode", "MemoryRecord", "Plan", "PruningEnv", "Record", "RewardName", "Search", "Study",
    "finalists",
]  # fmt: skip
