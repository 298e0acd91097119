"""The graph of what a forward pass runs, proved to give what the network gives."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.errors import TraceError
from sartor.graph._exported import exported
from sartor.graph._inplace import without_in_place
from sartor.graph._layer_functions import onto_modules
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._outputs import differ, tensors_in
from sartor.graph._places import SizeError, place_of
from sartor.graph._prepare import traceable_copy
from sartor.graph._tracer import SizeTracer

#: Largest difference between a network and its trace, relative to the largest output.
_TOLERANCE = 1e-4


def symbolic(model: nn.Module, inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The graph of what runs, without in-place operators; held against the network it is of.

    Made by `torch.fx`, whose graphs say most of what the network is made of; by `torch.export`
    where that cannot follow the forward pass.
    """
    problems: list[Exception] = []
    whole: fx.GraphModule | None = None
    for make_graph in _FRONT_ENDS:
        # A new one, for what does not run is taken out of it.
        duplicate = traceable_copy(model)
        try:
            found = _proved(duplicate, inputs, make_graph)
        except _FrontEndError as error:
            problems.append(error)
            if _is_final(error):
                break
            continue

        if not _holds_wholes(found):
            return found
        whole = whole or found

    if whole is not None:
        return whole
    said = _most_telling(problems)
    raise TraceError(f"{type(model).__name__} cannot be traced: {said}") from said.__cause__


def _holds_wholes(module: fx.GraphModule) -> bool:
    """Whether something is called that is made of other operators, and not known as a whole.

    `torch.fx` looks neither into what torch.nn has, such as torch's transformers, nor into
    functions that a library wraps; `torch.export` does.
    """
    for node in module.graph.nodes:
        if node.op == "call_module":
            called = module.get_submodule(str(node.target))
            is_made_of_others = next(called.children(), None) is not None
            is_unknown = module_effect(called) is Effect.UNKNOWN
        elif node.op == "call_function":
            name = operator_name(node)
            is_made_of_others = "." in name and not dataclasses.is_dataclass(node.target)
            is_unknown = function_effect(name) is Effect.UNKNOWN
        else:
            continue
        if is_made_of_others and is_unknown:
            return True
    return False


class _FrontEndError(Exception):
    """A way of tracing cannot do it, for the reason that its cause and its words give."""


#: Makes the graph of a network on examples.
_FrontEnd = Callable[[nn.Module, Sequence[Tensor]], fx.Graph]


def _proved(model: nn.Module, inputs: Sequence[Tensor], make_graph: _FrontEnd) -> fx.GraphModule:
    """A network of the graph that one front end makes; it gives what the model gives."""
    # Before the graph is made, which takes what does not run out of the copy.
    proofs = [_beside(model, inputs)]
    if make_graph is not _by_fx:
        # Which takes a batch of two for all batches, if the forward pass does.
        proofs.append(_alone(model, inputs))
    graph = make_graph(model, inputs)
    module = _ordinary(model, graph, inputs)

    for given, expected in proofs:
        try:
            actual = _run(module, given)
            different = differ(actual, expected, _TOLERANCE)
        except Exception as error:
            raise _FrontEndError(
                f"its trace fails where the network does not, on inputs of shape "
                f"{_shapes(given)}: {_in_words(error)}"
            ) from error

        if different:
            raise _FrontEndError(
                "its trace computes something else than the network; "
                "an in-place operator on a part of a tensor is a usual cause"
            )
    return module


