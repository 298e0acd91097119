"""The public line: from a trained network, data and a budget to a smaller network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from sartor.agents import AgentFactory
from sartor.budget import Budget
from sartor.graph import Given
from sartor.machine import Note, Progress, Step, crowding_now
from sartor.models import InputOptions, read_preprocessing
from sartor.pipeline import Pipeline, SearchOptions
from sartor.runs._config import RunConfig
from sartor.runs._layout import Layout
from sartor.runs._run import Result, Run
from sartor.runs._subject import SubjectSource, as_source
from sartor.runs.progress import as_progress
from sartor.scoring.rewards import Reward
from sartor.targets import Target
from sartor.tasks import Task


def compress(
    model: nn.Module | str,
    data: Any = None,
    *,
    budget: str | Budget = "macs<=50%",
    evaluate: Callable[[nn.Module], float] | None = None,
    example_inputs: Given | None = None,
    options: SearchOptions | None = None,
    agent: str | AgentFactory | None = None,
    reward: str | Reward | None = None,
    target: str | Target | None = None,
    task: str | Task = "classification",
    weights: str | Path | None = None,
    pretrained: bool = False,
    preprocessing: object = None,
    out: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Result:
    """Search what to prune, and how few bits to keep, so that a network meets a budget.

    It stays as accurate as possible. ``model`` is not changed. With ``data.calibration`` the
    pruned layers are refitted.

    Args:
        model: The trained network; or a name of the zoo, timm:NAME, torchvision:NAME, or
            package.module:callable.
        data: Images, as `sartor.Data`; or what `sartor.data.load` makes them of: a torch DataLoader
            or Dataset, a Hugging Face dataset, an iterable of (inputs, targets), a mapping of
            train, validation and test to these; or a name: digits, the folder of a data set,
            package.module:callable.
        budget: Bounds on macs, params, size, bops or latency, joined by commas: "macs<=50%",
            "latency<=4ms"; of an FPGA "fps>=1000,lut<=40K,bram<=80%"; empty for none.
            Or how good the smallest network has to be, in the metric of the task:
            "accuracy>=-1%", which is what may be lost, or "miou>=70%".
        evaluate: Accuracy of a network, from 0 to 1, in place of images that have labels.
        example_inputs: A batch of one for each input, in order or by name, needed where there is
            no data. Whole numbers have the range of the indices that are valid.
        options: How to search.
        agent: Who decides, in place of the options': a name, or what makes an agent.
        reward: What is maximised, in place of the options': a name or an object.
        target: Where candidates are measured, in place of the options': a name or an object.
        task: What the network is for: a name, package.module:OBJECT, or an object.
        weights: A .safetensors file, or one of torch.save, for a network that is given by name.
        pretrained: Fetch the weights that timm or torchvision have for their network.
        preprocessing: How images become inputs, where the weights or the network do not say:
            whatever `sartor.models.read_preprocessing` takes.
        out: Folder of the run. Every episode is on disk at once; a search that was interrupted
            goes on where it stopped when it is called again.
        progress: Whether to show on standard error what goes on: if not given, on a terminal and
            in a notebook only. Or what is called with each event (`sartor.machine.Event`).

    Raises `UsageError` for an original that is not what its user thinks: no better than guessing,
    or not as accurate as the options ``expect``; `BudgetError` for a budget that cannot be met,
    `TraceError` for a network that cannot be traced, `WeightsError` for weights that are not
    finite, `DataError` for data that does not fit, `RunError` while another process searches in
    ``out``, or if a search of other options was begun there.

    >>> import torch
    >>> from sartor import Data, Images
    >>> images = Images(torch.rand(40, 1, 4, 4), torch.arange(40) % 2)
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    >>> options = SearchOptions(episodes=2, anyway=True)  # its weights are random
    >>> result = compress(model, Data(images, images), options=options)
    >>> result.report.best.ratio.macs <= 0.5
    True
    """
    options = options or SearchOptions()
    inputs = InputOptions()
    if preprocessing is not None:
        inputs = InputOptions.of(read_preprocessing(preprocessing))
    source = as_source(
        model,
        data,
        weights=weights,
        seed=options.seed,
        pretrained=pretrained,
        inputs=inputs,
        images=None if out is None else Layout(Path(out)).images,
    )
    with as_progress(progress) as told:
        told(Step("preparing"))
        crowded = crowding_now()
        if crowded:
            told(Note(crowded))
        count = options.calibration_images
        subject = source.load(calibration=count)
        pipeline = Pipeline.prepare(
            subject.model,
            subject.data,
            budget=budget,
            evaluate=evaluate,
            example_inputs=example_inputs,
            options=options,
            agent=agent,
            reward=reward,
            target=target,
            task=task,
        )

        config = _config(source, pipeline, task, out)
        # A target of a name is made again from the options.
        target_object = target if isinstance(target, Target) else None
        if out is not None:
            run = Run(
                out,
                model=subject.model,
                data=subject.data,
                target=target_object,
                task=pipeline.task,
                config=config,
            )
            return run.carry_out(pipeline, subject, told)

        found = pipeline.run(progress=told)
    return Result(
        **vars(found), config=config, subject=subject, target=target_object, task=pipeline.task
    )


def _config(
    source: SubjectSource, pipeline: Pipeline, task: str | Task, out: str | Path | None
) -> RunConfig:
    """What was asked for, with the names that are known."""
    return RunConfig(
        model=source.model if isinstance(source.model, str) else "",
        weights=source.weights,
        pretrained=source.pretrained,
        data=source.data if isinstance(source.data, str) else "",
        task=task if isinstance(task, str) else pipeline.task.name,
        budget=str(pipeline.budget),
        out=Path(out) if out is not None else None,
        inputs=source.inputs,
        options=pipeline.options,
    )
