"""Layers of one to eight bits, computed bit by bit in a kernel that the device compiles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
