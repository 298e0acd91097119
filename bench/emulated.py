"""An ARM board that is emulated: its files are fetched into a folder, and a Python that runs there.

    python bench/emulated.py --folder /tmp/emulated

It needs apt of Debian or Ubuntu, no rights of root, and half a gigabyte. What it prints is a target
for any machine that ssh reaches and that sees the folder, such as this one. Outputs and accuracy
are those of the ARM kernels of the runtime; latencies mean nothing and are labelled so.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

#: Debian 13: the emulator of Debian 12 does not run newer runtimes.
_RELEASE = "trixie"
_MIRROR = "http://deb.debian.org/debian"
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: The Python of that release, and the tags of its wheels.
_PYTHON = "3.13"
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64")
_PROCESSOR = "cortex-a72"


@dataclass(frozen=True)
class Emulated:
    """Fetch an emulator, a Python for ARM and a runtime for it; what is there is not fetched again.

    Attributes:
        folder: Where all of it goes.
        packages: What pip installs there.
    """

    folder: Path
    packages: tuple[str, ...] = ("onnxruntime", "numpy")

    def run(self) -> None:
        """Print the target."""
        folder = self.folder.resolve()
        emulator = folder / "emulator/usr/bin/qemu-aarch64"
        if not emulator.exists():
            _fetch("amd64", ["qemu-user"], folder, folder / "emulator", alone=True)

        root = folder / "root"
        if not (root / f"usr/bin/python{_PYTHON}").exists():
            _fetch("arm64", [f"python{_PYTHON}", "libstdc++6"], folder, root)

        site = folder / "site"
        if not site.exists():
            _install(self.packages, site)

        program = _start(folder, emulator, root, site)
        print(f"--target ssh:HOST,python={program}")


def _fetch(
    architecture: str, packages: Sequence[str], folder: Path, into: Path, *, alone: bool = False
) -> None:
    """Unpack packages and, unless they are wanted ``alone``, all that they depend on."""
    apt = _apt(architecture, folder / f"apt-{architecture}")
    _run([*apt, "update"])
    archives = folder / f"apt-{architecture}/archives"
    if alone:
        _run([*apt, "download", *packages], cwd=archives)
    else:
        words = ["install", "--download-only", "--no-install-recommends", "--yes"]
        _run([*apt, *words, *packages])

    into.mkdir(parents=True, exist_ok=True)
    # links of Debian's merged folders; what is unpacked later goes through them
    for name in ("bin", "lib", "sbin"):
        (into / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (into / name).exists():
            (into / name).symlink_to(f"usr/{name}")
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "--fsys-tarfile", str(archive)], into=into)


def _apt(architecture: str, folder: Path) -> list[str]:
    """apt-get with a configuration of its own: nothing of this machine is read or changed."""
    for name in ("state/lists/partial", "archives/partial", "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    sources = folder / "etc/sources.list"
    sources.write_text(f"deb [signed-by={_KEYS}] {_MIRROR} {_RELEASE} main\n")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Debug::NoLocking": "true",
    }
    words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return ["apt-get", "-qq", *words]


def _install(packages: Sequence[str], site: Path) -> None:
    """Wheels for ARM, as they are."""
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
    chosen = ["--only-binary", ":all:", "--python-version", _PYTHON, "--no-compile"]
    _run([*pip, *chosen, *platforms, *packages])


def _start(folder: Path, emulator: Path, root: Path, site: Path) -> Path:
    """A program that is Python, as far as whoever starts it can tell."""
    program = folder / "python"
    python = root / f"usr/bin/python{_PYTHON}"
    words = [str(emulator), "-cpu", _PROCESSOR, "-L", str(root), str(python)]
    lines = (
        "#!/bin/sh",
        f"export PYTHONPATH={shlex.quote(str(site))} PYTHONHOME={shlex.quote(str(root / 'usr'))}",
        f'exec {shlex.join(words)} "$@"',
    )
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    return program


def _run(words: Sequence[str], cwd: Path | None = None, into: Path | None = None) -> None:
    """A command; what it prints as an archive is unpacked ``into`` a folder."""
    if into is None:
        subprocess.run(words, cwd=cwd, check=True)
        return
    packed = subprocess.run(words, check=True, capture_output=True)
    unpack = ["tar", "--extract", "--keep-directory-symlink", "--directory", str(into)]
    subprocess.run(unpack, input=packed.stdout, check=True)


if __name__ == "__main__":
    tyro.cli(Emulated).run()
