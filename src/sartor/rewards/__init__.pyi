from ._rewards import CAN_RACE as CAN_RACE
from ._rewards import REWARDS as REWARDS
from ._rewards import RewardName as RewardName
