from ._measure import measure as measure
from ._plot import draw as draw
from ._plot import heat_map as heat_map
from ._probes import Probes as Probes
from ._table import Grid as Grid
from ._table import Parameter as Parameter
from ._table import Sensitivity as Sensitivity
