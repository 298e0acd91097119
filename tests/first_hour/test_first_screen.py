"""What is seen first: the verdict, in a sentence and a few numbers, and tables of 80 columns."""

import dataclasses
import io

import pytest
from rich.console import Console

import sartor
from sartor.cli._tables import results_table
from sartor.runs import Run
from sartor.runs._verdict import verdict
from sartor.scoring import Interval


@pytest.fixture
def run(search):
    assert search()[0] == 0
    return Run("run")


def test_the_verdict_comes_first(run, sartor_command):
    status, out, _ = sartor_command("show", "run")
    assert status == 0
    first = out.splitlines()[0]
    report = run.result
    assert first.startswith(f"{100 * report.best.ratio.macs:.1f} % of the MACs left, ")
    assert f"{100 * (report.best.test - report.original.test):+.1f} points of test top-1" in first
    assert "not verified yet" in first
    assert "300 images" in out


def test_faults_and_intervals_are_in_the_verdict(run):
    report = run.result
    best = dataclasses.replace(report.best, change=Interval(-0.031, 0.004, images=300))
    report = dataclasses.replace(report, best=best, budget="params<=50%", timed=None)
    found = verdict(report, report.networks, (), ["the file is slower"])
    assert "of the parameters left" in found.sentence
    assert "(-3.1 to +0.4)" in found.sentence
    assert found.sentence.endswith("1 fault: the file is slower")
    assert [figure.name for figure in found.figures] == [
        "top-1",
        "parameters",
        "verified",
        "faults",
    ]


def test_what_was_fine_tuned_stands_in_the_table_and_in_the_verdict(run, sartor_command):
    status, out, err = sartor_command("finetune", "run", "--epochs", "1")
    assert status == 0, err
    assert "next: sartor export run" in out
    _, out, _ = sartor_command("show", "run")
    assert "fine-tuned" in out
    assert "before fine-tuning" not in out
    tuned = Run("run").finetuned
    change = 100 * (tuned.test.after - tuned.test.original)
    assert f"{change:+.1f} points of test top-1" in out.splitlines()[0]


def test_a_table_fits_into_80_columns(run):
    report = run.result
    console = Console(width=80, record=True, file=io.StringIO())
    latency = sartor.targets.compare(
        lambda: 2e-3, lambda: 4e-3, sartor.targets.Patience(limit_s=0.0)
    )
    best = dataclasses.replace(report.best, latency=latency)
    console.print(results_table(dataclasses.replace(report, best=best)))
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "validation" in text
    assert "2.000 ms" in text


def test_the_best_of_a_run_is_the_best_within_the_budget(run, monkeypatch):
    better, worse, *_ = sorted(run.episodes, key=lambda episode: -episode.reward)
    slow = dataclasses.replace(
        better,
        outcome=dataclasses.replace(better.outcome, relative_latency=0.8, latency_s=0.8),
    )
    fast = dataclasses.replace(
        worse, outcome=dataclasses.replace(worse.outcome, relative_latency=0.6, latency_s=0.6)
    )
    episodes = (
        dataclasses.replace(slow, number=0),
        dataclasses.replace(fast, number=1),
    )
    monkeypatch.setattr(Run, "episodes", episodes)
    config = dataclasses.replace(run.config, budget="latency<=0.7")
    searching = Run("elsewhere", config=config)
    assert searching.ceiling == pytest.approx(0.7)
    assert searching.best_episode.number == 1
    assert [row["in_budget"] for row in searching.rows()] == [False, True]
    assert [row["best_reward"] for row in searching.rows()] == [None, fast.reward]
