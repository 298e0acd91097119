"""The public line is complete: nobody needs a name that begins with an underscore."""

import dataclasses
import functools
import importlib
import inspect
import operator
import pkgutil
import re
import types
import typing
from pathlib import Path

import pytest
import torch
import torch.fx

import sartor

ROOT = Path(__file__).parent.parent


#: What modules import from torch for type checkers only.
TORCH = {"Tensor": torch.Tensor, "fx": torch.fx, "nn": torch.nn, "torch": torch}


@functools.cache
def public_names() -> dict[str, object]:
    """Everything that `sartor` and its public submodules export."""
    found = {}
    for name in sartor.__all__:
        value = getattr(sartor, name)
        found[f"sartor.{name}"] = value
        if isinstance(value, types.ModuleType):
            for inner in getattr(value, "__all__", None) or vars(value):
                if not inner.startswith("_"):
                    found[f"sartor.{name}.{inner}"] = getattr(value, inner)
    return found


def classes_in(hint: object) -> set[type]:
    """Classes of sartor that an annotation names, however deep."""
    found = set()
    if inspect.isclass(hint) and hint.__module__.partition(".")[0] == "sartor":
        found.add(hint)
    for argument in typing.get_args(hint):
        parts = argument if isinstance(argument, list) else [argument]
        for part in parts:
            found |= classes_in(part)
    return found


def hints_of(function: object) -> set[type]:
    """Classes in the signature; names that its module imports for type checkers only are public."""
    module = importlib.import_module(function.__module__)
    names = {name.rpartition(".")[2]: value for name, value in public_names().items()}
    hints = typing.get_type_hints(function, {**TORCH, **names, **vars(module)})
    return set().union(*map(classes_in, hints.values()))


def named_by(value: object) -> set[type]:
    """Classes in the signatures of a function, or of the public methods and fields of a class."""
    if inspect.isfunction(value):
        return hints_of(value)
    found = set()
    for base in value.__mro__:
        if not base.__module__.startswith("sartor"):
            continue
        for name, member in vars(base).items():
            method = getattr(member, "__func__", None) or getattr(member, "fget", None)
            method = method or getattr(member, "func", None) or member
            if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
                found |= hints_of(method)
        if dataclasses.is_dataclass(base):
            found |= classes_in(tuple[tuple(typing.get_type_hints(base).values())])
    return found


#: What somebody meets who follows README.
FIRST = [
    name
    for name in sartor.__all__
    if inspect.isclass(getattr(sartor, name)) or inspect.isfunction(getattr(sartor, name))
]


@pytest.mark.parametrize("name", FIRST)
def test_what_public_signatures_name_is_public(name):
    public = {id(value) for value in public_names().values()}
    for named in named_by(getattr(sartor, name)):
        assert id(named) in public, f"{named} is named by sartor.{name}, but not public"


def test_all_is_what_dir_gives_and_everything_is_there():
    assert set(sartor.__all__) <= set(dir(sartor))
    for name in sartor.__all__:
        assert getattr(sartor, name) is not None


def test_what_readme_uses_is_public():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    used = set(re.findall(r"\bsartor\.(\w+(?:\.\w+)?)", "\n".join(blocks)))
    assert used
    for dotted in used:
        first, _, second = dotted.partition(".")
        assert first in (*sartor.__all__, "demo")
        owner = getattr(sartor, first)
        if second and isinstance(owner, types.ModuleType):
            exported = getattr(owner, "__all__", None) or vars(owner)
            assert second in exported


def test_no_package_has_the_name_of_a_function():
    packages = {module.name for module in pkgutil.iter_modules(sartor.__path__)}
    functions = {name for name in sartor.__all__ if inspect.isfunction(getattr(sartor, name))}
    assert not packages & functions


@pytest.mark.parametrize(
    "family",
    [
        "agents.AGENTS",
        "agents.RULES",
        "scoring.rewards.REWARDS",
        "targets.TARGETS",
        "export.FORMATS",
        "track.TRACKERS",
        "data.SOURCES",
        "graph.OPERATORS",
    ],
)
def test_families_can_be_extended_from_outside(family):
    room = family.split(".")[0]
    assert room in sartor.__all__
    registry = operator.attrgetter(family)(sartor)
    assert callable(registry.register)
