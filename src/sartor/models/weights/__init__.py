"""Files of weights: the containers they come in, and how their names are fitted onto a network."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
