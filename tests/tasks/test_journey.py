"""Every task through search, fine-tuning, export and verification, on scenes of digits."""

import pytest
import torch

import sartor
import scenes
from sartor.cli import main
from sartor.errors import UsageError
from sartor.finetune import FinetuneOptions

#: Steps of training that leave something to lose.
STEPS = {"segmentation": 40, "multi-label": 40, "regression": 40, "detection": 60, "embedding": 40}


@pytest.mark.parametrize("name", scenes.CASES)
def test_a_task_goes_all_the_way(name, tmp_path, capsys):
    case = scenes.CASES[name](STEPS[name])
    options = sartor.SearchOptions(episodes=4, finalists=2, seed_with=("knapsack",), timed=False)
    result = sartor.compress(
        case.network, case.data, task=case.task, budget="macs<=60%", options=options, out=tmp_path
    )
    report = result.report
    assert (report.task, report.metric) == (case.task.name, case.task.metric)
    assert report.best.ratio.macs <= 0.6
    assert report.original.test > 0.1

    run = sartor.Run(tmp_path, model=case.network, data=case.data, task=case.task)
    tuned = run.finetune(FinetuneOptions(epochs=1, batch=64))
    assert tuned.metric == case.task.metric
    assert tuned.validation.after >= tuned.validation.before
    run.export("onnx")
    verified = run.verify("onnx")
    assert verified.found.metric == case.task.metric
    assert verified.found.accuracy == pytest.approx(tuned.test.after, abs=0.005)
    # Latency is the machine's.
    assert [fault for fault in verified.faults if "slower" not in fault] == []

    main(["show", str(tmp_path)])
    assert case.task.metric in capsys.readouterr().out


def test_numbers_cannot_be_mirrored():
    case = scenes.regression(1)
    network = sartor.graph.trace(case.network, case.data.calibration.normalized()[:1]).module
    with pytest.raises(UsageError, match="augment has mirror, which labels of the task regression"):
        sartor.finetune.finetune(
            network,
            case.data.calibration,
            case.data.validation,
            options=FinetuneOptions(epochs=1, augment=("mirror",)),
            task=case.task,
        )


def test_the_most_faithful_candidate_is_raced_against_in_any_task():
    """Where the metric is no mean over images, the divergence says who is hopeless."""
    case = scenes.detection(1)
    original = sartor.graph.trace(case.network, case.data.calibration.normalized()[:1]).module
    scorer = sartor.scoring.ImageScorer(case.data.validation, task=case.task, original=original)
    best = scorer.score(original)
    assert best.correct is None
    assert best.divergence == 0
    broken = sartor.graph.trace(scenes.CentreMap(10).eval(), torch.zeros(1, 1, 32, 32)).module
    assert scorer.score(broken, rival=best).stopped
