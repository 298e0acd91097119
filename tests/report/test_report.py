"""Reports of a small search."""

import csv
import html
import json
import re
import shutil
import socket
import socketserver
import threading
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from sartor import report
from sartor.cli import main
from sartor.errors import RunError
from sartor.report._card import card
from sartor.report._page import page
from sartor.runs import Run, RunConfig, VerifiedRun


def payload_of(page):
    (text,) = re.findall(
        r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL
    )
    return json.loads(text)


def ask(address, **headers):
    """What this machine answers, without a proxy in between."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return direct.open(urllib.request.Request(address, headers=headers), timeout=30).read().decode()


def test_the_page_holds_the_numbers_of_the_run_and_needs_no_network(run):
    before = (run / "episodes.journal").read_bytes()
    path = report.write(Run(run), run / "report")
    assert (run / "episodes.journal").read_bytes() == before
    page = path.read_text()
    assert path.stat().st_size < 5e6
    marked_up = re.sub(
        r"<script>.*?</script>", "", page, flags=re.DOTALL
    )  # the drawing code mentions tags
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?!data:)", marked_up)
    assert "<b>" not in marked_up
    assert marked_up.count("<script") == 1
    result, payload = json.loads((run / "result.json").read_text()), payload_of(page)
    best = max(Run(run).episodes, key=lambda episode: episode.reward).outcome.accuracy
    assert (
        payload["state"]
        == f"finished: 8 of 8 episodes, best {100 * best:.2f} % of the reward images"
    )
    assert f"{100 * result['best']['validation']:.2f} %" in payload["table"]
    assert set(payload["figures"]) == {
        "history",
        "plane",
        "channels",
        "macs",
        "latency",
        "bits",
        "sensitivity",
    }
    drawn = json.dumps(payload["figures"]["history"]["spec"])
    for episode in Run(run).episodes:
        assert json.dumps(episode.reward) in drawn
    bars = json.dumps(payload["figures"]["channels"]["spec"])
    assert sum(layer["seconds"] for layer in result["layers"]["best"]) == pytest.approx(
        result["best"]["latency"]["candidate"]["median_s"]
    )
    for layer in result["layers"]["best"]:
        name, channels = layer["name"], layer["out_channels"]
        assert f'"layer": "{name}", "network": "best", "out_channels": {channels}' in bars


def test_everything_is_there_as_files_too(run):
    main(["report", str(run)])
    folder = run / "report"
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {
        path.stem for path in (folder / "figures").glob("*.svg")
    }
    with (folder / "episodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["episode"]) for row in rows] == list(range(8))
    assert float(rows[-1]["best_reward"]) == max(float(row["reward"]) for row in rows)
    card = (folder / "MODEL_CARD.md").read_text()
    assert card.startswith("---\nlibrary_name: sartor\n")
    assert "- quantization\n" in card


def test_the_page_is_served_until_ctrl_c_on_a_port_that_is_free(run, capsys, monkeypatch):
    def interrupted(server, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", interrupted)
    main(["report", str(run), "--live", "--port", "0"])
    said = capsys.readouterr().out
    assert re.match(r"http://127\.0\.0\.1:[1-9]\d*/ until Ctrl-C\nserved no longer\n", said)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, sentence in (
            (taken.getsockname()[1], "cannot be served on"),
            (70_000, "allowed are 0 to 65535"),
        ):
            with pytest.raises(SystemExit) as stop:
                main(["report", str(run), "--live", "--port", str(port)])
            assert stop.value.code == 2
            error = capsys.readouterr().err
            assert error.startswith(f"sartor: --port {port if port < 70_000 else 'is 70000'}")
            assert sentence in error


def test_a_running_search_is_served_as_it_grows(run, tmp_path):
    (tmp_path / "run.json").write_text((run / "run.json").read_text())
    lines = (run / "episodes.journal").read_text().splitlines(keepends=True)
    (tmp_path / "episodes.journal").write_text("".join(lines[:-3]))
    serving = report.server(tmp_path)
    assert serving.server_address[0] == "127.0.0.1"
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{serving.server_port}"
    with serving:
        page = ask(place + "/")
        assert payload_of(page)["state"].startswith("unfinished: 5 of 8 episodes")
        (tmp_path / "episodes.journal").write_text("".join(lines))
        later = json.loads(ask(place + "/payload.json"))
        assert later["state"].startswith("unfinished: 8 of 8 episodes")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(place + "/../run.json")
        with pytest.raises(
            urllib.error.HTTPError, match="403"
        ):  # a page elsewhere whose name was made to mean this machine
            ask(place + "/", Host="elsewhere.example")
        (tmp_path / "episodes.journal").unlink()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            ask(place + "/payload.json")
        serving.shutdown()


def test_what_is_no_run_is_refused(tmp_path, run):
    """Whatever is to be made of it, and before anything is written."""

    def refused(folder):
        for make in (
            lambda: report.write(Run(folder), folder / "report"),
            lambda: report.compare([Run(run), Run(folder)]),
            lambda: report.server(folder),
        ):
            with pytest.raises(RunError) as raised:
                make()
            yield str(raised.value)

    for sentence in refused(tmp_path):
        assert sentence.endswith(f"run.json does not exist; {tmp_path} is not the folder of a run")
    RunConfig(out=tmp_path).save(tmp_path)
    for sentence in refused(tmp_path):
        assert sentence == f"{tmp_path} holds no episode yet; there is nothing to report"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def drawn_in(figure):
    """The rows of a figure that has one data set."""
    (rows,) = figure["spec"]["datasets"].values()
    return rows


def test_an_interrupted_search_is_called_so_and_runs_when_it_goes_on(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    result = json.loads((broken / "result.json").read_text())
    (broken / "result.json").write_text(json.dumps({**result, "interrupted": True}))
    assert Run(broken).state == "interrupted"
    (broken / "result.json").write_text(json.dumps({**result, "interrupted": True, "episodes": 5}))
    grown = Run(broken)
    assert (grown.state, grown.result) == ("unfinished", None), (
        "what was left then is not what is found now"
    )


def test_what_is_not_as_promised_is_said_wherever_one_looks(run, tmp_path, capsys):
    missed = tmp_path / "missed"
    shutil.copytree(run, missed)
    result = json.loads((missed / "result.json").read_text())
    (missed / "result.json").write_text(
        json.dumps({**result, "budget_met": False, "latencies_unsettled": 3})
    )
    measured = SimpleNamespace(
        runtime="a runtime", device="a device", accuracy=0.1, images=300, metric="top-1"
    )
    faulty = VerifiedRun(measured, ("accuracy is 10.00 %",), (), missed)
    sentences = [
        f"the budget {result['budget']} was NOT met",
        "the machine was too busy for 3 of the measurements",
    ]
    described_run = Run(missed)
    described_run.verified = (faulty,)
    described = card(described_run)
    measured = "Run in a runtime on a device: top-1 10.00 % on 300 images."
    fault = "**Not as promised: accuracy is 10.00 %.**"
    assert f"{measured} {fault}" in described
    main(["show", str(missed)])
    for text in (
        described,
        page(Run(missed)),
        report.compare([Run(missed), Run(run)]),
        capsys.readouterr().out.replace("\n", " "),
    ):
        assert all(sentence in html.unescape(text) for sentence in sentences)
    assert not any(sentence in page(Run(run)) for sentence in sentences[:1])


def test_runs_are_compared_on_one_page(run, tmp_path, capsys):
    unfinished = tmp_path / "other"
    unfinished.mkdir()
    for name in ("run.json", "episodes.journal"):
        (unfinished / name).write_text((run / name).read_text())
    out = tmp_path / "both.html"
    main(["compare", str(run), str(unfinished), "--out", str(out)])
    payload = payload_of(out.read_text())
    assert payload["state"] == "2 runs, 1 of them not finished"
    best = json.loads((run / "result.json").read_text())["best"]
    assert f"{100 * best['validation']:.2f} %" in payload["table"]
    assert "<b>: found" not in payload["table"]
    points = drawn_in(payload["figures"]["plane"])
    assert {
        "run": "a <b>",
        "network": "found",
        "cost": best["latency"]["relative"],
        "accuracy": best["validation"],
    } in points
    lines = drawn_in(payload["figures"]["history"])
    assert [row["episode"] for row in lines if row["run"] == "other"] == list(range(8))
    with pytest.raises(SystemExit):
        main(["compare", str(run)])
    assert (
        "compare needs at least two runs whose folders differ in name, not a <b>"
        in capsys.readouterr().err
    )
