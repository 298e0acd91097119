"""sartor: tailors a trained neural network to the hardware it will run on."""

from importlib.metadata import version as _version

__version__ = _version("sartor")

from sartor import errors
from sartor.api import Result, compress
from sartor.budget import Budget
from sartor.compress import CompressOptions
from sartor.data import Data, Images
from sartor.graph import trace
from sartor.options import SearchOptions
from sartor.policy import Policy
from sartor.storage import load

__all__ = [
    "Budget", "CompressOptions", "Data", "Images", "Policy", "Result", "SearchOptions", "compress", "errors", "load", "trace",
]  # fmt: skip
