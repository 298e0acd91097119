"""An agent that plans: it learns what policies are worth, and acts in its imagination first."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
