"""The ``sartor`` command: each of its parts parses options, calls `sartor.runs`, prints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
