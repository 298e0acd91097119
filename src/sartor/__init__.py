"""sartor: tailors a trained neural network to the hardware it will run on."""

from importlib.metadata import version as _version

import lazy_loader

__version__ = _version("sartor")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
