from ._message import GREETING as GREETING
from ._message import read as read
from ._message import write as write
from ._runtimes import RUNTIMES as RUNTIMES
