"""Ways to trace a network: by `torch.fx`, and by `torch.export` where that cannot follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, fx, nn

from sartor.graph._exported import exported
from sartor.graph._places import in_words, place_of
from sartor.graph._tracer import SizeTracer


class FrontEndError(Exception):
    """A way of tracing cannot do it, for the reason that its cause and its words give."""


#: Makes the graph of a network on examples.
FrontEnd = Callable[[nn.Module, Sequence[Tensor]], fx.Graph]


def by_fx(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    """Operators in the order in which the forward pass calls them."""
    if _takes_any_arguments(model):
        raise FrontEndError("torch.fx cannot follow a forward pass that takes *args or **kwargs")
    tracer = SizeTracer(inputs)
    defaults = _defaults(model, len(inputs))
    problem: Exception | None = None
    try:
        graph = tracer.trace(model, concrete_args=defaults)
    except Exception as error:  # fx raises many kinds, and so may somebody's forward pass
        problem = error

    # A refusal first: the forward pass may have caught it, and failed of something else.
    if tracer.refusal is not None:
        raise FrontEndError(str(tracer.refusal)) from tracer.refusal
    if problem is not None:
        raise FrontEndError(in_words(problem) + place_of(problem)) from problem
    return graph


def by_export(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    """Operators that the dispatcher sees, as functions of torch."""
    return _exported(model, inputs, functional=False)


def by_functional_export(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    """The same where nothing is changed in place."""
    return _exported(model, inputs, functional=True)


def _exported(model: nn.Module, inputs: Sequence[Tensor], *, functional: bool) -> fx.Graph:
    try:
        return exported(model, inputs, functional=functional)
    except Exception as error:  # torch.export raises many kinds, and so may a forward pass
        raise FrontEndError(in_words(error) + place_of(error)) from error


def _takes_any_arguments(model: nn.Module) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    return not kinds.isdisjoint({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})


def _defaults(model: nn.Module, given: int) -> dict[str, Any] | None:
    """Parameters of the forward pass beyond the ``given`` ones, with their defaults."""
    signature = inspect.signature(model.forward)
    parameters = list(signature.parameters.values())

    defaults = {}
    for parameter in parameters[given:]:
        default = parameter.default
        if default is not parameter.empty:
            defaults[parameter.name] = default
    return defaults or None
