"""How the words of a command line are read before tyro sees them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from sartor.cli._options import HOLDS_COMMAS, Option, options_of
from sartor.cli._spelling import spell_out
from sartor.errors import UsageError


@dataclass
class Deep:
    rate: float = 0.1
    colours: tuple[Literal["red", "blue"], ...] | None = None


@dataclass
class Inner:
    deep: Deep = field(default_factory=Deep)
    size: int = 3


@dataclass
class Command:
    folder: tyro.conf.Positional[Path]
    flat: tyro.conf.OmitArgPrefixes[Inner] = field(default_factory=Inner)
    last_one: Inner = field(default_factory=Inner)
    seed_with: tuple[str, ...] = ()
    stages: Annotated[tuple[str, ...], HOLDS_COMMAS] = ()
    form: Literal["a", "b"] = "a"
    fast: bool = False


OPTIONS = options_of(Command)


def test_options_are_named_as_tyro_names_them():
    assert sorted(OPTIONS) == sorted(
        [
            "-h",
            "--help",
            "--rate",
            "--colours",
            "--size",
            "--last-one.deep.rate",
            "--last-one.deep.colours",
            "--last-one.size",
            "--seed-with",
            "--stages",
            "--form",
            "--fast",
            "--no-fast",
        ]
    )
    words = ["--last-one.deep.rate", "2", "--no-fast", "--size=4", "--colours", "red", "here"]
    read = tyro.cli(Command, args=["here", *words[:-1]])
    assert read.last_one.deep.rate == 2
    assert (read.flat.size, read.flat.deep.colours) == (4, ("red",))


def test_lists_and_choices_are_read_off_the_types():
    assert OPTIONS["--colours"] == Option("--colours", takes_list=True, choices=("red", "blue"))
    assert OPTIONS["--form"] == Option("--form", takes_list=False, choices=("a", "b"))
    assert OPTIONS["--seed-with"] == Option("--seed-with", takes_list=True)
    assert not OPTIONS["--stages"].takes_list
    assert not OPTIONS["--rate"].takes_list


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["--seed-with", "a,b"], ["--seed-with", "a", "b"]),
        (["--seed-with=a,b"], ["--seed-with", "a", "b"]),
        (["--seed-with", "a,b", "c"], ["--seed-with", "a", "b", "c"]),
        (["--seed-with", ""], ["--seed-with"]),
        (["--seed-with="], ["--seed-with"]),
        (["--seed_with", "a"], ["--seed-with", "a"]),
        (["--last_one.size=3"], ["--last-one.size=3"]),
        (["--stages", "macs<=50%,params<=40%"], ["--stages", "macs<=50%,params<=40%"]),
        (["--size=-1"], ["--size=-1"]),
        (["--rate", "1,5"], ["--rate", "1,5"]),
        (["a,b", "--fast"], ["a,b", "--fast"]),
    ],
)
def test_lists_may_be_written_with_commas_or_spaces(written, meant):
    assert spell_out(written, OPTIONS) == meant


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (["--seed-wiht", "a"], "option --seed-wiht is not known; did you mean --seed-with? --help"),
        (["--sead_with=a"], "option --sead_with is not known; did you mean --seed-with?"),
        (["--zzz"], "option --zzz is not known; --help lists all"),
        (["--form", "c"], "--form is 'c'; allowed are a, b"),
        (
            ["--colours", "red,bleu"],
            "--colours is 'bleu'; did you mean blue? allowed are red, blue",
        ),
        (["--colours=reds"], "--colours is 'reds'; did you mean red?"),
    ],
)
def test_what_is_misspelt_gets_the_nearest(written, sentence):
    with pytest.raises(UsageError) as raised:
        spell_out(written, OPTIONS)
    assert sentence in str(raised.value)
