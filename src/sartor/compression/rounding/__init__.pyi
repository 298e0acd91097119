from ._rounding_refit import RoundingRefit as RoundingRefit
