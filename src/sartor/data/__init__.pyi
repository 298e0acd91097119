from ._images import Data as Data
from ._images import Images as Images
from ._load import ALL as ALL
from ._load import load as load
