from ._base import Numbers as Numbers
from ._base import Tracker as Tracker
from ._base import TrackerName as TrackerName
from ._base import trackers as trackers
from ._mlflow import MlflowTracker as MlflowTracker
from ._tensorboard import TensorBoardTracker as TensorBoardTracker
