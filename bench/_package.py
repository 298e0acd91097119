"""A package read by its source: its modules, what their names stand for, and its rooms.

A room is a folder or a file at the top of the package. Their order is that of import-linter's
contract of layers in the pyproject.toml above the package, if there is one.
"""

from __future__ import annotations

import ast
import functools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Definition:
    """A function, a method or a class, and the module and class that it stands in."""

    module: Module
    node: Function | ast.ClassDef
    owner: ast.ClassDef | None = None

    @property
    def name(self) -> str:
        """As it is written: `Run.verify`."""
        return f"{self.owner.name}.{self.node.name}" if self.owner else self.node.name

    def method(self, name: str) -> Definition | None:
        """A method of this class, its own or inherited from a class of the package."""
        if not isinstance(self.node, ast.ClassDef):
            return None
        for node in self.node.body:
            if isinstance(node, Function) and node.name == name:
                return Definition(self.module, node, self.node)
        for base in self.node.bases:
            parent = self.module.definition(base)
            found = parent.method(name) if parent else None
            if found:
                return found
        return None


@dataclass(frozen=True, eq=False)
class Module:
    """One file."""

    package: Package
    name: str
    path: Path

    @functools.cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The source, parsed."""
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The top-level folder or file that this module lies in."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    @functools.cached_property
    def names(self) -> dict[str, str | Definition]:
        """What global names stand for: definitions, or dotted names that were imported."""
        found: dict[str, str | Definition] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    found[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{self.origin(node)}.{alias.name}"
        for statement in self.tree.body:
            if isinstance(statement, Function | ast.ClassDef):
                found[statement.name] = Definition(self, statement)
        return found

    def origin(self, node: ast.ImportFrom) -> str:
        """The module that a `from … import` names, also where it is relative."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        is_package = self.path.stem == "__init__"
        above = len(parts) - node.level + is_package
        return ".".join([*parts[:above], *filter(None, [node.module])])

    def imported(self) -> Iterator[str]:
        """Dotted names of all that is imported from this package, once per statement and name."""
        inside = f"{self.package.name}."
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{self.origin(node)}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from (name for name in names if name.startswith(inside))

    def definition(self, expression: ast.expr | None) -> Definition | None:
        """What a name, a dotted name or an annotation stands for, if that is of this package."""
        if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
            expression = ast.parse(expression.value, mode="eval").body
        if isinstance(expression, ast.BinOp):  # X | None
            return self.definition(expression.left)
        if isinstance(expression, ast.Name):
            found = self.names.get(expression.id)
            return self.package.find(found) if isinstance(found, str) else found
        if isinstance(expression, ast.Attribute):
            dotted = ast.unparse(expression)
            first, _, rest = dotted.partition(".")
            known = self.names.get(first)
            if isinstance(known, str):
                return self.package.find(f"{known}.{rest}")
            return known.method(rest) if known else None
        return None


class Package:
    """All modules below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.name = self.root.name

    @functools.cached_property
    def modules(self) -> dict[str, Module]:
        """Modules by their dotted names."""
        found = {}
        for path in sorted(self.root.rglob("*.py")):
            parts = path.relative_to(self.root.parent).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            found[name] = Module(self, name, path)
        return found

    @functools.cached_property
    def _stubs(self) -> dict[str, Module]:
        """What lazy packages export, by their names."""
        found = {}
        for path in self.root.rglob("__init__.pyi"):
            name = ".".join(path.parent.relative_to(self.root.parent).parts)
            found[name] = Module(self, name, path)
        return found

    @functools.cached_property
    def order(self) -> dict[str, int]:
        """Height of each room: the larger, the higher; rooms of one layer are equally high."""
        for folder in self.root.parents:
            if (folder / "pyproject.toml").exists():
                return _layers(folder / "pyproject.toml", self.name)
        return {}

    def entries(self) -> list[str]:
        """Folders and modules at the top."""
        files = {path.stem for path in self.root.glob("*.py")}
        folders = {path.parent.name for path in self.root.glob("*/*.py")}
        return sorted(files | folders)

    def arrows(self) -> set[tuple[str, str]]:
        """Which room imports from which other room."""
        found = set()
        for module in self.modules.values():
            for name in module.imported():
                room = name.split(".")[1]
                if room in self.entries() and room != module.room:
                    found.add((module.room, room))
        return found

    def climbs(self, origin: str, destination: str) -> bool:
        """Whether a step from one room into another leads upwards."""
        height = self.order
        known = origin in height and destination in height
        return known and height[destination] > height[origin]

    def find(self, dotted: str) -> Definition | None:
        """A definition by its dotted name, through the packages that hand it on."""
        for _ in range(10):
            module, _, name = dotted.rpartition(".")
            place = self._stubs.get(module) or self.modules.get(module)
            if place is None or not name:
                return None
            found = place.names.get(name)
            if not isinstance(found, str):
                return found
            dotted = found
        return None

    def named(self, name: str) -> Definition | None:
        """A public function or a method by its name: `compress`, `Run.verify`."""
        owner, _, method = name.rpartition(".")
        for module in self.modules.values():
            found = module.names.get(owner or method)
            if isinstance(found, Definition):
                return found.method(method) if owner else found
        return None


def _layers(pyproject: Path, name: str) -> dict[str, int]:
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    contracts = settings.get("tool", {}).get("importlinter", {}).get("contracts", [])
    for contract in contracts:
        if contract["type"] == "layers" and contract.get("containers") == [name]:
            layers = reversed(contract["layers"])
            return {
                room.strip(): height
                for height, layer in enumerate(layers)
                for room in layer.split("|")
            }
    return {}
