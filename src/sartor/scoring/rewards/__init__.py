"""From an outcome to the number that agents maximise; one file per family of rewards."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
