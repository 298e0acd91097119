"""Ways to trace a network: by `torch.fx`, and by `torch.export` where that cannot follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import fx, nn

from sartor.graph._examples import Examples
from sartor.graph._exported import exported
from sartor.graph._places import in_words, place_of
from sartor.graph._tracer import SizeTracer


class FrontEndError(Exception):
    """A way of tracing cannot do it, for the reason that its cause and its words give."""


#: Makes the graph of a network on examples.
FrontEnd = Callable[[nn.Module, Examples], fx.Graph]


def by_fx(model: nn.Module, examples: Examples) -> fx.Graph:
    """Operators in the order in which the forward pass calls them."""
    if _takes_any_arguments(model):
        raise FrontEndError("torch.fx cannot follow a forward pass that takes *args or **kwargs")
    tracer = SizeTracer(examples.tensors)
    defaults = examples.defaults(model) or None
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


def by_export(model: nn.Module, examples: Examples) -> fx.Graph:
    """Operators that the dispatcher sees, as functions of torch."""
    return _exported(model, examples, functional=False, any_size=True)


def by_functional_export(model: nn.Module, examples: Examples) -> fx.Graph:
    """The same where nothing is changed in place."""
    return _exported(model, examples, functional=True, any_size=True)


def by_fixed_export(model: nn.Module, examples: Examples) -> fx.Graph:
    """As `by_export`, for the size of the examples only."""
    return _exported(model, examples, functional=False, any_size=False)


def by_fixed_functional_export(model: nn.Module, examples: Examples) -> fx.Graph:
    """As `by_functional_export`, for the size of the examples only."""
    return _exported(model, examples, functional=True, any_size=False)


def _exported(
    model: nn.Module, examples: Examples, *, functional: bool, any_size: bool
) -> fx.Graph:
    try:
        return exported(model, examples, functional=functional, any_size=any_size)
    except Exception as error:  # torch.export raises many kinds, and so may a forward pass
        raise FrontEndError(in_words(error) + place_of(error)) from error


def _takes_any_arguments(model: nn.Module) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    return not kinds.isdisjoint({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
