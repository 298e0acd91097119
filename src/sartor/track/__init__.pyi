from ._base import Numbers as Numbers
from ._base import Tracker as Tracker
from ._mlflow import MlflowTracker as MlflowTracker
from ._registry import TRACKERS as TRACKERS
from ._registry import trackers as trackers
from ._tensorboard import TensorBoardTracker as TensorBoardTracker
