"""What the command imports before it has something to compute."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy.stats", "gymnasium", "optuna", "onnx", "pyarrow", "sklearn", "altair")

PROGRAM = """
import json, sys
{action}
loaded = [name for name in {heavy} if name in sys.modules]
sys.stderr.write("loaded: " + json.dumps(loaded))
"""

MAIN = """
from sartor.cli import main
try:
    main({arguments})
except SystemExit as stop:
    status = stop.code or 0
else:
    status = 0
sys.stderr.write(f"status: {{status}}\\n")
"""


def run(action):
    """What a process of its own printed, and which heavy modules it has loaded."""
    program = PROGRAM.format(action=action, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    said, _, loaded = done.stderr.rpartition("loaded: ")
    return done.stdout, said, json.loads(loaded)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ([], 0, "usage: sartor"),
        (["--help"], 0, "usage: sartor"),
        (["--version"], 0, "sartor 0."),
        (["search", "--help"], 0, "--min-keep"),
        (["schedule", "--help"], 0, "--last.learning-rate"),
        (["serch"], 2, "command 'serch' is not known; did you mean 'search'?"),
        (
            ["search", "--episods", "3"],
            2,
            "option --episods is not known; did you mean --episodes?",
        ),
        (["search", "--granularity=chanels"], 2, "'chanels'; did you mean channels?"),
    ],
)
def test_help_and_typos_load_nothing_heavy(arguments, status, sentence):
    shown, said, loaded = run(MAIN.format(arguments=arguments))
    assert f"status: {status}\n" in said
    assert sentence in (said if status else shown)
    assert loaded == []


def test_importing_the_package_loads_nothing_heavy():
    assert run("import sartor")[2] == []


def test_what_a_search_is_made_of_loads_no_statistics():
    assert "scipy.stats" not in run("import sartor; sartor.compress")[2]


def test_what_is_not_heavy_is_not_said_to_be():
    """The tests above can fail: this is how a module that is loaded is seen."""
    assert run("import sartor; sartor.trace")[2] == ["torch"]
