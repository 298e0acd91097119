"""What is shown of a search while it goes on: the same from Python and on the command line."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
