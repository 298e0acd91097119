"""Results as tables on the terminal."""

from __future__ import annotations

from rich.table import Table

from sartor.pipeline import Report
from sartor.runs import HEADINGS, cells, entries


def results_table(report: Report) -> Table:
    """Original, baselines and what was found, side by side."""
    table = Table(title=f"budget {report['budget'] or 'none'}, before fine-tuning")
    rows = entries(report)
    shown = (
        len(HEADINGS) if any(entry.get("latency") for entry in rows.values()) else len(HEADINGS) - 1
    )
    table.add_column("")
    for heading in HEADINGS[:shown]:
        table.add_column(heading, justify="right")
    for name, entry in rows.items():
        table.add_row(
            f"found ({report['agent']})" if name == "found" else name, *cells(entry)[:shown]
        )
    return table


def policy_table(report: Report) -> Table:
    """What is kept of every group or layer, and its bits."""
    policy = report["policy"]
    bits = policy["weight_bits"]
    kinds = [kind for kind in ("channels", "weights") if policy[kind]]
    table = Table(title="policy")
    table.add_column("group or layer")
    for kind in kinds or ["channels"]:
        table.add_column(f"{kind} kept", justify="right")
        table.add_column("")
    if bits:
        table.add_column("bits (weights/inputs)", justify="right")
    for name in dict.fromkeys((*policy["channels"], *policy["weights"], *bits)):
        shares = [part for kind in kinds or ["channels"] for part in _share(policy[kind].get(name))]
        widths = f"{bits[name]}/{policy['activation_bits'][name]}" if name in bits else "–"
        table.add_row(name, *shares, *([widths] if bits else []))
    return table


def _share(ratio: float | None) -> tuple[str, str]:
    return ("–", "") if ratio is None else (f"{100 * ratio:.0f} %", "█" * round(20 * ratio))
