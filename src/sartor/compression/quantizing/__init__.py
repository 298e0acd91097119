"""Rounding: how targets round, in which ranges, and networks that compute as they will."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
