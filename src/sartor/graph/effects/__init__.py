"""What each kind of operator does to the labels of channels; one file per family of operators."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
