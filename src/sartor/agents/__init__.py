"""Agents: they propose keep ratios and learn from the rewards of whole episodes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
