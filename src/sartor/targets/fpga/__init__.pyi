from ._band import Band as Band
from ._dataflow import Dataflow as Dataflow
from ._device import FpgaDevice as FpgaDevice
from ._engines import Engine as Engine
from ._engines import Shape as Shape
from ._estimate import Estimates as Estimates
from ._estimator import Aim as Aim
from ._estimator import Estimator as Estimator
