"""What surrounds the computation: files, locks, processes, threads, optional packages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
