"""``sartor targets``: where networks can be measured from here."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from sartor import targets
from sartor.errors import MissingPackageError, UsageError
from sartor.policy import FULL_WIDTH
from sartor.targets import Description


@dataclass(frozen=True)
class ListTargets:
    """List what can be measured here and what each target supports."""

    def run(self, console: Console) -> None:
        """Print a table; targets whose runtime is missing say how to install it."""
        table = Table(title="targets")
        for heading in ("target", "runtime", "device", "layers", "weight/activation bits"):
            table.add_column(heading)
        missing = []
        for name in targets.TARGETS:
            kind = targets.target_class(name)
            if kind.needs:
                given = f"given with {kind.needs}"
                table.add_row(name, kind.summary, given, "all", given)
                continue
            try:
                table.add_row(*_row(targets.make(name).describe()))
            except (MissingPackageError, UsageError) as error:
                missing.append(f"{name} is not usable here: {error}")
        console.print(table)
        for line in missing:
            console.print(line, highlight=False)


def _row(description: Description) -> tuple[str, ...]:
    by_precisions: dict[str, list[str]] = {}
    for kind, support in description.supports.items():
        pairs = ", ".join(
            "fp32" if w == a == FULL_WIDTH else f"{w}/{a}" for w, a in support.precisions
        )
        by_precisions.setdefault(pairs, []).append(kind)
    layers = "\n".join(", ".join(kinds) for kinds in by_precisions.values())
    return (
        description.target,
        description.runtime,
        description.device,
        layers,
        "\n".join(by_precisions),
    )
