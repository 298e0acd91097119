from ._gather import Gathered as Gathered
from ._gather import gather as gather
from ._labels import stacked as stacked
from ._storage import Storage as Storage
