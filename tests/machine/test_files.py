"""Files that are whole or absent, one process at a time, and the range of seeds."""

import os
import stat
import subprocess
import sys

import pytest

from sartor.errors import DataError, RunError, UsageError
from sartor.machine import alone_in, read_json, require_seed, write_atomically, write_text


def test_a_file_is_written_whole_into_folders_that_are_made(tmp_path):
    path = tmp_path / "a/b/note.txt"
    write_text(path, "grün")
    assert path.read_bytes() == "grün".encode()
    assert [item.name for item in path.parent.iterdir()] == ["note.txt"]


def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "written", "")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "written")}
    assert len(modes) == 1


def test_what_fails_half_way_leaves_what_was_there(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("before")

    def half(temporary):
        temporary.write_text("hal")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is none"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "holds a list; it must hold an object"),
    ],
)
def test_what_is_no_json_object_is_refused_in_the_words_of_its_reader(tmp_path, content, sentence):
    path = tmp_path / "values.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_json(path, missing="there is none", error=DataError)
    path.write_text('{"a": 1}')
    assert read_json(path, missing="", error=DataError) == {"a": 1}


def test_a_file_in_place_of_a_folder_is_a_missing_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="there is none"):
        read_json(tmp_path / "file/values.json", missing="there is none", error=RunError)


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    program = (
        "import sys; from pathlib import Path; from sartor.machine import alone_in\n"
        "with alone_in(Path(sys.argv[1])): print('alone')"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with alone_in(tmp_path):
        refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert f"another process is searching in {tmp_path}" in refused.stderr
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "alone\n"


def test_no_folder_needs_no_lock():
    with alone_in(None):
        assert ".search.lock" not in os.listdir()


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seeds_at_the_ends_are_allowed(seed):
    require_seed(seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_beyond_are_named(seed):
    with pytest.raises(UsageError, match=f"--seed is {seed}; it must lie from 0 to 4294967295"):
        require_seed(seed, "--seed")
