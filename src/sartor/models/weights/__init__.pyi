from ._load import LoadedWeights as LoadedWeights
from ._load import load_weights as load_weights
from ._read import read_metadata as read_metadata
from ._read import read_weights as read_weights
from ._safetensors import save_weights as save_weights
from ._safetensors import write_tensors as write_tensors
