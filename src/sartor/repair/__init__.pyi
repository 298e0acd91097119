from ._options import RepairOptions as RepairOptions
from ._options import steps_of as steps_of
from ._repair import FEWEST_IMAGES as FEWEST_IMAGES
from ._repair import Repaired as Repaired
from ._repair import repair as repair
from ._repair import require_repairable as require_repairable
