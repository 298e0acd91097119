"""The accelerator of one training, without a trace in the process that it runs in."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import torch

from sartor.errors import UsageError
from sartor.machine import require

if TYPE_CHECKING:
    from accelerate import Accelerator

    from sartor.finetune._options import Precision

#: Classes of accelerate whose instances all share what this class attribute holds.
_SHARED = ("PartialState", "AcceleratorState", "GradientState")
_ATTRIBUTE = "_shared_state"


class PrivateState:
    """accelerate's state of the process, exchanged for one of our own while this is entered.

    accelerate keeps one precision and one gradient accumulation for a whole process: those of
    whoever made the first accelerator. Trainings may differ, and the host may have one of its own.
    """

    def __init__(self) -> None:
        self._own: dict[str, object] = {name: {} for name in _SHARED}
        self._hosts: dict[str, object] = {}

    def __enter__(self) -> None:
        state = require("accelerate.state", extra="train")
        for name in _SHARED:
            shared = getattr(state, name)
            # The attribute itself: of a descriptor, `getattr` would give what it holds.
            self._hosts[name] = vars(shared)[_ATTRIBUTE]
            setattr(shared, _ATTRIBUTE, self._own[name])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        state = require("accelerate.state", extra="train")
        for name in _SHARED:
            shared = getattr(state, name)
            setattr(shared, _ATTRIBUTE, self._hosts[name])


def make_accelerator(precision: Precision, device: torch.device) -> Accelerator:
    """An accelerator for networks on a device; called while a `PrivateState` is entered.

    Networks are not moved by it. Raises `UsageError` for half precision without a GPU.
    """
    accelerate = require("accelerate", extra="train")
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("precision is fp16, which needs a GPU; allowed on the CPU are no and bf16")

    made: Accelerator = accelerate.Accelerator(
        mixed_precision=precision,
        cpu=device.type == "cpu",
        device_placement=False,
    )
    return made


def device_of_process(accelerator: Accelerator, device: torch.device) -> torch.device:
    """Where this process trains: on the device, or, as one of several, on a GPU of its own."""
    return device if accelerator.num_processes == 1 else accelerator.device
