"""What a search found, in the formats that runtimes read, and what becomes of it there."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
