from ._compress import SCHEMA as SCHEMA
from ._compress import Result as Result
from ._compress import compress as compress
from ._options import Measurement as Measurement
from ._options import SearchOptions as SearchOptions
from ._setup import make_compressor as make_compressor
from ._setup import make_problem as make_problem
from ._setup import make_target as make_target
