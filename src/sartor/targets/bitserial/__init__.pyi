from ._library import library as library
from ._library import sources as sources
from ._target import BitSerialTarget as BitSerialTarget
from ._target import write_bitserial as write_bitserial
