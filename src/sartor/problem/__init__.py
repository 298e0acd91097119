"""The decisions of a search, what they cost, and what the budget leaves to each of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
