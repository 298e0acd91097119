"""Labelled images held in memory, and the folders they come from."""

from sartor.data._images import Data, Images
from sartor.data._load import ALL, load

__all__ = ["ALL", "Data", "Images", "load"]
