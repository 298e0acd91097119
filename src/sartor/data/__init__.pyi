from ._images import Data as Data
from ._images import Images as Images
from ._load import ALL as ALL
from ._load import load as load
from ._registry import SOURCES as SOURCES
from ._source import Source as Source
from ._source import Split as Split
from ._source import SplitName as SplitName
