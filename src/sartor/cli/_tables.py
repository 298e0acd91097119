"""Results as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sartor.pipeline import Entry, Report
from sartor.policy import Policy
from sartor.runs import HEADINGS, StageReport, cells, headings, percent
from sartor.sensitivity import Parameter, Sensitivity

_BAR = 20
_PARAMETERS: dict[Parameter, str] = {
    "channels": "share of channels kept",
    "weight_bits": "weight bits",
    "activation_bits": "activation bits",
}


def results_table(report: Report, networks: Mapping[str, Entry] | None = None) -> Table:
    """The original, what rules gave, what was found and what was trained since, one row each."""
    rows = report.networks if networks is None else networks
    timed = any(entry.latency for entry in rows.values())
    # Latency is the last heading: a column of dashes would say nothing.
    shown = len(HEADINGS) if timed else len(HEADINGS) - 1

    budget = report.budget or "none"
    when = "" if "fine-tuned" in rows else " before fine-tuning"
    # Without lines between columns, seven of them fit into 80 characters.
    title = f"budget {budget}, {report.metric}{when}"
    table = Table("", title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    batch = 1 if report.target is None else report.target.batch
    for heading in headings(batch)[:shown]:
        table.add_column(heading, justify="right")
    for name, entry in rows.items():
        if name == "found":
            name = f"found ({report.agent})"
        # Shares stand below what they are of: side by side they do not fit.
        values = [cell.replace(" (", "\n(") for cell in cells(entry)[:shown]]
        table.add_row(name, *values)
    return table


def policy_table(policy: Policy) -> Table:
    """What is kept of every group or layer, and its bits."""
    both = {"channels": policy.channels, "weights": policy.weights}
    kept = {kind: shares for kind, shares in both.items() if shares}
    if not kept:
        kept = {"channels": {}}

    table = Table(title="policy")
    table.add_column("group or layer")
    for kind in kept:
        table.add_column(f"{kind} kept", justify="right")
        table.add_column("")
    if policy.weight_bits:
        table.add_column("bits (weights/inputs)", justify="right")

    names = dict.fromkeys((*policy.channels, *policy.weights, *policy.weight_bits))
    for name in names:
        row = [name]
        for shares in kept.values():
            row += _share(shares.get(name))
        if policy.weight_bits:
            row.append(_bits(policy, name))
        table.add_row(*row)
    return table


def stages_table(reports: Sequence[StageReport]) -> Table:
    """One row per stage of a schedule."""
    table = Table(title="stages")
    table.add_column("budget", no_wrap=True)
    for name in ("MACs", "parameters", "validation before", "after", "test before", "after"):
        table.add_column(name, justify="right")
    for report in reports:
        row = [
            report.budget,
            percent(report.ratio.macs, 1),
            percent(report.ratio.params, 1),
        ]
        for scores in (report.validation, report.test):
            if scores is None:
                row += [percent(None), percent(None)]
            else:
                row += [percent(scores.before), percent(scores.after)]
        table.add_row(*row)
    return table


def sensitivity_table(found: Sensitivity, parameter: Parameter) -> Table:
    """Ω of every group or layer, a column for every value that was tried."""
    rows = found.table[parameter]
    tried: set[float] = set()
    for row in rows.values():
        tried.update(row)
    values = sorted(tried)

    subject = "group" if parameter == "channels" else "layer"
    title = f"Ω by {_PARAMETERS[parameter]} ({found.images} images)"
    table = Table(subject, title=title)
    for value in values:
        table.add_column(f"{value:g}", justify="right")

    for name, row in rows.items():
        cells = []
        for value in values:
            # Small layers have fewer widths than there are values.
            cell = f"{row[value]:.2g}" if value in row else "–"
            cells.append(cell)
        table.add_row(name, *cells)
    return table


def _share(ratio: float | None) -> tuple[str, str]:
    """A keep ratio as a number and as a bar."""
    if ratio is None:
        return "–", ""
    return percent(ratio, 0), "█" * round(_BAR * ratio)


def _bits(policy: Policy, name: str) -> str:
    if name not in policy.weight_bits:
        return "–"
    weight_bits, activation_bits = policy.bits(name)
    return f"{weight_bits}/{activation_bits}"
