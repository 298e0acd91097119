from ._narrow import narrow as narrow
from ._proof import keep_safe_groups as keep_safe_groups
from ._widen import mask as mask
from ._widen import widen as widen
