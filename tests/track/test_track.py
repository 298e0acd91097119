"""What trackers keep, read back with their own tools."""

import json
import os
import subprocess
import sys

import pytest

import sartor
from sartor.cli import main
from sartor.errors import MissingPackageError, RunError, UsageError
from sartor.runs import Run, RunConfig
from sartor.search import EpisodeScored
from sartor.track import TRACKERS, MlflowTracker, TensorBoardTracker, Tracker, trackers

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def run(weights, tmp_path_factory):
    """A search and two epochs of fine-tuning, both followed."""
    folder = tmp_path_factory.mktemp("runs") / "followed"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        main(
            [
                "search",
                "--model",
                "sartor.demo:DigitsNet",
                "--weights",
                str(weights),
                "--data",
                "digits",
                "--out",
                str(folder),
                "--episodes",
                "5",
                "--finalists",
                "1",
                "--track",
                "tensorboard,mlflow",
            ]
        )
        main(["finetune", str(folder), "--epochs", "2", "--batch", "64", "--augment", ""])
    return folder


def test_tensorboard_reads_every_episode_and_epoch(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    rewards = {event.step: event.value for event in events.Scalars("search/reward")}
    assert rewards == pytest.approx(
        {episode.number: episode.reward for episode in Run(run).episodes}
    )
    assert [event.step for event in events.Scalars("finetune/loss")] == [0, 1]


def test_mlflow_has_one_run_with_all_of_it(run):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{run / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("sartor").experiment_id])
    assert (found.info.run_name, found.info.status) == ("followed", "FINISHED")
    history = client.get_metric_history(found.info.run_id, "search/accuracy")
    assert {metric.step: metric.value for metric in history} == pytest.approx(
        {episode.number: episode.outcome.accuracy for episode in Run(run).episodes}
    )
    assert [
        metric.step
        for metric in client.get_metric_history(found.info.run_id, "finetune/validation")
    ] == [0, 1]


def test_trackers_are_callbacks_of_the_python_line(model, data, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoardTracker(tmp_path) as tracker:
        options = sartor.SearchOptions(episodes=3, finalists=1, baselines=())
        sartor.compress(model, data, options=options, progress=tracker)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("search/best_reward")) == 3


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")]
)
def test_a_missing_package_is_named_before_anything_runs(name, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingPackageError, match=rf"{package} is needed .* pip install 'sartor\[{name}\]'"
    ):
        trackers([name], tmp_path).__enter__()


def test_a_resumed_search_logs_nothing_twice(weights, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = sartor.SearchOptions(episodes=6, finalists=1, baselines=())
    config = RunConfig(
        model="sartor.demo:DigitsNet",
        weights=weights,
        data="digits",
        out=tmp_path,
        track=("tensorboard",),
        options=options,
    )

    def stop(event):
        if isinstance(event, EpisodeScored) and event.episode.number == 2:
            raise SystemExit

    with pytest.raises(SystemExit):
        Run.of(config).search(stop)
    Run.of(config).search(resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("search/reward")] == list(range(6))


def test_a_server_that_goes_away_costs_only_its_numbers(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def refuse(*arguments, **options):
        raise mlflow.exceptions.MlflowException("connection refused")

    with MlflowTracker(tmp_path) as tracker:
        monkeypatch.setattr(mlflow.MlflowClient, "log_batch", refuse)
        with pytest.warns(UserWarning, match="MLflow takes no more numbers: connection refused"):
            tracker.log({"search/reward": 0.5}, 0)
        tracker.log({"search/reward": 0.6}, 1)
    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", refuse)
    with pytest.raises(
        RunError,
        match=r"MLflow at sqlite:.* cannot be used: connection refused; see MLFLOW_TRACKING_URI",
    ):
        MlflowTracker(tmp_path / "other")


def test_a_run_of_another_place_is_not_gone_on_with(tmp_path, monkeypatch):
    with MlflowTracker(tmp_path) as tracker:
        tracker.log({"search/reward": 0.5}, 0)
    before = (tmp_path / "mlflow.run").read_text()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with MlflowTracker(tmp_path):
        assert (tmp_path / "mlflow.run").read_text() != before


def test_another_place_for_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with MlflowTracker(tmp_path / "run") as tracker:
        tracker.log({"search/reward": 0.5}, 0)
    assert (tmp_path / "elsewhere.db").exists()
    assert not (tmp_path / "run/mlflow.db").exists()


def test_a_tracker_of_another_package_is_named_like_one_of_our_own(model, data, weights, tmp_path):
    options = sartor.SearchOptions(episodes=3, finalists=1, baselines=())
    config = RunConfig(
        model="sartor.demo:DigitsNet",
        weights=weights,
        data="digits",
        out=tmp_path,
        track=("outside.tracker:LinesTracker",),
        options=options,
    )
    Run.of(config).search()
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    episodes = Run(tmp_path).episodes
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert [line["search/reward"] for line in lines] == [episode.reward for episode in episodes]
    assert "search/relative_latency" not in lines[0], "nothing was measured"


def test_a_name_nobody_has_is_refused_with_the_nearest(tmp_path):
    assert TRACKERS.names == ("tensorboard", "mlflow")
    config = RunConfig(model="resnet20", data="digits", out=tmp_path, track=("tensorbord",))
    with pytest.raises(UsageError, match=r"tracker 'tensorbord' .* did you mean 'tensorboard'\?"):
        config.require_complete()
    with pytest.raises(
        UsageError, match=r"tracker 'pathlib:Path' .* must be a subclass of Tracker"
    ):
        trackers(["pathlib:Path"], tmp_path).__enter__()


class Recorder(Tracker):
    """Keeps in memory what it is given."""

    def __init__(self, folder):
        super().__init__(folder)
        self.logged = []
        self.closed = False

    def log(self, numbers, step):
        self.logged.append((numbers, step))

    def close(self):
        self.closed = True


def test_only_the_main_process_tracks_and_trackers_are_closed_whatever_happens(
    tmp_path, monkeypatch
):
    def fail(open_trackers):
        raise ValueError(open_trackers)

    with (
        pytest.raises(ValueError, match="Recorder") as raised,
        trackers([f"{__name__}:Recorder"], tmp_path) as found,
    ):
        fail(found)
    (tracker,) = raised.value.args[0]
    assert (tracker.folder, tracker.closed) == (tmp_path, True)
    monkeypatch.setenv("RANK", "1")
    with trackers([f"{__name__}:Recorder"], tmp_path) as found:
        assert found == []


PROGRAM = """
import os, pathlib, sys
from sartor.track import MlflowTracker

before = dict(os.environ)
with MlflowTracker(pathlib.Path(sys.argv[1])) as tracker:
    tracker.log({"search/reward": 0.5}, 0)
from mlflow.telemetry import get_telemetry_client

print(get_telemetry_client(), dict(os.environ) == before)
"""

#: Where it finds one of these, MLflow sends nothing by itself.
AUTOMATION = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")


def test_telemetry_is_off_and_the_environment_as_it_was(tmp_path):
    """In a process of its own: telemetry begins when MLflow is imported for the first time."""
    left_out = {"MLFLOW_DISABLE_TELEMETRY", "MLFLOW_TRACKING_URI", *AUTOMATION}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None True\n"
