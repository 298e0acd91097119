from ._decisions import Decision as Decision
from ._decisions import Granularity as Granularity
from ._decisions import Method as Method
from ._decisions import Precision as Precision
from ._decisions import cheapest as cheapest
from ._problem import Problem as Problem
