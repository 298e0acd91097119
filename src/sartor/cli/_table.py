"""Results as tables on the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def results_table(report: dict[str, Any]) -> Table:
    """Original, baselines and what was found, side by side."""
    table = Table(title=f"budget {report['budget'] or 'none'}, before fine-tuning")
    for heading in ("", "validation", "test", "MACs", "parameters", "size"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {"original": report["original"], **report["baselines"], f"found ({report['agent']})": report["best"]}
    for name, entry in rows.items():
        test = "–" if entry["test"] is None else f"{100 * entry['test']:.2f} %"
        ratio = entry["ratio"]
        table.add_row(
            name,
            f"{100 * entry['validation']:.2f} %",
            test,
            f"{entry['macs'] / 1e6:.2f} M ({100 * ratio['macs']:.1f} %)",
            f"{entry['params'] / 1e3:.1f} K ({100 * ratio['params']:.1f} %)",
            f"{entry['size'] / 1e3:.1f} KB ({100 * ratio['size']:.1f} %)",
        )
    return table


def policy_table(report: dict[str, Any]) -> Table:
    """Keep ratio of every group or layer."""
    kept = report["policy"]["channels"] or report["policy"]["weights"]
    table = Table(title="kept channels" if report["policy"]["channels"] else "kept weights")
    table.add_column("group" if report["policy"]["channels"] else "layer")
    table.add_column("kept", justify="right")
    table.add_column("")
    for name, ratio in kept.items():
        table.add_row(name, f"{100 * ratio:.0f} %", "█" * round(20 * ratio))
    return table
