"""Kinds of data sets that are known by a place, and what holds the splits of objects."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
