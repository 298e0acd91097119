"""How a network's inputs are made: read from what is known of the network, or given."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
