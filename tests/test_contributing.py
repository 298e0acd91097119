"""The examples of CONTRIBUTING.md run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_there_is_an_example_of_every_family():
    registered = re.findall(r"^([A-Z]+)\.register\(", "\n".join(EXAMPLES), re.MULTILINE)
    assert registered == [
        "AGENTS",
        "REWARDS",
        "TARGETS",
        "FORMATS",
        "OPERATORS",
        "SOURCES",
        "TRACKERS",
        "TASKS",
    ]


def test_the_examples_run(tmp_path):
    use = """
import sartor

images = sartor.data.load("noise", calibration=16)
options = sartor.SearchOptions(
    episodes=2, finalists=1, baselines=(), seed_with=(), anyway=True
)
result = sartor.compress(
    sartor.demo.DigitsNet(), images, agent="coin", reward="frugal", options=options
)
assert result.report.agent == "coin"
assert result.report.reward == "frugal"
assert sartor.tasks.as_task("depth").metric == "within a tenth"
"""
    script = tmp_path / "examples.py"
    script.write_text("\n".join([*EXAMPLES, use]), encoding="utf-8")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
