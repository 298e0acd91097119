from ._digits import Digits as Digits
from ._image_folder import ImageFolder as ImageFolder
from ._objects import Objects as Objects
from ._parquet import ParquetFolder as ParquetFolder
