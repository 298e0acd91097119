"""The folder of a run: its options, its search, what was fine-tuned, exported and verified."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
