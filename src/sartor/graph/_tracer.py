"""Tracing with known sizes: a forward pass may branch on shapes, never on the values of tensors.

Where the forward pass needs a number (``if x.shape[1] == 3``, ``range(x.shape[1])``), the nodes
that it is made of are run on the examples, at two batch sizes; a number that differs between them
depends on the batch and may not become a constant.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from operator import index
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import Attribute

from sartor.graph._operators import OPERATORS, Effect, name_of, operator_name
from sartor.graph._places import SizeError, place_in
from sartor.graph._walk import Walk

#: How often the examples are repeated for the second batch size.
_REPEATS = 3
#: What a forward pass does that needs a number.
_AS_A_NUMBER = "takes {} as a fixed number"


class SizeTracer(fx.Tracer):
    """Traces a module on example inputs, the batch first, of a size of one."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self._inputs = tuple(inputs)
        self._walks: list[Walk] = []
        self._computing = False
        #: Why what was traced is not what runs.
        self.refusal: SizeError | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Modules whose effect was declared are not looked into."""
        declared = name_of(type(m)) in OPERATORS
        return declared or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Nothing is recorded while a value is computed."""
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Nothing is recorded while a value is computed."""
        if self._computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """A proxy that knows its sizes."""
        return SizedProxy(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Which way a branch goes."""
        return bool(self.number(obj, bool, "branches on {}"))

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """The parts of a tensor or tuple; as many as the examples have, each of them symbolic."""
        length = self.length(obj)
        return iter([cast("Any", obj)[part] for part in range(length)])

    def length(self, obj: fx.Proxy) -> int:
        """Number of parts of a tensor or tuple."""
        values = self._values(obj.node)
        lengths = {len(value) for value in values}
        if len(lengths) > 1:
            self._refuse(_AS_A_NUMBER.format("the batch size"))
        return lengths.pop()

    def number(self, obj: fx.Proxy, convert: Callable[[Any], Any], deed: str) -> Any:
        """What a proxy is as a number (or as true or false), if only sizes tell.

        Raises `SizeError`, with what the forward pass does with it (``deed``), if the values of a
        tensor tell, and if it differs from one batch size to another.
        """
        node = obj.node
        values = self._values(node)

        if not self._comes_of_sizes(node):
            self._refuse(deed.format("the value of a tensor"))

        numbers = {convert(value) for value in values}
        if len(numbers) > 1:
            self._refuse(deed.format("the batch size"))
        return numbers.pop()

    def _refuse(self, deed: str) -> NoReturn:
        where = place_in(traceback.extract_stack())
        # Kept, for the forward pass may catch it.
        self.refusal = SizeError(f"its forward pass {deed}{where}")
        raise self.refusal

    def _values(self, node: fx.Node) -> list[Any]:
        """What a node gives on the examples, at each batch size."""
        if not self._walks:
            self._walks = self._walks_of_two_sizes()

        self._computing = True
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return self._computed(node)
        finally:
            self._computing = False

    def _walks_of_two_sizes(self) -> list[Walk]:
        repeated = [torch.cat([item] * _REPEATS) for item in self._inputs]
        one = Walk(self.root, self._inputs, graph=self.graph)
        several = Walk(self.root, repeated, graph=self.graph)
        return [one, several]

    def _computed(self, node: fx.Node) -> list[Any]:
        one, *others = self._walks
        values = [one.value(node)]
        try:
            values += [walk.value(node) for walk in others]
        except Exception:  # the network itself takes no other batch
            del self._walks[1:]
        return values

    def _comes_of_sizes(self, node: fx.Node) -> bool:
        """Whether a number is made of shapes and types only."""
        if self._is_tensor(node):
            return False

        name = operator_name(node)
        asks_for_sizes = OPERATORS.effect(name) is Effect.SIZE
        for source in node.all_input_nodes:
            if self._comes_of_sizes(source):
                continue
            if not asks_for_sizes or not self._is_tensor(source):
                return False

        return True

    def _is_tensor(self, node: fx.Node) -> bool:
        value, *_ = self._values(node)
        return isinstance(value, Tensor)


class SizedProxy(fx.Proxy):
    """A value of the forward pass, usable as a number where it is made of sizes."""

    tracer: SizeTracer

    def __getattr__(self, k: str) -> SizedAttribute:
        return SizedAttribute(self, k)

    def __int__(self) -> int:
        return int(self.tracer.number(self, int, _AS_A_NUMBER))

    def __index__(self) -> int:
        return int(self.tracer.number(self, index, _AS_A_NUMBER))

    def __float__(self) -> float:
        return float(self.tracer.number(self, float, _AS_A_NUMBER))

    def __round__(self, digits: int | None = None) -> Any:
        return round(float(self), digits)

    def __len__(self) -> int:
        return self.tracer.length(self)


class SizedAttribute(SizedProxy, Attribute):
    """An attribute or method of a value, such as its shape."""
