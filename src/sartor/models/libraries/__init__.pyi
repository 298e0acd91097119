from ._library import Library as Library
from ._registry import LIBRARIES as LIBRARIES
from ._registry import library_of as library_of