def _by_fx(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    """Operators in the order in which the forward pass calls them."""
    if _takes_any_arguments(model):
        raise _FrontEndError("torch.fx cannot follow a forward pass that takes *args or **kwargs")
    tracer = SizeTracer(inputs)
    defaults = _defaults(model, len(inputs))
    problem: Exception | None = None
    try:
        graph = tracer.trace(model, concrete_args=defaults)
    except Exception as error:  # fx raises many kinds, and so may somebody's forward pass
        problem = error

    # A refusal first: the forward pass may have caught it, and failed of something else.
    if tracer.refusal is not None:
        raise _FrontEndError(str(tracer.refusal)) from tracer.refusal
    if problem is not None:
        raise _FrontEndError(_in_words(problem) + place_of(problem)) from problem
    return graph


def _by_export(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    return _exported(model, inputs, functional=False)


def _by_functional_export(model: nn.Module, inputs: Sequence[Tensor]) -> fx.Graph:
    return _exported(model, inputs, functional=True)


def _exported(model: nn.Module, inputs: Sequence[Tensor], *, functional: bool) -> fx.Graph:
    try:
        return exported(model, inputs, functional=functional)
    except Exception as error:  # torch.export raises many kinds, and so may a forward pass
        raise _FrontEndError(_in_words(error) + place_of(error)) from error


#: Ways to trace a network, in the order in which they are tried.
_FRONT_ENDS: tuple[_FrontEnd, ...] = (_by_fx, _by_export, _by_functional_export)


def _is_final(problem: Exception) -> bool:
    """Whether no other way can do it: the values of tensors decide."""
    return isinstance(problem.__cause__, SizeError) and "value" in str(problem)


def _most_telling(problems: Sequence[Exception]) -> Exception:
    """What names the line of the forward pass, if there is such a problem."""
    questions = [problem for problem in problems if isinstance(problem.__cause__, SizeError)]
    of_values = [problem for problem in questions if _is_final(problem)]
    return [*of_values, *questions, problems[-1]][0]


def _ordinary(model: nn.Module, graph: fx.Graph, inputs: Sequence[Tensor]) -> fx.GraphModule:
    """A network of a graph, without operators that change their inputs or are of no use."""
    for node in list(graph.nodes):
        # A check of one's own computes nothing, and would end the run of a narrower network.
        if node.target is torch._assert:
            graph.erase_node(node)
    without_in_place(model, graph)
    onto_modules(model, graph, inputs)
    module = fx.GraphModule(model, graph)

    # What does not run, such as a head for training, is neither counted nor decided on.
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


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


#: Inputs, and what the network gives for them.
_Proof = tuple[tuple[Tensor, ...], Any]


def _beside(model: nn.Module, inputs: Sequence[Tensor]) -> _Proof:
    """Inputs on which a trace must give what the network gives, and what that is.

    The example, and random numbers beside it in a batch of two; the example alone where the
    network takes only that.
    """
    generator = torch.Generator().manual_seed(0)
    beside = tuple(torch.cat([item, _random_like(item, generator)]) for item in inputs)

    # NaN on the random numbers proves nothing, and says nothing against the network.
    try:
        expected = _run(model, beside)
    except Exception:
        expected = None
    if expected is not None and _finite(expected):
        return beside, expected
    return _alone(model, inputs)


def _alone(model: nn.Module, inputs: Sequence[Tensor]) -> _Proof:
    """The example, and what the network gives for it."""
    try:
        expected = _run(model, inputs)
    except Exception as error:
        raise failed(model, inputs, error) from error

    if not _finite(expected):
        raise TraceError(
            f"{type(model).__name__} cannot be traced: it gives NaN or infinity on the example "
            f"inputs of shape {_shapes(inputs)}"
        )
    return tuple(inputs), expected


def _random_like(example: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of the range of an example; whole numbers of it in another order."""
    if not example.is_floating_point():
        order = torch.randperm(example.numel(), generator=generator)
        shuffled = example.flatten()[order]
        return shuffled.view_as(example)

    low = float(example.min())
    high = float(example.max())
    drawn = torch.empty_like(example)
    if low == high:
        return drawn.normal_(generator=generator)
    return drawn.uniform_(low, high, generator=generator)


def _finite(output: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors_in(output))


@torch.no_grad()
def _run(module: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """Outputs; what is drawn in a forward pass is drawn alike each time."""
    # Not `torch.manual_seed`, which would seed GPUs that nobody puts back.
    torch.default_generator.manual_seed(0)
    # The forward pass may change what it is given.
    copies = [item.clone() for item in inputs]
    return module(*copies)


def _shapes(inputs: Sequence[Tensor]) -> str:
    shapes = [tuple(item.shape) for item in inputs]
    return ", ".join(map(str, shapes))


def _in_words(error: Exception) -> str:
    """First line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def failed(model: nn.Module, inputs: Sequence[Tensor], error: Exception) -> TraceError:
    """The user's own forward pass may raise anything."""
    return TraceError(
        f"{type(model).__name__} cannot be traced: its forward pass fails on inputs of shape "
        f"{_shapes(inputs)}: {_in_words(error)}{place_of(error)}"
    )
