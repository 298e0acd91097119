"""Mutation testing: what is changed in the code, one place at a time, must fail a test.

    python bench/mutants.py src/sartor/problem/_limits.py    # one module, or several
    python bench/mutants.py src/sartor/agents                # a room
    python bench/mutants.py                                  # what differs from the branch main
    make mutants MODULES=src/sartor/agents                   # the same

Mutants are made and run by mutmut. Only the nearest tests run: `tests/problem/test_limits.py` for
`src/sartor/problem/_limits.py` where that file exists, else the folder `tests/problem`. Inner rooms
may have their tests in the outer one's folder. The table `[nearest]` of tests/mutants.toml names
tests that lie elsewhere. Mutants that no test can tell from the original are named in the same
file, each with its reason, and are not counted.

Not mutated: module-level constants, and functions with another decorator than `staticmethod` and
`classmethod` (mutmut cannot replace these while the tests run).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

BENCH = Path(__file__).resolve().parent
SOURCE = Path("src/sartor")
NOTES = Path("tests/mutants.toml")
#: A mutant that ends in one of these ways was noticed.
KILLED = ("killed", "timeout", "segfault")
#: What mutmut's worker ends with when pytest itself fails.
_NOT_RUN = 255
#: What mutmut shows that it is alive with.
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {module}
process_isolation = "forkserver"
forkserver_warmup = "{warmup}"
pytest_add_cli_args = [
    "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0",
    "-p", "_mutants_plugin", "-p", "no:cacheprovider",
]
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 8.0
timeout_constant = 10.0
use_git_change_detection = false
debug = true
"""


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed."""

    module: str
    function: str
    was: str
    becomes: str

    def __str__(self) -> str:
        return f"  {self.function}\n    - {self.was}\n    + {self.becomes}"


@dataclass
class Result:
    """What became of the mutants of one module."""

    module: str
    statuses: Counter[str] = field(default_factory=Counter)
    survivors: list[Survivor] = field(default_factory=list)
    equivalent: list[Survivor] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        """Mutants that a test noticed."""
        return sum(self.statuses[status] for status in KILLED)

    @property
    def counted(self) -> int:
        """All mutants but those named as equivalent."""
        return self.statuses.total() - len(self.equivalent)

    def row(self) -> str:
        """A row of the table."""
        share = 100 * self.killed / max(1, self.counted)
        return (
            f"| {self.module} | {self.killed} / {self.counted} | {share:.0f} % "
            f"| {len(self.equivalent)} | {self.seconds:.0f} |"
        )


@dataclass(frozen=True)
class Notes:
    """What tests/mutants.toml says."""

    nearest: Mapping[str, Sequence[str]]
    equivalent: Mapping[Survivor, str]

    @classmethod
    def read(cls, path: Path) -> Notes:
        """Read the file."""
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        equivalent = {}
        for entry in content.get("equivalent", ()):
            reason = entry.pop("reason")
            equivalent[Survivor(**entry)] = reason
        return cls(content.get("nearest", {}), equivalent)

    def tests_of(self, module: Path) -> list[str]:
        """The nearest tests of a module."""
        if named := self.nearest.get(module.as_posix()):
            return list(named)
        inside = module.relative_to(SOURCE)
        name = f"test_{inside.stem.lstrip('_')}.py"
        nested = Path("tests") / inside.parent
        room = Path("tests") / inside.parts[0]
        for nearest in (nested / name, room / name, nested, room):
            if nearest.exists() and nearest != Path("tests"):
                return [nearest.as_posix()]
        raise SystemExit(f"{module} has no tests of its own: write {nested / name}")


@dataclass(frozen=True)
class Arguments:
    """Mutation testing of some modules."""

    modules: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Files or folders of src/sartor; if none are given, those that differ from the branch main."""
    base: str = "main"
    """What differs from this is mutated where no modules are given."""
    processes: int = 2
    """Mutants tested at the same time."""
    fresh: bool = False
    """Import the tests anew for each mutant: slower; needed where they run sartor when imported."""
    least: float = 0.0
    """Exit with 1 if a smaller share of the mutants of a module is killed, in percent."""


