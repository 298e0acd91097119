"""The copy of a model that is traced: out of its wrappers, on the CPU, with ordinary weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

from sartor.errors import TraceError, WeightsError

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside `torch.nn.DataParallel` or `torch.compile`; itself if it is in neither.

    Raises `TraceError` for what is no module, or holds modules that cannot be changed.

    >>> unwrapped(torch.nn.DataParallel(torch.nn.ReLU()))
    ReLU()
    """
    if not isinstance(model, nn.Module):
        raise TraceError(f"a {type(model).__name__} cannot be traced; give a torch.nn.Module")
    inner = _inside(model)
    if inner is not None:
        return unwrapped(inner)

    for name, module in model.named_modules():
        reason = _why_unchangeable(module)
        if reason is None:
            continue

        where = f"its module {name!r}" if name else "it"
        raise TraceError(
            f"{type(model).__name__} cannot be traced: {where} {reason}; "
            "give the torch.nn.Module that it was made from"
        )

    return model


def require_finite(model: nn.Module) -> None:
    """Raise `WeightsError` naming the first parameter or buffer with NaN or infinity.

    And for the first that has no values yet.
    """
    network = type(model).__name__

    for name, tensor in model.state_dict().items():
        # A module may put whatever it likes into its state.
        if not isinstance(tensor, Tensor):
            continue

        if is_lazy(tensor) or tensor.is_meta:
            raise WeightsError(
                f"{name} of {network} has no values yet; "
                "initialise the network, or load its weights, first"
            )

        if not tensor.is_floating_point():
            continue
        bad = ~torch.isfinite(tensor)
        if bad.any():
            raise WeightsError(
                f"{name} of {network} has {int(bad.sum())} NaN or infinite values; "
                "all weights must be finite"
            )


def traceable_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, float32 on the CPU; every weight is a parameter of its own name.

    Weights that are computed from others (weight norm, spectral norm, masks of `torch.nn.utils`)
    have the values that they have in evaluation mode. Raises `TraceError` for a model that cannot
    be copied.
    """
    try:
        duplicate = _duplicate(model)
        duplicate = duplicate.cpu().float().eval()
        with torch.no_grad():
            _materialise(duplicate)
    except Exception as error:  # somebody's module may raise anything while it is copied
        raise TraceError(f"{type(model).__name__} cannot be copied: {error}") from error
    return duplicate.requires_grad_(False)


def _inside(module: nn.Module) -> nn.Module | None:
    """What a wrapper wraps; None for what is none."""
    if isinstance(module, _WRAPPERS):
        return cast("nn.Module", module.module)
    # The class is private and slow to import; the name of what it holds is part of state dicts.
    if type(module).__module__.startswith("torch._dynamo"):
        return module._modules.get("_orig_mod")
    return None


def _why_unchangeable(module: nn.Module) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return "is TorchScript, whose layers cannot be changed"
    if isinstance(module, fx.GraphModule) and _is_exported(module):
        return "was made by torch.export, which leaves no layers"
    return None


def _is_exported(module: fx.GraphModule) -> bool:
    """Whether a graph calls operators of the dispatcher (``aten.conv2d.default``)."""
    kinds = {type(node.target).__module__ for node in module.graph.nodes}
    return "torch._ops" in kinds


def _duplicate(model: nn.Module) -> nn.Module:
    """A deep copy with wrappers inside replaced by what they wrap."""
    # What copy.deepcopy takes for copied already.
    known: dict[int, Any] = {}
    modules = list(model.modules())

    for module in modules:
        for value in vars(module).values():
            # A tensor that was computed with gradients, which copy.deepcopy refuses.
            if isinstance(value, Tensor) and not value.is_leaf:
                known[id(value)] = value.detach().clone()

    # From the inside out, for a wrapper may hold others.
    for module in reversed(modules):
        inner = _inside(module)
        if inner is not None:
            known[id(module)] = copy.deepcopy(inner, known)

    return copy.deepcopy(model, known)


#: A weight that is computed: its module, its name, what it is computed from, its value.
_Computed = tuple[nn.Module, str, tuple[Tensor, ...], Tensor]


def _materialise(model: nn.Module) -> None:
    """Make parameters of all weights that are computed."""
    computed: list[_Computed] = []
    for module in model.modules():
        computed += _parametrized(module)
        computed += _hooked(module)

    made: dict[tuple[int, ...], nn.Parameter] = {}
    for module, name, sources, value in computed:
        _remove(module, name)
        parameter = nn.Parameter(value)

        # Weights that were tied stay so.
        key = tuple(id(source) for source in sources)
        first = made.setdefault(key, parameter)
        if torch.equal(first, value):
            parameter = first

        setattr(module, name, parameter)


def _parametrized(module: nn.Module) -> list[_Computed]:
    """Of `torch.nn.utils.parametrize`."""
    found: list[_Computed] = []
    if not parametrize.is_parametrized(module):
        return found

    parametrizations = cast("nn.ModuleDict", module.parametrizations)
    for name, each in parametrizations.items():
        sources = tuple(each.parameters())
        weight = getattr(module, name)
        value = weight.detach().clone()
        found.append((module, name, sources, value))

    return found


def _hooked(module: nn.Module) -> list[_Computed]:
    """Of the older functions, which compute weights before each forward pass."""
    found: list[_Computed] = []
    hooks = _weight_hooks(module)

    # All run before any weight is read: one may compute from what another gives.
    for hook in hooks:
        hook(module, None)

    for hook in hooks:
        name = _name_of(hook)
        sources = _sources(module, name)
        weight = getattr(module, name)
        value = weight.detach().clone()
        found.append((module, name, sources, value))

    return found


def _sources(module: nn.Module, name: str) -> tuple[Tensor, ...]:
    """Tensors that a hook computes a weight from: ``weight_orig``, ``weight_mask``, and so on."""
    parameters = module.named_parameters(recurse=False)
    buffers = module.named_buffers(recurse=False)

    sources = []
    for key, tensor in [*parameters, *buffers]:
        if key.startswith(f"{name}_"):
            sources.append(tensor)
    return tuple(sources)


def _weight_hooks(module: nn.Module) -> list[Callable[..., Any]]:
    """Masks first, for a norm may read what they mask."""
    masks: list[Callable[..., Any]] = []
    norms: list[Callable[..., Any]] = []

    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod):
            masks.append(hook)
        elif isinstance(hook, (WeightNorm, SpectralNorm)):
            norms.append(hook)

    return masks + norms


def _name_of(hook: Callable[..., Any]) -> str:
    """Name of the weight that a hook computes."""
    if isinstance(hook, prune.BasePruningMethod):
        return str(hook._tensor_name)
    return str(cast("Any", hook).name)


def _remove(module: nn.Module, name: str) -> None:
    """Make a computed weight a stored one."""
    if parametrize.is_parametrized(module, name):
        # torch's own removal would change the class, which the copy has in common with the model.
        module.__class__ = parametrize.type_before_parametrizations(module)
        del module.parametrizations
        return

    for hook in _weight_hooks(module):
        if _name_of(hook) != name:
            continue

        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, name)
        else:
            remove_weight_norm(module, name)
