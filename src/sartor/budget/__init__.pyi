from ._bound import QUANTITIES as QUANTITIES
from ._bound import Bound as Bound
from ._bound import Bounded as Bounded
from ._bound import Quantity as Quantity
from ._budget import Budget as Budget
from ._goal import ANY_METRIC as ANY_METRIC
from ._goal import Goal as Goal
from ._goal import metric_key as metric_key
