from ._proof import keep_safe_groups as keep_safe_groups
from ._slice import kept_channels as kept_channels
from ._slice import mask as mask
from ._slice import narrow as narrow
from ._slice import widen as widen
