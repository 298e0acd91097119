import re
import shlex
import subprocess
import sys
from pathlib import Path

from sartor.cli import parse
from sartor.runs import RunConfig

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_example_runs_as_it_stands(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "0." in done.stdout
    assert (tmp_path / "compressed/model.safetensors").is_file()


def test_the_command_takes_every_line_of_the_shell_example(tmp_path, monkeypatch):
    # A search is resumed with the options that its folder names.
    RunConfig(model="resnet20", data="digits").save(tmp_path / "runs/a")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```\n(sartor .*?)```", README, re.DOTALL | re.MULTILINE)
    block = block.replace("--model …", "--model resnet56").replace(
        "search …", "search"
    )  # a name; options of lines above
    assert "…" not in block
    for command in (
        part for line in block.splitlines() for part in line.partition("#")[0].split("&&")
    ):
        program, *arguments = shlex.split(command)
        assert program == "sartor"
        parse(arguments)  # ends the program where there is no such command or option


def test_the_commands_are_targets_of_the_makefile():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}: " in makefile


def test_every_linked_file_exists():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / link).exists(), link


def test_the_version_is_the_one_of_the_changelog():
    import sartor

    changelog = (Path(__file__).parents[1] / "CHANGELOG.md").read_text()
    assert f"## {sartor.__version__}" in changelog
