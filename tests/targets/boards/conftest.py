"""Boards that are this machine: behind a stand-in for ssh, and behind an sshd of their own."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sartor import targets
from sartor.targets import TargetOptions

# runs what ssh would run there; its last word is the command
STAND_IN = """#!/bin/sh
for word; do command=$word; done
{before}
exec sh -c "$command"
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a program called ssh in front of the system's; what it does first may be given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{path}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(before=""):
        program = folder / "ssh"
        program.write_text(STAND_IN.format(before=before))
        program.chmod(0o755)

    make()
    return make


@pytest.fixture
def board(stand_in):
    """Makes a target of this machine, as if ssh had reached it."""

    def make(more="", **options):
        name = f"ssh:board,python={sys.executable}{more}"
        return targets.make(name, TargetOptions(**options))

    return make


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    """Folder with a program ssh that reaches an sshd on this machine, with a key of its own."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH: apt-get install openssh-server")

    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    port = _free_port()
    config = _server_config(folder, port)
    log = folder / "log"
    process = subprocess.Popen([server, "-D", "-f", str(config), "-E", str(log)])
    try:
        _wait_for(port, process, log)
        _client(folder, port)
        yield folder / "bin"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def behind_sshd(sshd, monkeypatch):
    """A target of this machine that ssh has really reached."""
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{sshd}{os.pathsep}{path}")
    return targets.make(f"ssh:board,python={sys.executable}")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server_config(folder, port):
    keys = folder / "authorized_keys"
    shutil.copy(folder / "user.pub", keys)
    keys.chmod(0o600)
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {keys}",
        f"PidFile {folder}/pid",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        f"SetEnv XDG_CACHE_HOME={folder}/cache",
    )
    config = folder / "sshd_config"
    config.write_text("\n".join(lines) + "\n")
    # where it drops its privileges, if it is started by root
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    return config


def _client(folder, port):
    """The system's ssh with a configuration of its own, as a program of the same name."""
    config = folder / "ssh_config"
    lines = (
        "Host board",
        "  HostName 127.0.0.1",
        f"  Port {port}",
        f"  IdentityFile {folder}/user",
        "  IdentitiesOnly yes",
        "  StrictHostKeyChecking no",
        f"  UserKnownHostsFile {folder}/known_hosts",
        "  LogLevel ERROR",
    )
    config.write_text("\n".join(lines) + "\n")
    (folder / "bin").mkdir()
    program = folder / "bin" / "ssh"
    ssh = shlex.quote(shutil.which("ssh"))
    program.write_text(f'#!/bin/sh\nexec {ssh} -F {shlex.quote(str(config))} "$@"\n')
    program.chmod(0o755)


def _wait_for(port, process, log):
    for _ in range(100):
        if process.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text().strip()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip(f"sshd does not listen here: {log.read_text().strip()}")
