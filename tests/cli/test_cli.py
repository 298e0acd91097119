import json
import os
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import nn

import sartor
from sartor import demo
from sartor.cli import main, parse
from sartor.finetune import Teacher
from sartor.graph import trace
from sartor.models import InputOptions
from sartor.runs import Run, RunConfig


class Branching(nn.Module):
    """A network whose forward pass depends on a value."""

    def forward(self, x):
        return x.flatten(1)[:, :10] if x.sum() > 0 else -x.flatten(1)[:, :10]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    demo.train(path, epochs=4)
    return path


def changed(weights, folder, change):
    tensors = load_file(weights)
    change(tensors)
    path = folder / "changed.safetensors"
    save_file(tensors, path)
    return path


def parquet(folder, columns):
    folder.mkdir()
    for name in ("train", "test"):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def search(folder, weights, **options):
    given = {
        "model": "sartor.demo:DigitsNet",
        "weights": weights,
        "data": "digits",
        "out": folder / "run",
        "episodes": 4,
        **options,
    }
    return [
        "search",
        *(
            f"--{name.replace('_', '-')}={value}"
            for name, value in given.items()
            if value is not None
        ),
    ]


def set_key(key, value):
    return lambda tensors: tensors.__setitem__(key, value)


EMPTY = {
    "img": pa.array([], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "label": pa.array([], pa.int64()),
}
BROKEN = {"img": [{"bytes": b"no image", "path": "a.png"}] * 4, "label": [0, 1, 0, 1]}

#: What is wrong → (arguments, exit status, what the sentence must say).
BAD_INPUT = {
    "weights that do not exist": lambda f, w: (
        search(f, f / "no.safetensors"),
        1,
        r"no\.safetensors' do not exist",
    ),
    "weights that are no safetensors": lambda f, w: (
        search(f, f / "torn.safetensors"),
        1,
        "cannot be read as safetensors",
    ),
    "a missing key": lambda f, w: (
        search(f, changed(w, f, lambda t: t.pop("linear.bias"))),
        1,
        r"lacks key 'linear\.bias'",
    ),
    "an unknown key": lambda f, w: (
        search(f, changed(w, f, set_key("fc.weight", torch.zeros(1)))),
        1,
        "unknown key 'fc.weight'",
    ),
    "a wrong shape": lambda f, w: (
        search(f, changed(w, f, set_key("linear.bias", torch.zeros(7)))),
        1,
        r"linear\.bias has shape \(7,\), the network wants \(10,\)",
    ),
    "NaN weights": lambda f, w: (
        search(f, changed(w, f, set_key("linear.bias", torch.full((10,), float("nan"))))),
        1,
        r"linear\.bias of DigitsNet has 10 NaN",
    ),
    "no weights for a network with a name": lambda f, w: (
        search(f, None, model="resnet20"),
        2,
        "--weights is missing",
    ),
    "a file where the run should be": lambda f, w: (
        search(f, w, out=f / "torn.safetensors/run"),
        2,
        r"--out .*run cannot be a folder: .*torn\.safetensors is a file",
    ),
    "no threads to fine-tune with": lambda f, w: (
        ["finetune", str(f), "--threads", "0"],
        2,
        "--threads is 0; it must be at least 1",
    ),
    "no images to repair with": lambda f, w: (
        ["repair", str(f), "--shown", "0"],
        2,
        "shown is 0; it must be at least 1",
    ),
    "nothing to repair": lambda f, w: (
        ["repair", str(f / "run")],
        1,
        r"run\.json does not exist; .* is not the folder of a run",
    ),
    "a file instead of a run": lambda f, w: (
        ["show", str(f / "torn.safetensors")],
        1,
        "is not the folder of a run",
    ),
    "a data folder that does not exist": lambda f, w: (
        search(f, w, data=f / "nowhere"),
        1,
        "nowhere' is not a folder",
    ),
    "an empty data set": lambda f, w: (
        search(f, w, data=parquet(f / "d", EMPTY)),
        1,
        r"train\.parquet is empty: at least one image",
    ),
    "Parquet with other columns": lambda f, w: (
        search(f, w, data=parquet(f / "d", {"a": [1]})),
        1,
        r"has columns \['a'\]; expected img or image, and label",
    ),
    "an image that cannot be decoded": lambda f, w: (
        search(f, w, data=parquet(f / "d", BROKEN)),
        1,
        r"row \d of .*train\.parquet cannot be decoded as an image",
    ),
    "labels that are words": lambda f, w: (
        search(f, w, data=parquet(f / "d", {**BROKEN, "label": list("abab")})),
        1,
        "labels are of type string; they must be whole numbers",
    ),
    "a model without a module": lambda f, w: (
        search(f, w, model=":Net"),
        2,
        "model ':Net' cannot be imported",
    ),
    "a model that cannot be built": lambda f, w: (
        search(f, w, model="torch.nn:Linear"),
        2,
        "model 'torch.nn:Linear' cannot be built: .* missing 2 required positional arguments",
    ),
    "a path that is none in the file of --config": lambda f, w: (
        ["search", "--config", str(f / "path.toml")],
        2,
        r"path\.toml: out is 5; it must be a path",
    ),
    "a file of --config that is no text": lambda f, w: (
        ["search", "--config", str(f / "torn.safetensors")],
        2,
        "is not TOML",
    ),
    "no threads to measure with": lambda f, w: (
        ["sensitivity", "--model=resnet20", "--data=digits", f"--out={f}", "--threads=0"],
        2,
        "--threads is 0; it must be at least 1",
    ),
    "a negative seed to measure with": lambda f, w: (
        ["sensitivity", "--model=resnet20", "--data=digits", f"--out={f}", "--seed=-1"],
        2,
        "--seed is -1; it must lie from 0 to 4294967295",
    ),
    "a demonstration where another run is": lambda f, w: (
        ["demo", f"--out={f}"],
        1,
        "holds a run with other options; choose another",
    ),
    "a data set that would have to be fetched": lambda f, w: (
        search(f, w, data="hf:cifar10"),
        2,
        "nothing is fetched silently",
    ),
    "a budget that cannot be read": lambda f, w: (
        search(f, w, budget="half"),
        2,
        "budget 'half' cannot be read; write for instance",
    ),
    "a budget on an unknown quantity": lambda f, w: (
        search(f, w, budget="watts<=5"),
        2,
        "allowed are macs, params, size, bops",
    ),
    "an impossible budget": lambda f, w: (
        search(f, w, budget="params<=1%"),
        2,
        r"the smallest reachable value is params<=\d+",
    ),
    "an unknown model": lambda f, w: (
        search(f, w, model="resnet21"),
        2,
        r"model 'resnet21' is not in the zoo; did you mean 'resnet20'\? known names: plain20",
    ),
    "a model that cannot be imported": lambda f, w: (
        search(f, w, model="no.such:Net"),
        2,
        "model 'no.such:Net' cannot be imported",
    ),
    "a network that cannot be traced": lambda f, w: (
        search(f, None, model=f"{__name__}:Branching"),
        1,
        "Branching cannot be traced: .* branches on the value of a tensor",
    ),
    "an unknown agent": lambda f, w: (
        search(f, w, agent="sarsa"),
        2,
        "agent 'sarsa' is not known; allowed are",
    ),
    "no episodes": lambda f, w: (
        search(f, w, episodes=0),
        2,
        "episodes is 0; it must be at least 1",
    ),
    "a negative seed": lambda f, w: (
        search(f, w, seed=-1),
        2,
        "seed is -1; it must lie from 0 to 4294967295",
    ),
    "a seed that is too large": lambda f, w: (
        search(f, w, seed=2**32),
        2,
        "seed is 4294967296; it must lie from 0 to 4294967295",
    ),
    "no images to refit from": lambda f, w: (
        search(f, w, final_images=0),
        2,
        "final_images is 0; it must be at least 1",
    ),
    "a keep ratio out of range": lambda f, w: (
        search(f, w, min_keep=1.5),
        2,
        r"min_keep is 1\.5; it must lie in \(0, 1\]",
    ),
    "an option left out": lambda f, w: (search(f, w, out=None), 2, "--out is missing"),
    "an unknown key in the file of --config": lambda f, w: (
        ["search", f"--config={f / 'wrong.toml'}"],
        2,
        r"wrong\.toml: options: unknown key 'episods'; did you mean 'episodes'\? allowed are",
    ),
    "a wrong type in the file of --config": lambda f, w: (
        ["search", "--config", str(f / "type.toml")],
        2,
        "episodes is 'many'; it must be of type int or auto",
    ),
    "a latency without a target": lambda f, w: (
        search(f, w, budget="latency<=0.5"),
        2,
        "a budget on latency needs a target; give for instance --target onnxruntime",
    ),
    "a latency without a unit": lambda f, w: (
        search(f, w, budget="latency<=4", target="onnxruntime"),
        2,
        "needs a unit; allowed are %, us, ms, s",
    ),
    "a latency that cannot be reached": lambda f, w: (
        search(f, w, budget="latency<=1%", target="onnxruntime", images=16),
        2,
        r"the smallest reachable value is latency<=[\d.]+ms \(predicted\)",
    ),
    "an unknown target": lambda f, w: (
        search(f, w, target="tpu"),
        2,
        "target 'tpu' is not known; allowed are onnxruntime, onnxruntime-bitserial, openvino, openvino-bf16",
    ),
    "bits without a target": lambda f, w: (
        search(f, w, methods="quantize"),
        2,
        "quantize needs a target",
    ),
    "a method nobody has": lambda f, w: (
        search(f, w, methods=""),
        2,
        "methods are empty; allowed are prune, quantize, or both",
    ),
    "a command without a model": lambda f, w: (
        search(f, w, target="command", command="bench"),
        2,
        r"has no \{model\}; the path of the network goes there",
    ),
    "a command that fails": lambda f, w: (
        search(f, w, target="command", command="false {model}", budget="latency<=0.9", images=16),
        1,
        "false .* ended with status 1",
    ),
    "a command that does not exist": lambda f, w: (
        search(
            f,
            w,
            target="command",
            command="no-such-bench {model}",
            budget="latency<=0.9",
            images=16,
        ),
        2,
        "'no-such-bench' does not exist",
    ),
    "a target without its table": lambda f, w: (
        search(f, w, target="table"),
        2,
        "the target table needs --table FILE",
    ),
    "a table that does not exist": lambda f, w: (
        search(f, w, target="table", table=f / "no.json"),
        1,
        r"no\.json does not exist",
    ),
    "nothing to resume": lambda f, w: (
        ["search", "--resume", str(f / "run")],
        1,
        r"run\.json does not exist; .* is not the folder of a run",
    ),
    "nothing to show": lambda f, w: (
        ["show", str(f / "run")],
        1,
        r"run\.json does not exist; .* is not the folder of a run",
    ),
}


@pytest.mark.parametrize("kind", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(kind, weights, tmp_path, capsys):
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\x00\xff")
    (tmp_path / "path.toml").write_text("out = 5\n")
    if kind == "a demonstration where another run is":
        RunConfig().save(tmp_path)
    (tmp_path / "wrong.toml").write_text("model = 'resnet20'\n[options]\nepisods = 5\n")
    (tmp_path / "type.toml").write_text("[options]\nepisodes = 'many'\n")
    arguments, status, sentence = BAD_INPUT[kind](tmp_path, weights)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == status
    assert "Traceback" not in error
    assert error.startswith("sartor: ")
    assert error.count("\n") == 1
    assert re.search(sentence, error), error
    assert not (tmp_path / "run/result.json").exists()


def test_lists_may_be_written_with_commas_and_be_empty():
    command = [
        "schedule",
        "--stages",
        "macs<=50%",
        "--last.augment",
        "shift,mix",
        "--teacher.models",
        "a,b",
        "--seed-with",
        "",
    ]
    parsed = parse([*command, "--teacher.weights", "x,y", "--budget=macs<=50%,params<=40%"])
    assert parsed.last.augment == ("shift", "mix")
    assert parsed.teacher == Teacher(("a", "b"), (Path("x"), Path("y")))
    assert (parsed.search.options.seed_with, parsed.search.budget) == ((), "macs<=50%,params<=40%")


@pytest.mark.parametrize("path", ["runs/a[v2]", "runs/[/x]", "runs/:fire:"])
def test_paths_are_printed_to_the_letter(path, capsys, monkeypatch):
    def run(console):
        table = Table("network", title=f"{path} in a runtime")
        table.add_row(f"network in {path}")
        console.print(f"results in {path}", table)
        raise OSError(f"{path} is full")

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sartor.cli._parse.parse", lambda arguments: SimpleNamespace(run=run))
    with pytest.raises(SystemExit):
        main([])
    said, error = capsys.readouterr()
    assert all(
        words in said
        for words in (f"results in {path}", f"network in {path}", f"{path} in a runtime")
    )
    assert error == f"sartor: {path} is full\n"


def test_what_the_system_refuses_is_one_sentence(weights, tmp_path, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "episodes.journal")

    monkeypatch.setattr("sartor.runs.Run.search", full)
    with pytest.raises(SystemExit) as stop:
        main(search(tmp_path, weights))
    assert stop.value.code == 1
    assert (
        capsys.readouterr().err
        == "sartor: [Errno 28] No space left on device: 'episodes.journal'\n"
    )


def test_the_demonstration_searches_and_goes_on(tmp_path, capsys):
    for _ in range(2):
        main(["demo", f"--out={tmp_path}", "--episodes=4"])
        assert f"next: sartor show {tmp_path}" in capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["episodes"], result["budget_met"]) == (4, True)
    assert len(Run(tmp_path).episodes) == 4


NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
"""


def test_a_module_of_the_current_folder_is_found_after_those_that_are_installed(
    tmp_path, monkeypatch
):
    (tmp_path / "net_of_mine.py").write_text(NET)
    (tmp_path / "rich.py").write_text("raise ImportError('not the one that was installed')")
    elsewhere = [place for place in sys.path if place not in ("", os.getcwd())]
    monkeypatch.setattr(sys, "path", list(elsewhere))
    monkeypatch.chdir(tmp_path)
    main(
        [
            *("sensitivity", "--model=net_of_mine:build", "--data=digits", "--out=found"),
            *("--images=8", "--keep=0.5,1.0", "--bits=8"),
        ]
    )
    assert (tmp_path / "found/sensitivity.json").exists()
    assert sys.path == [*elsewhere, str(tmp_path)]
    main(["--version"])
    assert sys.path == [*elsewhere, str(tmp_path)], "once is enough"


def test_what_was_done_with_a_run_is_shown_and_what_comes_next(
    weights, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    main(search(tmp_path / "my runs", weights, images=16, final_images=16, finalists=1))
    folder = tmp_path / "my runs/run"
    written = shlex.quote(str(folder))
    steps = [f"sartor {command} {written}" for command in ("show", "finetune", "export")]
    said = capsys.readouterr().out
    assert said.endswith(f"next: {steps[0]}\n      {steps[1]}\n      {steps[2]}\n")

    main(["finetune", str(folder), "--epochs=1"])
    said = capsys.readouterr().out
    assert said.endswith(f"next: sartor export {written}\n      sartor report {written}\n")
    main(["export", str(folder)])
    verify = f"sartor verify {written} --format onnx"
    assert capsys.readouterr().out.endswith(f"next: {verify}\n")
    main(shlex.split(verify)[1:])
    assert capsys.readouterr().out.endswith(f"next: sartor report {written}\n")

    main(["show", str(folder)])
    shown = capsys.readouterr().out
    tuned = Run(folder).finetuned
    assert "Fine-tuned for 1 epoch, learning from sartor.demo:DigitsNet: validation" in shown
    assert f"after {100 * tuned.validation.after:.2f} %" in shown
    assert f"It is in {folder / 'finetuned'}." in shown
    assert re.search(r"model\.onnx in onnxruntime .*1 thread: top-1", shown)
    main(["export", str(folder), "--format=pt2"])
    assert "--format pt2" in capsys.readouterr().out, "PyTorch reads it"


def test_ctrl_c_ends_with_status_130(capsys, monkeypatch):
    def interrupted(console):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "sartor.cli._parse.parse", lambda arguments: SimpleNamespace(run=interrupted)
    )
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 130
    assert capsys.readouterr().err == "sartor: interrupted; what was recorded until now is kept\n"


def test_wrong_usage_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["search", "--no-such-option"])
    assert stop.value.code == 2
    assert "no-such-option" in capsys.readouterr().err


def test_a_second_run_does_not_overwrite_the_first(weights, tmp_path, capsys):
    main(search(tmp_path, weights, images=16, final_images=16, finalists=1))
    result = (tmp_path / "run/result.json").read_text()
    with pytest.raises(SystemExit) as stop:
        main(search(tmp_path, weights))
    assert stop.value.code == 1
    assert "already holds a run; resume it with: sartor search --resume" in capsys.readouterr().err
    assert (tmp_path / "run/result.json").read_text() == result


def test_search_show_and_resume_agree(weights, tmp_path, capsys):
    options = {
        "images": 16,
        "final_images": 16,
        "finalists": 1,
        "seed_with": "uniform,knapsack",
        "baselines": "uniform,deep",
    }
    main(search(tmp_path, weights, **options))
    searched = capsys.readouterr().out
    report = json.loads((tmp_path / "run/result.json").read_text())
    assert report["seed_with"] == ["uniform", "knapsack"]
    assert set(report["baselines"]) == {"uniform", "deep"}
    main(["show", str(tmp_path / "run")])
    shown = capsys.readouterr().out
    table = searched[searched.index("budget macs<=50%") : searched.index("kept whole")]
    assert table.strip() in shown
    assert all(group in shown for group in report["policy"]["channels"])
    (tmp_path / "run/result.json").write_text(json.dumps({**report, "schema": 2}))
    for command in ("show", "report"):
        with pytest.raises(SystemExit) as stop:
            main([command, str(tmp_path / "run")])
        assert stop.value.code == 1
        assert (
            "result.json is not a report of schema 1; another version wrote it"
            in capsys.readouterr().err
        )
    main(["search", "--resume", str(tmp_path / "run")])
    again = json.loads((tmp_path / "run/result.json").read_text())
    assert (again["policy"], again["best"]) == (report["policy"], report["best"])


def test_the_command_of_a_run_says_all_of_its_options(tmp_path):
    compress = sartor.CompressOptions(images=64, batchnorm=True, ridge=0.01)
    options = sartor.SearchOptions(
        agent="galen",
        episodes=7,
        seed_with=(),
        methods=("prune", "quantize"),
        baselines=("uniform", "deep"),
        max_time=2.5,
        base=tmp_path / "one run",
        compress=compress,
    )
    config = RunConfig(
        model="resnet20",
        weights=tmp_path / "a.safetensors",
        data="digits",
        budget="latency<=0.3,macs<=50%",
        out=tmp_path,
        inputs=InputOptions(
            mean=(0.5,), std=(0.25,), resize=(256, 320), crop=(224,), interpolation="bicubic"
        ),
        options=options,
    )
    program, *arguments = shlex.split(config.command)
    assert program == "sartor"
    assert parse(arguments).search == config


def test_a_config_file_holds_the_same_options_and_the_command_line_wins(weights, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text(
        f"model = 'sartor.demo:DigitsNet'\nweights = '{weights}'\ndata = 'digits'\nbudget = 'params<=70%'\nout = '{tmp_path / 'a'}'\n"
        "[options]\nepisodes = 9\nfinalists = 1\nseed_with = ['uniform']\n[options.compress]\nimages = 16\nfinal_images = 16\n"
    )
    main(["search", "--config", str(config), "--episodes", "5"])
    report = json.loads((tmp_path / "a/result.json").read_text())
    assert (report["budget"], report["episodes"], report["seed_with"]) == (
        "params<=70%",
        5,
        ["uniform"],
    )


def test_targets_are_listed_with_what_they_support(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    main(["targets"])
    shown = capsys.readouterr().out
    assert re.search(r"onnxruntime .*fp32, 8/8", shown)
    assert "command" in shown


def test_a_missing_runtime_is_listed_with_the_way_to_install_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setenv("COLUMNS", "300")
    main(["targets"])
    assert "pip install 'sartor[openvino]'" in capsys.readouterr().out


def test_sensitivity_is_measured_once_and_drawn(weights, tmp_path, capsys):
    arguments = [
        "sensitivity",
        "--model=sartor.demo:DigitsNet",
        f"--weights={weights}",
        "--data=digits",
        f"--out={tmp_path}",
        "--images=32",
        "--keep",
        "0.5",
        "1.0",
        "--bits",
        "2",
        "8",
    ]
    main(arguments)
    first = (tmp_path / "sensitivity.json").read_text()
    table = json.loads(first)["table"]
    assert set(table) == {"channels", "weight_bits", "activation_bits"}
    assert all(row["2"] >= row["8"] for row in table["weight_bits"].values())
    assert (tmp_path / "sensitivity.svg").read_text().startswith("<svg")
    assert "stem.0" in capsys.readouterr().out
    main(arguments)
    assert (tmp_path / "sensitivity.json").read_text() == first
    with pytest.raises(SystemExit) as stop:
        main([*arguments[:-1], "9"])
    assert stop.value.code == 2


def test_a_latency_from_a_table_needs_no_runtime(weights, tmp_path):
    images = sartor.data.load("digits", calibration=16).calibration.normalized()
    layers = trace(demo.DigitsNet(), images[:1]).layers
    entry = "{0.kind} {1}->{2} kernel {3} stride {4} on {5} at {6}/{6} bits"
    seconds = {}
    for layer in layers:
        sides = [
            "x".join(map(str, side)) for side in (layer.kernel, layer.stride, layer.input_size)
        ]
        sides = sides if layer.kind == "conv" else ["1", "1", "1"]
        for share in (0.25, 0.5, 1.0):
            inside, outside = (
                max(1, round(share * width)) for width in (layer.in_channels, layer.out_channels)
            )
            for bits in (4, 32):
                seconds[entry.format(layer, inside, outside, *sides, bits)] = (
                    1e-9 * bits * inside * outside * layer.positions
                )
    table = tmp_path / "board.json"
    table.write_text(json.dumps({"schema": 1, "measured_on": "a board", "seconds": seconds}))
    options = {
        "methods": "prune,quantize",
        "images": 16,
        "final_images": 16,
        "finalists": 1,
        "baselines": "",
    }
    main(search(tmp_path, weights, budget="latency<=0.1", target="table", table=table, **options))
    report = json.loads((tmp_path / "run/result.json").read_text())
    assert report["target"]["measured"] is False
    assert report["best"]["latency"]["relative"] <= 0.1
    assert 4 in report["policy"]["weight_bits"].values()
