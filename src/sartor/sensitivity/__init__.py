"""How much each layer minds being compressed, one compression parameter at a time (Galen, Ω).

Ω = mean over images of KL(p_candidate ‖ p_original). The network runs once; for every candidate only what lies behind the changed
layer runs again.
"""

from sartor.sensitivity._measure import measure
from sartor.sensitivity._plot import draw, heat_map
from sartor.sensitivity._table import FILE, Grid, Parameter, Sensitivity

__all__ = ["FILE", "Grid", "Parameter", "Sensitivity", "draw", "heat_map", "measure"]
