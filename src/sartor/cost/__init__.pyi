from ._band import Band as Band
from ._cost_model import CostModel as CostModel
from ._costs import Cost as Cost
from ._costs import LayerCost as LayerCost
from ._hardware import HardwareCosts as HardwareCosts
from ._latency import LatencyPredictor as LatencyPredictor
from ._layer_settings import LayerSettings as LayerSettings
