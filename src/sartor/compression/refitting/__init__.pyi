from ._calibration import Calibration as Calibration
from ._least_squares import ridge_shift as ridge_shift
from ._masks import error_curve as error_curve
from ._masks import keep_largest as keep_largest
from ._matrix import as_matrix as as_matrix
from ._matrix import columns_of as columns_of
from ._memory import images_at_once as images_at_once
from ._refitter import Refitter as Refitter
