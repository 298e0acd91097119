"""How much each layer suffers from being compressed, one parameter at a time (Galen's Ω).

Ω = mean over images of KL(p_candidate ‖ p_original). The network runs once; for every candidate
only what lies behind the changed layer runs again.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
