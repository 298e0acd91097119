"""``sartor targets``: where networks can be measured from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sartor.errors import MissingPackageError, UsageError
from sartor.policy import FULL_WIDTH

if TYPE_CHECKING:
    from rich.console import Console

    from sartor.targets import Description

_HEADINGS = ("target", "runtime", "device", "layers", "weight/activation bits")


@dataclass(frozen=True)
class ListTargets:
    """List what can be measured here and what each target supports.

    With --on ssh:HOST, what a board can do: its runtimes, and how to install what is missing.

    Attributes:
        on: A board, as ssh:HOST or ssh:HOST,python=PATH; nothing is installed there.
    """

    on: str = ""

    def run(self, console: Console) -> None:
        """Print a table; targets whose runtime is missing say how to install it."""
        if self.on:
            _print_board(self.on, console)
            return

        from rich.table import Table

        from sartor.targets import TARGETS

        table = Table(*_HEADINGS, title="targets")
        missing = []
        for name in TARGETS:
            try:
                table.add_row(*_row(name))
            except (MissingPackageError, UsageError) as error:
                missing.append(f"{name} is not usable here: {error}")
        console.print(table)
        for line in missing:
            console.print(line)


def _print_board(name: str, console: Console) -> None:
    """What a board says of itself, what to give as target, and what is missing there."""
    from rich.table import Table

    from sartor.targets import survey

    found = survey(name)
    table = Table("", "board", title=found.place.host)
    for what, words in found.facts.rows().items():
        table.add_row(what, words)
    for runtime, version in found.runtimes.items():
        table.add_row(runtime, version or "missing")
    console.print(table)

    for target in found.targets:
        console.print(f"measure there with: --target {target}")
    for sentence in found.sentences():
        console.print(f"board {found.place.host}: {sentence}")


def _row(name: str) -> tuple[str, ...]:
    from sartor.targets import make, target_class

    kind = target_class(name)
    if kind.needs:
        given = f"given with {kind.needs}"
        return name, kind.summary, given, "all", given

    description = make(name).describe()
    if not kind.times:
        return name, description.runtime, description.device, "all", "only verifies artifacts"

    layers = _layers_by_precisions(description)
    return (
        description.target,
        description.runtime,
        description.device,
        "\n".join(", ".join(kinds) for kinds in layers.values()),
        "\n".join(layers),
    )


def _layers_by_precisions(description: Description) -> dict[str, list[str]]:
    """Kinds of layers that have the same precisions, by these in words."""
    kinds: dict[str, list[str]] = {}
    # A cell per set of precisions is shorter than a line per kind of layer: most kinds agree.
    for kind, support in description.supports.items():
        written = _precisions(support.precisions, description.dtypes)
        alike = kinds.setdefault(written, [])
        alike.append(kind)
    return kinds


def _precisions(pairs: Iterable[tuple[int, int]], dtypes: Iterable[str]) -> str:
    words = []
    for weight_bits, activation_bits in pairs:
        word = f"{weight_bits}/{activation_bits}"
        if weight_bits == activation_bits == FULL_WIDTH:
            word = ", ".join(dtypes)
        words.append(word)
    return ", ".join(words)
