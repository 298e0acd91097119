from . import data as data
from . import demo as demo
from . import errors as errors
from . import models as models
from .budget import Budget as Budget
from .compression import CompressOptions as CompressOptions
from .compression import load as load
from .data import Data as Data
from .data import Images as Images
from .graph import trace as trace
from .pipeline import SearchOptions as SearchOptions
from .policy import Policy as Policy
from .runs import Result as Result
from .runs import Run as Run
from .runs import compress as compress

__version__: str
