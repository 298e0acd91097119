"""Any measure of quality of the user's."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

from torch import fx, nn

from sartor.compression import on_device
from sartor.errors import UsageError
from sartor.machine import CPU
from sartor.scoring._score import Score


class CallableScorer:
    """Any measure of quality from 0 to 1, larger is better, of a network in fp32 on the CPU.

    >>> CallableScorer(lambda model: 0.9).score(nn.Identity()).accuracy
    0.9
    """

    def __init__(self, evaluate: Callable[[nn.Module], float]) -> None:
        self._evaluate = evaluate

    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """What the callable returns for a copy. Raises `UsageError` unless that is in [0, 1]."""
        # On the CPU, because code of the user's may have images there; a copy, because it may train
        # or change what it is given.
        if isinstance(network, fx.GraphModule):
            network = on_device(network, CPU)
        network = copy.deepcopy(network).eval()
        answer = self._evaluate(network)
        try:
            value = float(answer)
        except (TypeError, ValueError):
            # Like a number that is not one: no value is allowed, so there is one message.
            value = math.nan

        if not 0 <= value <= 1:
            raise UsageError(
                f"evaluate(model) returned {answer!r}; it must return a number from 0 to 1, "
                "larger is better"
            )
        return Score(value, images=0)

    def release(self) -> None:
        """Nothing is kept."""
