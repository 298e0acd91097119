from ._inputs import InputOptions as InputOptions
from ._known import known_preprocessing as known_preprocessing
from ._metadata import metadata_of as metadata_of
from ._reader import Reader as Reader
from ._reading import read_preprocessing as read_preprocessing
from ._registry import READERS as READERS
