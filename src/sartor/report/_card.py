"""A model card in Markdown, with the metadata that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sartor.compression import Origin
from sartor.runs import cells, delivered_words, headings, percent, repaired_words, tuned_words
from sartor.tasks import TASKS

if TYPE_CHECKING:
    from sartor.pipeline import Report
    from sartor.runs import Run, VerifiedRun


def card(run: Run) -> str:
    """What was compressed, how, and what is left of it."""
    config = run.config
    budget = config.budget or "compressed"
    title = f"# {config.model}, {budget}"
    project = "[sartor](https://pypi.org/project/sartor/)"
    paragraphs = [
        title,
        f"Compressed with {project} from {config.model}, data {config.data}.",
    ]
    if run.result is not None:
        paragraphs += _found(run.result)

    if run.repaired is not None:
        place = run.layout.repaired.name
        words = repaired_words(run.repaired)
        paragraphs.append(f"{words} That network is in `{place}`.")
    if run.finetuned is not None:
        place = run.layout.finetuned.name
        words = tuned_words(run.finetuned)
        paragraphs.append(f"{words} That network is in `{place}`.")

    # What was missed stands in bold: a card is skimmed.
    paragraphs += [f"**{sentence}**" for sentence in run.missed]
    paragraphs += [_verified(verified) for verified in run.verified]
    paragraphs += _loading(run)
    text = "\n\n".join(paragraphs)
    return f"{_metadata(run)}\n{text}\n"


def _metadata(run: Run) -> str:
    tags = ["sartor", "pruning"]
    if "quantize" in run.config.options.methods:
        tags.append("quantization")
    lines = [
        "---",
        "library_name: sartor",
        *_hub_name(run),
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
        "",
    ]
    return "\n".join(lines)


def _hub_name(run: Run) -> Iterator[str]:
    """What model hubs call networks of the task, where they have a word for it."""
    name = run.config.task
    task = TASKS.get(name) if name in TASKS else None
    if task is not None and task.hub_name:
        yield f"pipeline_tag: {task.hub_name}"


def _found(report: Report) -> Iterator[str]:
    """The table of networks and the policy."""
    # One column more than headings: that of the names has none.
    batch = 1 if report.target is None else report.target.batch
    named = headings(batch)
    columns = len(named) + 1
    rule = "|---" * columns + "|"
    lines = [_row(report.metric, *named), rule]
    for name, entry in report.networks.items():
        values = cells(entry)
        lines.append(_row(name, *values))
    yield "\n".join(lines)
    for sentence in delivered_words(report):
        yield f"{sentence}."

    yield "## Policy"
    policy = json.dumps(report["policy"], indent=1)
    yield f"```json\n{policy}\n```"


def _row(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"


def _verified(verified: VerifiedRun) -> str:
    found = verified.found
    # Only what kept every promise is called verified.
    begin = "Run" if verified.faults else "Verified"
    where = f"{found.runtime} on {found.device}"
    accuracy = percent(found.accuracy)
    sentences = [f"{begin} in {where}: {found.metric} {accuracy} on {found.images:,} images."]
    for fault in verified.faults:
        sentences.append(f"**Not as promised: {fault}.**")
    return " ".join(sentences)


def _loading(run: Run) -> Iterator[str]:
    """How to load the network that is delivered."""
    place = run.name
    if run.finetuned is not None:
        place = f"{run.name}/{run.layout.finetuned.name}"
    elif run.repaired is not None:
        place = f"{run.name}/{run.layout.repaired.name}"

    # What is in the zoo, or of timm, is built by its name; anything else must be given.
    model = run.config.model
    origin = Origin(model)
    call = f'sartor.load("{place}")'
    if not origin.known:
        call = f'sartor.load("{place}", model)  # {model}, built by you'
    yield "## How to load it"
    yield f"```python\nimport sartor\n\nnetwork = {call}\n```"
