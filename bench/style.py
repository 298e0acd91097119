"""How a package is built and how dense its lines are, beside other packages, as a Markdown table.

    python bench/style.py src/sartor PATH/TO/httpx PATH/TO/optuna
    python bench/style.py src/sartor --densest 20     # its densest functions too
    python bench/style.py src/sartor --check          # fail where the lines are too dense

Lines of code are those that are neither blank nor only a comment nor of a docstring. Nodes a line
are the nodes of the syntax tree of a function's body, without its docstring, by the lines from its
first statement to its last, over bodies of six lines or more: a blank line between thoughts and a
comment count as the air that they are. A packed assignment is `a, b = x, y`: a tuple on both sides.
An entry is a folder or a file at the top. A room imports from another if any of its modules does;
it runs back up if the other is higher in the order of layers (bench/_package.py). How a value is
followed through the rooms, and what a climb is: bench/_walk.py.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from _package import Function, Module, Package
from _walk import Walk

WALKS = ("compress:model", "run_verify:folder", "Run.verify:self")
SHORT = 6
WIDTH = 100
#: What --check allows: the median of nodes a line, and packed assignments in 1,000 lines of code.
DENSITY = 9.0
PACKED = 3.0
_LAYOUT = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@dataclass(frozen=True)
class Measured:
    """One function."""

    place: str
    lines: int
    nodes_a_line: float | None


@dataclass
class Counts:
    """What is counted in the files of a package, and its functions."""

    lines: int = 0
    code: int = 0
    comments: int = 0
    wide: int = 0
    packed: int = 0
    functions: list[Measured] = field(default_factory=list)
    files: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, package: Package) -> Counts:
        """Count everything in a package."""
        counts = cls()
        for module in package.modules.values():
            counts.add(module)
        return counts

    def add(self, module: Module) -> None:
        """Count one file."""
        lines = module.text.splitlines()
        code, comments = _kinds_of_lines(module)
        place = str(module.path.relative_to(module.package.root))
        self.lines += len(lines)
        self.code += len(code)
        self.comments += len(comments - code)
        self.wide += sum(len(line) > WIDTH for line in lines)
        self.packed += sum(_is_packed(node) for node in ast.walk(module.tree))
        self.functions += _functions(module, place)
        self.files.append((len(lines), place))

    @property
    def densities(self) -> list[float]:
        """Nodes a line of all functions that are not short, the densest first."""
        found = [item.nodes_a_line for item in self.functions if item.nodes_a_line is not None]
        return sorted(found, reverse=True)

    @property
    def packed_share(self) -> float:
        """Packed assignments in 1,000 lines of code."""
        return 1000 * self.packed / max(1, self.code)

    def densest(self, number: int) -> list[Measured]:
        """The functions with the most nodes a line."""
        long = [item for item in self.functions if item.nodes_a_line is not None]
        return sorted(long, key=lambda item: -(item.nodes_a_line or 0))[:number]


@dataclass(frozen=True)
class Arguments:
    """Figures of packages, side by side."""

    packages: Annotated[tuple[Path, ...], tyro.conf.Positional] = (Path("src/sartor"),)
    """Folders of packages."""
    walks: tuple[str, ...] = WALKS
    """Functions and their parameters that are followed through the rooms."""
    densest: int = 0
    """How many of the densest functions of each package are listed."""
    check: bool = False
    """Exit with 1 if the lines of a package are denser or wider than the project allows."""


def main() -> None:
    """Print the table."""
    arguments = tyro.cli(Arguments)
    packages = [Package(path) for path in arguments.packages]
    counts = [Counts.of(package) for package in packages]
    if arguments.check:
        _check(packages, counts)
        return

    print("| | " + " | ".join(str(path) for path in arguments.packages) + " |")
    print("|---" * (1 + len(packages)) + "|")
    for name, cells in _rows(packages, counts, arguments.walks):
        print(f"| {name} | " + " | ".join(cells) + " |")
    for package, counted in zip(packages, counts, strict=True):
        for item in counted.densest(arguments.densest):
            print(f"{item.nodes_a_line:6.1f} {package.root / item.place}")


def _check(packages: Iterable[Package], counts: Iterable[Counts]) -> None:
    faults = []
    for package, counted in zip(packages, counts, strict=True):
        median = statistics.median(counted.densities)
        if median >= DENSITY:
            faults.append(f"{package.name}: {median:.1f} nodes a line; allowed are {DENSITY:g}")
        if counted.packed_share >= PACKED:
            share = f"{counted.packed_share:.1f} packed assignments in 1,000 lines"
            faults.append(f"{package.name}: {share}; allowed are {PACKED:g}")
        if counted.wide:
            faults.append(f"{package.name}: {counted.wide} lines over {WIDTH} characters")
    if faults:
        raise SystemExit("\n".join(faults))


def _rows(
    packages: list[Package], counts: list[Counts], walks: Iterable[str]
) -> Iterator[tuple[str, list[str]]]:
    """Names of figures and their values, one for each package."""
    for name, of_counts in _FIGURES.items():
        yield name, [of_counts(counted) for counted in counts]
    yield "entries at top level", [str(len(package.entries())) for package in packages]
    yield "imports between rooms, back up", [_arrows(package) for package in packages]
    for start in walks:
        yield f"`{start}`: rooms, climbs", [_walked(package, start) for package in packages]


def _density(counted: Counts) -> str:
    values = counted.densities
    ninth = values[len(values) // 10]
    return f"{statistics.median(values):.1f} / {ninth:.1f} / {values[0]:.1f}"


def _longest(counted: Counts) -> str:
    longest = max(counted.functions, key=lambda item: item.lines)
    return f"{longest.lines} `{longest.place}`"


def _largest(counted: Counts) -> str:
    lines, place = max(counted.files)
    return f"{lines} `{place}`"


_FIGURES: dict[str, Callable[[Counts], str]] = {
    "files": lambda counted: str(len(counted.files)),
    "lines": lambda counted: f"{counted.lines:,}",
    "nodes a line: median / 90 % / most": _density,
    f"lines over {WIDTH}": lambda counted: str(counted.wide),
    "packed assignments in 1,000 lines": lambda counted: f"{counted.packed_share:.1f}",
    "comments": lambda counted: f"{100 * counted.comments / counted.lines:.1f} %",
    "longest function": _longest,
    "largest file": _largest,
}


def _arrows(package: Package) -> str:
    arrows = package.arrows()
    if not package.order:
        return f"{len(arrows)}, no order"
    back = sum(package.climbs(*arrow) for arrow in arrows)
    return f"{len(arrows)}, {back}"


def _walked(package: Package, start: str) -> str:
    walk = Walk.of(package, start) if package.order else None
    return f"{len(walk.rooms)}, {walk.climbs}" if walk else "–"


def _functions(module: Module, place: str) -> Iterator[Measured]:
    for node in ast.walk(module.tree):
        if not isinstance(node, Function):
            continue
        end = node.end_lineno or node.lineno
        lines = end - node.lineno + 1
        name = f"{place}:{node.lineno} {node.name}"
        yield Measured(name, lines, _nodes_a_line(node))


def _nodes_a_line(function: Function) -> float | None:
    """Of its body; None where that is short, because a line more or less would decide."""
    documented = ast.get_docstring(function) is not None
    body = function.body[documented:]
    if not body:
        return None
    end = function.end_lineno or function.lineno
    lines = end - body[0].lineno + 1
    if lines < SHORT:
        return None
    nodes = sum(1 for statement in body for _ in ast.walk(statement))
    return nodes / lines


def _is_packed(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    return any(isinstance(target, ast.Tuple) for target in node.targets)


def _kinds_of_lines(module: Module) -> tuple[set[int], set[int]]:
    """Numbers of lines with code, and of lines with comments."""
    code: set[int] = set()
    comments: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in _LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return code - _lines_of_docstrings(module.tree), comments


def _lines_of_docstrings(tree: ast.Module) -> set[int]:
    """Numbers of lines of docstrings, also of those under fields."""
    found: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if _is_text(statement):
                found.update(range(statement.lineno, statement.end_lineno + 1))
    return found


def _is_text(statement: ast.AST) -> bool:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    return isinstance(statement.value.value, str)


if __name__ == "__main__":
    main()
