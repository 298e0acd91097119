"""The machine's odds and ends: files, locks, processes, threads, packages that may be missing."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
