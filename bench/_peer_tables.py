"""The tables of peers.py.

No command of its own: peers.py imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from _common import print_header, print_row
from _peer_rows import Cell
from _peers import PEERS

#: Stages without labels, in their order.
STAGES = ("pruned", "batch norms", "refitted", "repaired")
#: What takes time, in its order.
STEPS = ("chosen", "refitted", "repaired")
SARTOR = (
    "Prunes no channels of attention, group norms and layer norms; follows only what torch.fx "
    "can; its ONNX files hold 8 bits or 32."
)


def print_tables(cells: Sequence[Cell]) -> None:
    """Of all that has been run."""
    comparisons = sorted({(cell["model"], cell["share"]) for cell in cells})
    for model, share in comparisons:
        here = [cell for cell in cells if (cell["model"], cell["share"]) == (model, share)]
        _print_pruned(here)
        _print_rounded(here)
    _print_peers()


def _print_pruned(cells: Sequence[Cell]) -> None:
    pruned = [cell for cell in cells if cell["kind"] == "pruned"]
    trained = [cell for cell in cells if cell["kind"] == "trained"]
    done = [cell for cell in pruned if "refused" not in cell]
    if not pruned:
        return
    print(f"\n{pruned[0]['model']}, at most {100 * pruned[0]['share']:g} % of its MACs", end="")
    print(f" (original: {_pair(done[0]['original'])})\n" if done else "\n")
    epochs = sorted({cell["epochs"] for cell in trained})
    print_header(
        "who chose the channels",
        "MACs",
        *STAGES,
        *(f"trained for {_epochs(count)}" for count in epochs),
        "latency",
        "bytes",
        f"seconds: {', '.join(STEPS)}{', trained' if epochs else ''}",
    )
    for cell in pruned:
        mine = {each["epochs"]: each for each in trained if each["name"] == cell["name"]}
        if "refused" in cell:
            print_row(cell["name"], f"refused: {cell['refused']}", *[""] * (7 + len(epochs)))
        else:
            _print_row(cell, [mine.get(count) for count in epochs])


def _print_row(cell: Cell, trained: Sequence[Cell | None]) -> None:
    seconds = [cell["seconds"][step] for step in STEPS]
    seconds += [each["seconds"]["trained"] for each in trained if each is not None]
    print_row(
        cell["name"],
        f"{100 * cell['macs']:.1f} %",
        *(_pair(cell["accuracy"][stage]) for stage in STAGES),
        *(_pair(each["accuracy"]["trained"]) if each else "" for each in trained),
        _latency(cell),
        f"{cell['bytes']:,}",
        ", ".join(f"{value:.0f}" for value in seconds),
    )


def _print_rounded(cells: Sequence[Cell]) -> None:
    rounded = [cell for cell in cells if cell["kind"] == "rounded"]
    if not rounded:
        return
    print(f"\n{rounded[0]['model']} in int8, all run in onnxruntime\n")
    print_header("who rounded", "accuracy", "latency", "bytes", "seconds")
    for cell in rounded:
        if "refused" in cell:
            print_row(cell["name"], f"refused: {cell['refused']}", "", "", "")
            continue
        print_row(
            cell["name"],
            _pair(cell["accuracy"]),
            _latency(cell),
            f"{cell['bytes']:,}",
            f"{cell['seconds']:.1f}",
        )


def _print_peers() -> None:
    print("\nWhat each cannot do\n")
    print_header("peer", "what it cannot do")
    print_row("sartor", SARTOR)
    for peer in PEERS:
        print_row(peer.package, peer.lacks)


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _pair(found: Sequence[float]) -> str:
    """Validation and test."""
    validation, test = found
    return f"{validation:.2f}, {test:.2f}"


def _latency(cell: Cell) -> str:
    relative, low, high = cell["latency"]
    return f"{relative:.3f} ({low:.3f} – {high:.3f})"
