"""Results as tables on the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def results_table(report: dict[str, Any]) -> Table:
    """Original, baselines and what was found, side by side."""
    table = Table(title=f"budget {report['budget'] or 'none'}, before fine-tuning")
    rows = {"original": report["original"], **report["baselines"], f"found ({report['agent']})": report["best"]}
    measured = any(entry.get("latency") for entry in rows.values())
    for heading in ("", "validation", "test", "MACs", "parameters", "size", *(["latency"] if measured else [])):
        table.add_column(heading, justify="left" if not heading else "right")
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
            *([_latency(entry.get("latency"))] if measured else []),
        )
    return table


def _latency(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "1"
    return f"{1e3 * entry['candidate']['median_s']:.3f} ms ({100 * entry['relative']:.1f} %)"


def policy_table(report: dict[str, Any]) -> Table:
    """What is kept of every group or layer, and its bits."""
    policy = report["policy"]
    kept = policy["channels"] or policy["weights"]
    bits = policy["weight_bits"]
    table = Table(title="policy")
    table.add_column("group or layer")
    table.add_column("channels kept" if policy["channels"] else "weights kept", justify="right")
    table.add_column("")
    if bits:
        table.add_column("bits (weights/inputs)", justify="right")
    for name in dict.fromkeys((*kept, *bits)):
        ratio = kept.get(name)
        share = ("–", "") if ratio is None else (f"{100 * ratio:.0f} %", "█" * round(20 * ratio))
        widths = f"{bits[name]}/{policy['activation_bits'][name]}" if name in bits else "–"
        table.add_row(name, *share, *([widths] if bits else []))
    return table
