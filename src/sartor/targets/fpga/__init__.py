"""FPGAs: one engine a layer, as FINN builds them. Everything here is an estimate, closed form."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
