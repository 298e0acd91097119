"""Boards: computers that candidates are sent to, run on and measured on, over ssh."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
