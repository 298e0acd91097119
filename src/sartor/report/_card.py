"""A model card in Markdown, with the metadata that model hubs read."""

from __future__ import annotations

import json

from sartor.compression import Origin
from sartor.runs import HEADINGS, Run, cells, tuned_words


def card(facts: Run) -> str:
    """What was compressed, how, and what is left of it."""
    config, result = facts.config, facts.result
    tags = [
        "sartor",
        "pruning",
        *(["quantization"] if "quantize" in config.options.methods else []),
    ]
    head = [
        "---",
        "library_name: sartor",
        "pipeline_tag: image-classification",
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
    ]
    lines = [*head, "", f"# {config.model}, {config.budget or 'compressed'}", ""]
    lines.append(
        f"Compressed with [sartor](https://pypi.org/project/sartor/) from {config.model}, data {config.data}."
    )
    if result:
        lines += ["", f"| | {' | '.join(HEADINGS)} |", "|---" * (len(HEADINGS) + 1) + "|"]
        lines += [
            f"| {name} | {' | '.join(cells(entry))} |" for name, entry in result.networks.items()
        ]
        lines += ["", "## Policy", "", "```json", json.dumps(result["policy"], indent=1), "```"]
    place = facts.name
    if facts.finetuned:
        lines += [
            "",
            f"{tuned_words(facts.finetuned)} That network is in `{facts.layout.finetuned.name}`.",
        ]
        place = f"{place}/{facts.layout.finetuned.name}"
    lines += [line for missed in facts.missed for line in ("", f"**{missed}**")]
    for verified in facts.verified:
        found = verified.found
        accuracy = f"{100 * found.accuracy:.2f} % on {found.images:,} images"
        faults = "".join(f" **Not as promised: {fault}.**" for fault in verified.faults)
        lines += [
            "",
            f"{'Run' if faults else 'Verified'} in {found.runtime} on {found.device}: {accuracy}.{faults}",
        ]
    call = (
        f'sartor.load("{place}")'
        if Origin(config.model).known
        else f'sartor.load("{place}", model)  # {config.model}, built by you'
    )
    lines += [
        "",
        "## How to load it",
        "",
        "```python",
        "import sartor",
        "",
        f"network = {call}",
        "```",
        "",
    ]
    return "\n".join(lines)
