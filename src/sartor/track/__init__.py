"""What a run tells to TensorBoard or MLflow while it goes on."""

from sartor.track._base import Numbers, Tracker, TrackerName, trackers
from sartor.track._mlflow import MlflowTracker
from sartor.track._tensorboard import TensorBoardTracker

__all__ = ["MlflowTracker", "Numbers", "TensorBoardTracker", "Tracker", "TrackerName", "trackers"]
