"""What a forward pass asks of tensors while it is traced that only their values can answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sartor.graph._places import SizeError, place_in

#: Methods that make a number (or true or false) of a tensor, and what a forward pass does by them.
_DEEDS: dict[Callable[..., Any], str] = {
    Tensor.__bool__: "branches on the value of a tensor",
    Tensor.__int__: "takes the value of a tensor as a fixed number",
    Tensor.__float__: "takes the value of a tensor as a fixed number",
    Tensor.__index__: "takes the value of a tensor as a fixed number",
    Tensor.item: "takes the value of a tensor as a fixed number",
    Tensor.tolist: "takes the value of a tensor as a fixed number",
}


class Questions(TorchFunctionMode):
    """Notes the first question that tensors without values were asked.

    Attributes:
        refusal: The question, in a sentence with its line; None if there was none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusal: SizeError | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function as it is."""
        try:
            answer = func(*args, **(kwargs or {}))
        except Exception:
            self._note(func)
            raise

        if isinstance(answer, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            self._note(func)
        return answer

    def _note(self, func: Callable[..., Any]) -> None:
        deed = _DEEDS.get(func)
        if deed is not None and self.refusal is None:
            where = place_in(traceback.extract_stack())
            self.refusal = SizeError(f"its forward pass {deed}{where}")
