"""A finished or running search as a page, figures, a table of episodes and a model card."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
