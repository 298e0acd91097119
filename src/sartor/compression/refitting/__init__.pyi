from ._calibration import Calibration as Calibration
from ._calibration import as_matrix as as_matrix
from ._calibration import columns_of as columns_of
from ._masks import error_curve as error_curve
from ._masks import keep_largest as keep_largest
from ._refit_original import Refitter as Refitter
