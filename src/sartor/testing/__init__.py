"""Contracts as tests: a new agent inherits `AgentConformance`, a new target `TargetConformance`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
