"""The graph of what a forward pass runs, proved to give what the network gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.errors import TraceError
from sartor.graph._examples import Examples, random_like
from sartor.graph._front_ends import (
    FrontEnd,
    FrontEndError,
    by_export,
    by_fixed_export,
    by_fixed_functional_export,
    by_functional_export,
    by_fx,
)
from sartor.graph._inplace import without_in_place
from sartor.graph._layer_functions import onto_modules
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._outputs import differ, tensors_in
from sartor.graph._places import SizeError, in_words, place_of
from sartor.graph._prepare import traceable_copy

#: Largest difference between a network and its trace, relative to the largest output.
_TOLERANCE = 1e-4
#: Inputs, and what the network gives for them.
_Proof = tuple[tuple[Tensor, ...], Any]


def symbolic(model: nn.Module, examples: Examples) -> fx.GraphModule:
    """The graph of what runs, without in-place operators; held against the network it is of.

    Made by `torch.fx`, whose graphs say most of what the network is made of; by `torch.export`
    where that cannot follow the forward pass.
    """
    duplicate = traceable_copy(model)
    proof = _beside(duplicate, examples)

    problems: list[Exception] = []
    for make_graph, may_hold_wholes in _ATTEMPTS:
        try:
            return _proved(duplicate, examples, make_graph, [proof], may_hold_wholes)
        except FrontEndError as error:
            problems.append(error)
            if make_graph is by_fx and _is_final(error):
                break
        # A new one, for what does not run was taken out of it.
        duplicate = traceable_copy(model)

    said = _most_telling(problems)
    raise TraceError(f"{type(model).__name__} cannot be traced: {said}") from said.__cause__


#: How to trace, one after the other, and whether what consists of operators that were not looked
#: into will do: rather than to refuse a network.
_ATTEMPTS = (
    (by_fx, False),
    (by_export, True),
    (by_functional_export, True),
    (by_fixed_export, True),
    (by_fixed_functional_export, True),
    (by_fx, True),
)


def _holds_wholes(model: nn.Module, graph: fx.Graph) -> bool:
    """Whether something is called that is made of other operators, and not known as a whole.

    `torch.fx` looks neither into what torch.nn has, such as torch's transformers, nor into
    functions that a library wraps; `torch.export` does.
    """
    for node in graph.nodes:
        if node.op == "call_module":
            called = model.get_submodule(str(node.target))
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


def _proved(
    model: nn.Module,
    examples: Examples,
    make_graph: FrontEnd,
    proofs: list[_Proof],
    may_hold_wholes: bool,
) -> fx.GraphModule:
    """A network of the graph that one front end makes; it gives what the model gives."""
    if make_graph is not by_fx:
        # Which takes a batch of two for all batches, if the forward pass does.
        proofs = [*proofs, _alone(model, examples)]

    graph = make_graph(model, examples)
    if not may_hold_wholes and _holds_wholes(model, graph):
        raise FrontEndError("its trace holds what torch.fx does not look into")
    module = _ordinary(model, graph, examples.tensors)

    for given, expected in proofs:
        try:
            # Not the call of the module, which prints where it fails.
            actual = _run(lambda copies: module.forward(*copies), given)
            different = differ(actual, expected, _TOLERANCE)
        except Exception as error:
            if given is not proofs[0][0]:
                raise FrontEndError(
                    "its forward pass takes the batch size as a fixed number, so that its trace "
                    "does for one size only"
                ) from error
            raise FrontEndError(
                f"its trace fails where the network does not, on inputs of shape "
                f"{_shapes(given)}: {in_words(error)}"
            ) from error

        if different:
            raise FrontEndError(
                "its trace computes something else than the network; "
                "an in-place operator on a part of a tensor is a usual cause"
            )
    return module


def _is_final(problem: Exception) -> bool:
    """Whether no other way can do it: the values of tensors decide."""
    return isinstance(problem.__cause__, SizeError) and "value" in str(problem)


def _most_telling(problems: Sequence[Exception]) -> Exception:
    """What names the line of the forward pass, if there is such a problem."""
    questions = [problem for problem in problems if isinstance(problem.__cause__, SizeError)]
    of_values = [problem for problem in questions if _is_final(problem)]
    # The second is what torch.export says, which runs the forward pass as it is.
    first_of_export = problems[1:2]
    return [*of_values, *questions, *first_of_export, problems[-1]][0]


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


def _beside(model: nn.Module, examples: Examples) -> _Proof:
    """Inputs on which a trace must give what the network gives, and what that is.

    The example, and random numbers beside it in a batch of two; the example alone where the
    network takes only that.
    """
    generator = torch.Generator().manual_seed(0)
    beside = tuple(torch.cat([item, random_like(item, generator)]) for item in examples.tensors)

    # NaN on the random numbers proves nothing, and says nothing against the network.
    try:
        expected = _run(partial(examples.call, model), beside)
    except Exception:
        expected = None
    if expected is not None and _finite(expected):
        return beside, expected
    return _alone(model, examples)


def _alone(model: nn.Module, examples: Examples) -> _Proof:
    """The example, and what the network gives for it."""
    try:
        expected = _run(partial(examples.call, model), examples.tensors)
    except Exception as error:
        raise failed(model, examples.tensors, error) from error

    if not _finite(expected):
        raise TraceError(
            f"{type(model).__name__} cannot be traced: it gives NaN or infinity on the example "
            f"inputs of shape {_shapes(examples.tensors)}"
        )
    return examples.tensors, expected


def _finite(output: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors_in(output))


@torch.no_grad()
def _run(forward: Callable[[Sequence[Tensor]], Any], inputs: Sequence[Tensor]) -> Any:
    """Outputs; what is drawn in a forward pass is drawn alike each time."""
    # Not `torch.manual_seed`, which would seed GPUs that nobody puts back.
    torch.default_generator.manual_seed(0)
    # The forward pass may change what it is given.
    copies = [item.clone() for item in inputs]
    return forward(copies)


def _shapes(inputs: Sequence[Tensor]) -> str:
    shapes = [tuple(item.shape) for item in inputs]
    return ", ".join(map(str, shapes))


def failed(model: nn.Module, inputs: Sequence[Tensor], error: Exception) -> TraceError:
    """The user's own forward pass may raise anything."""
    return TraceError(
        f"{type(model).__name__} cannot be traced: its forward pass fails on inputs of shape "
        f"{_shapes(inputs)}: {in_words(error)}{place_of(error)}"
    )
