"""sartor: tailors a trained neural network to the hardware it will run on."""

import lazy_loader

from sartor.machine import VERSION as _VERSION

__version__ = _VERSION

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