def main() -> None:
    """Print survivors and a table."""
    arguments = tyro.cli(Arguments)
    notes = Notes.read(NOTES)
    modules = _files(arguments.modules) or _changed(arguments.base)
    results = []
    for module in modules:
        tests = notes.tests_of(module)
        print(f"{module}: {' '.join(tests)}", flush=True)
        result = _mutate(module, tests, notes, arguments)
        for survivor in result.survivors:
            print(survivor)
        print(result.row(), flush=True)
        results.append(result)

    print("\n| module | killed / all | share | named equivalent | seconds |\n|---|---|---|---|---|")
    for result in results:
        print(result.row())
    if any(100 * result.killed < arguments.least * result.counted for result in results):
        raise SystemExit(1)


def _files(places: Sequence[Path]) -> list[Path]:
    found = []
    for place in places:
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [path for path in found if path.name != "__init__.py"]


def _changed(base: str) -> list[Path]:
    command = ["git", "diff", "--name-only", "--diff-filter=AM", base, "--", SOURCE.as_posix()]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    modules = [Path(name) for name in listed if name.endswith(".py")]
    return _files(modules)


def _mutate(module: Path, tests: Sequence[str], notes: Notes, arguments: Arguments) -> Result:
    """Run the mutants of one module in a copy of the sources and the tests."""
    started = time.perf_counter()
    result = Result(module.as_posix())
    settings = SETTINGS.format(
        module=json.dumps([module.as_posix()]),
        tests=json.dumps(list(tests)),
        warmup="none" if arguments.fresh else "collect",
    )
    with _workspace(settings) as place:
        _run_mutmut(place, arguments.processes)
        for name, exit_code in _exit_codes(place, module).items():
            if exit_code == _NOT_RUN:
                raise SystemExit(f"the tests of {name} could not be run")
            status = status_by_exit_code[exit_code]
            result.statuses[status] += 1
            if status in KILLED:
                continue
            survivor = _survivor(name, module)
            named = survivor in notes.equivalent
            (result.equivalent if named else result.survivors).append(survivor)
    result.seconds = time.perf_counter() - started
    return result


@contextlib.contextmanager
def _workspace(settings: str) -> Iterator[Path]:
    """A copy that mutmut may write into; the current folder while it is used."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        place = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("src", "tests"):
            shutil.copytree(name, place / name, ignore=ignored)
        project = Path("pyproject.toml").read_text(encoding="utf-8")
        (place / "pyproject.toml").write_text(project + settings, encoding="utf-8")
        with contextlib.chdir(place):
            yield place


def _run_mutmut(place: Path, processes: int) -> None:
    mutated = place / "mutants/src"
    mutated.mkdir(parents=True)  # Python would remember that it was missing
    path = os.pathsep.join([str(mutated), str(BENCH)])
    settings = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = {**os.environ, **settings}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).replace("\r", "\n").splitlines()
        said = [line for line in lines if line and line[0] not in SPINNER]
        raise SystemExit("\n".join(said[-40:]))


def _exit_codes(place: Path, module: Path) -> dict[str, int]:
    """Exit codes of the tests by the names of mutants; none where nothing is mutated."""
    path = place / f"mutants/{module}.meta"
    if not path.exists():
        return {}
    codes: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return codes


def _survivor(name: str, module: Path) -> Survivor:
    """The mutant by its name, such as `sartor.problem._limits.xǁBudgetLimitsǁusage__mutmut_2`."""
    mangled = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    function = mangled.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
    lines = get_diff_for_mutant(name, path=module).splitlines()[3:]
    was = [line[1:].strip() for line in lines if line.startswith("-")]
    becomes = [line[1:].strip() for line in lines if line.startswith("+")]
    return Survivor(module.as_posix(), function, " ".join(was), " ".join(becomes))


if __name__ == "__main__":
    main()
