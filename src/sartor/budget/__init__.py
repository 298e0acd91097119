"""What a candidate may cost, and how good it has to be, as texts and as frozen values."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
