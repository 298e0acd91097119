from ._base import Reward as Reward
from ._registry import REWARDS as REWARDS
from ._registry import as_reward as as_reward
