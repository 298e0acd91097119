"""Networks and their weights by name: the zoo, timm, or any callable of the user's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
