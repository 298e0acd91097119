"""A device that is none: it computes on the CPU, and refuses whatever a GPU would refuse.

Tensors on it are wrappers of plain ones. Operators that mix them with tensors of the CPU raise, as
CUDA's do; so does whatever reads them without bringing them back. So it can be tested on any
machine that nothing mixes devices, with numbers that are those of the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

#: The variable that asks for the device when the process begins.
ASKED_FOR = "SARTOR_SIMULATED_GPU"
_NAME = "simulated"
_aten = torch.ops.aten
#: What moves tensors between devices.
_MOVING = {_aten._to_copy.default, _aten.copy_.default}
#: What takes indices of the CPU for tensors of a GPU.
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default}


class MixedDevicesError(Exception):
    """Tensors of two devices met."""


class OnDevice(Tensor):
    """A tensor of the simulated device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnDevice:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(_NAME, 0),
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(
        cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operator, args, kwargs or {})

    def __repr__(self) -> str:
        return f"OnDevice({self.inner!r})"


class _Mode(TorchDispatchMode):
    """Sees operators that name the device too, though no tensor of it is among their arguments."""

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operator, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """What torch does in C++ without any operator, though a GPU can do it."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is Tensor.tolist:
            return _plain(args[0]).tolist()
        return function(*args, **(kwargs or {}))


def simulated_is_asked_for() -> bool:
    """Whether this process is for tests on the simulated device.

    It cannot be taken back once torch knows it, and torch must know it before it computes the first
    gradient.
    """
    return os.environ.get(ASKED_FOR) == "1"


@contextmanager
def simulated_gpu() -> Iterator[torch.device]:
    """The device, as long as this is entered."""
    _register()
    with _Mode(), _Functions():
        yield torch.device(_NAME, 0)


@cache
def _register() -> torch.library.Library:
    """Make the device known to torch; that lasts as long as the process."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(_NAME)

    # `torch.tensor` makes its tensors where no mode sees it.
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    return library


def _empty_strided(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, _: bool = False) -> Tensor:
    _plain(target).copy_(_plain(source))
    return target


def _run(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves, _ = tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}

    if operator in _MOVING:
        goes_there = isinstance(args[0], OnDevice) if wanted is None else _is_there(wanted)
    else:
        goes_there = bool(there) or _is_there(wanted)
        if there:
            _require_unmixed(operator, args, tensors)

    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    result = operator(*plain_args, **plain_kwargs)
    # What is written in place is the very tensor that was given.
    given = {id(_plain(tensor)): tensor for tensor in tensors}

    def wrap(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in given:
            return given[id(value)]
        return OnDevice(value) if goes_there else value

    return tree_map(wrap, result)


def _require_unmixed(operator: Any, args: Any, tensors: list[Tensor]) -> None:
    if operator in _INDEXING:
        table, _, *others = args
        tensors = [table, *(item for item in others if isinstance(item, Tensor))]

    # Numbers may come from the CPU, as CUDA takes them.
    elsewhere = [item for item in tensors if item.dim() and not isinstance(item, OnDevice)]
    if elsewhere:
        shapes = [tuple(item.shape) for item in elsewhere]
        raise MixedDevicesError(
            f"{operator} got tensors of the CPU, of shape {shapes}, beside others"
        )


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == _NAME


def _plain(value: Any) -> Any:
    return value.inner if isinstance(value, OnDevice) else value


if simulated_is_asked_for():
    _register()
