"""The way of one value through a package, followed by the source alone.

The walk begins in a function with one of its parameters. What carries the value: names assigned
from it, its attributes and parts, paths in it, and what a call of the package returns that was
given it. Such a call is a step into the room of the function called, whose body is followed next; a
method or a property of an object that carries the value is such a call too. Where the caller gives
the value to another function after that, the walk comes back first, which is a step as well. A
function is followed once for each set of its parameters that carry the value.

A *climb* is a step into a room that is higher in the order of layers than the one before, counted
once for each pair of rooms: how often a reader has to go back up from one room to another.

Not followed: what is called through an object whose class the source does not say (registries,
callbacks), and loops more than once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from _package import Definition, Function, Package

_PROPERTIES = {"property", "cached_property", "functools.cached_property"}


@dataclass
class Walk:
    """Steps from room to room, as they were taken."""

    package: Package
    position: str = ""
    steps: list[tuple[str, str]] = field(default_factory=list)
    seen: set[tuple[str, frozenset[str]]] = field(default_factory=set)

    @classmethod
    def of(cls, package: Package, start: str) -> Walk | None:
        """The walk of `function:parameter`; None if the package has no such function."""
        name, _, parameter = start.partition(":")
        definition = package.named(name)
        if definition is None or not isinstance(definition.node, Function):
            return None
        if parameter not in _parameters(definition.node):
            return None
        walk = cls(package, position=definition.module.room)
        walk.follow(definition, {parameter})
        return walk

    @property
    def rooms(self) -> set[str]:
        """All rooms that are entered."""
        return {room for step in self.steps for room in step} or {self.position}

    @property
    def climbs(self) -> int:
        """Pairs of rooms between which a step leads upwards."""
        return sum(self.package.climbs(*step) for step in set(self.steps))

    def enter(self, room: str) -> None:
        """Take a step, unless the walk is in this room."""
        if room != self.position:
            self.steps.append((self.position, room))
            self.position = room

    def follow(self, definition: Definition, carriers: Iterable[str]) -> None:
        """Follow the value through a function, some of whose parameters carry it."""
        if isinstance(definition.node, Function):
            _Body(self, definition, set(carriers)).visit_all(definition.node.body)


class _Body(ast.NodeVisitor):
    """One function: which names carry the value, and which classes names are of."""

    def __init__(self, walk: Walk, definition: Definition, carriers: set[str]) -> None:
        assert isinstance(definition.node, Function)
        self.walk = walk
        self.definition = definition
        self.module = definition.module
        self.carriers = carriers
        self.classes = _annotated(definition)
        self.handed: set[int] = set()

    def visit_all(self, statements: Iterable[ast.stmt]) -> None:
        """Follow statements in the order in which they are written."""
        for statement in statements:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Names that are assigned what carries the value carry it."""
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The same, where the type is said."""
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """The same, within an expression."""
        self.visit(node.value)
        self._assign(node.target, node.value)

    def visit_For(self, node: ast.For) -> None:
        """What is iterated carries the value if the whole does."""
        self.visit(node.iter)
        self._assign(node.target, node.iter)
        self.visit_all(node.body)
        self.visit_all(node.orelse)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """The same, within an expression."""
        self.visit(node.iter)
        self._assign(node.target, node.iter)
        for condition in node.ifs:
            self.visit(condition)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        """Loops come before what is made in them."""
        self._comprehension(node.generators, [node.elt])

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        """Loops come before what is made in them."""
        self._comprehension(node.generators, [node.elt])

    def visit_DictComp(self, node: ast.DictComp) -> None:
        """Loops come before what is made in them."""
        self._comprehension(node.generators, [node.key, node.value])

    def visit_With(self, node: ast.With) -> None:
        """What a context manager gives carries what it was made of."""
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, item.context_expr)
        self.visit_all(node.body)

    def visit_Call(self, node: ast.Call) -> None:
        """A call of the package that is given the value is a step."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        for argument in given:
            self.visit(argument)

        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        if receiver is not None:
            self.visit(receiver)
        called = self._called(node.func)
        if called is None:
            return

        carriers = self._carrying_parameters(called, node)
        through_self = receiver is not None and self._carries(receiver)
        if through_self and called.owner is not None:
            carriers.add("self")
        if carriers or any(self._carries(argument) for argument in given):
            self._hand(called, carriers)
            self.handed.add(id(node))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A property of what carries the value is a call."""
        self.visit(node.value)
        owner = self._class_of(node.value)
        found = owner.method(node.attr) if owner else None
        if found and self._carries(node.value) and _is_property(found):
            self._hand(found, {"self"})

    def _comprehension(self, loops: list[ast.comprehension], made: list[ast.expr]) -> None:
        for loop in loops:
            self.visit(loop)
        for expression in made:
            self.visit(expression)

    def _hand(self, called: Definition, carriers: set[str]) -> None:
        """Step into the room of what is called, having come back to the caller's."""
        key = (f"{called.module.name}:{called.name}", frozenset(carriers))
        if key in self.walk.seen:
            return
        self.walk.enter(self.module.room)
        self.walk.enter(called.module.room)
        self.walk.seen.add(key)
        if isinstance(called.node, ast.ClassDef):
            for name in ("__init__", "__post_init__"):
                made_by = called.method(name)
                if made_by is not None:
                    self.walk.follow(made_by, carriers or {"self"})
        else:
            self.walk.follow(called, carriers)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        names = [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
        if self._carries(value):
            self.carriers.update(names)
        found = self._class_of(value)
        if isinstance(target, ast.Name) and found is not None:
            self.classes[target.id] = found

    def _carries(self, expression: ast.expr) -> bool:
        """Whether an expression is the value, a part of it or a choice that may be it."""
        if isinstance(expression, ast.Name):
            return expression.id in self.carriers
        if isinstance(expression, ast.Attribute | ast.Subscript | ast.Starred | ast.NamedExpr):
            return self._carries(expression.value)
        if isinstance(expression, ast.BinOp):  # a path in a folder
            return self._carries(expression.left)
        if isinstance(expression, ast.IfExp):
            return self._carries(expression.body) or self._carries(expression.orelse)
        if isinstance(expression, ast.BoolOp):
            return any(self._carries(value) for value in expression.values)
        if isinstance(expression, ast.Call):
            return id(expression) in self.handed
        if isinstance(expression, ast.Tuple | ast.List):
            return any(self._carries(element) for element in expression.elts)
        return False

    def _called(self, function: ast.expr) -> Definition | None:
        if isinstance(function, ast.Attribute):
            owner = self._class_of(function.value)
            if owner is not None:
                return owner.method(function.attr)
        return self.module.definition(function)

    def _class_of(self, expression: ast.expr) -> Definition | None:
        """The class of an object, if that is of the package and the source says so."""
        if isinstance(expression, ast.Name):
            return self.classes.get(expression.id)
        if isinstance(expression, ast.Attribute):
            owner = self._class_of(expression.value)
            return _field(owner, expression.attr) if owner else None
        if isinstance(expression, ast.Call):
            called = self._called(expression.func)
            if called is None:
                return None
            if isinstance(called.node, ast.ClassDef):
                return called
            return called.module.definition(called.node.returns)
        return None

    def _carrying_parameters(self, called: Definition, node: ast.Call) -> set[str]:
        """The parameters of what is called that are given the value."""
        function: Definition | None = called
        if isinstance(called.node, ast.ClassDef):
            function = called.method("__init__")
        carrying = {
            keyword.arg
            for keyword in node.keywords
            if keyword.arg is not None and self._carries(keyword.value)
        }
        if function is None or not isinstance(function.node, Function):
            return carrying
        names = _parameters(function.node)
        if function.owner is not None and names[:1] in (["self"], ["cls"]):
            names = names[1:]
        for name, argument in zip(names, node.args, strict=False):
            if self._carries(argument):
                carrying.add(name)
        return carrying


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in every]


def _annotated(definition: Definition) -> dict[str, Definition]:
    """Classes of the package that the parameters of a function are of."""
    assert isinstance(definition.node, Function)
    found = {}
    if definition.owner is not None:
        found["self"] = Definition(definition.module, definition.owner)
    arguments = definition.node.args
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
        known = definition.module.definition(argument.annotation)
        if known is not None and isinstance(known.node, ast.ClassDef):
            found[argument.arg] = known
    return found


def _field(owner: Definition, name: str) -> Definition | None:
    """The class of a field or a property, as its class declares it."""
    assert isinstance(owner.node, ast.ClassDef)
    for node in owner.node.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            return owner.module.definition(node.annotation)
    found = owner.method(name)
    if found is not None and _is_property(found) and isinstance(found.node, Function):
        return found.module.definition(found.node.returns)
    return None


def _is_property(definition: Definition) -> bool:
    decorators = {ast.unparse(item) for item in definition.node.decorator_list}
    return bool(decorators & _PROPERTIES)
