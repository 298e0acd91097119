from ._compare import compare as compare
from ._live import server as server
from ._write import write as write
