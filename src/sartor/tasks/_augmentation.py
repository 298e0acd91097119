"""Changes to training images that labels can follow."""

from __future__ import annotations

from typing import Literal

#: Changes to training images: shifted by up to an eighth of the side, mirrored, and mixed with
#: another one in a share drawn from 0 to 1, labels alike (Zhang et al. 2018; worth most where a
#: teacher is learned from for long, Beyer et al. 2022).
Augmentation = Literal["shift", "mirror", "mix"]
