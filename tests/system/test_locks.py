"""Locks in a lab: PyTorch's build for the CPU from a mirror, what is installed holds, upgrades."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lab.lab import Lab
from lab.plugin import Boot
from system.killing import LEFT, up_to, wheels
from system.person import Person, settings

pytestmark = pytest.mark.lab

BRIDGE = "10.77.0.1"
SITE = "/opt/gpurig/venvs/pytorch/lib/python3.13/site-packages"


@pytest.fixture(scope="module")
def mirror(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mirror of PyTorch's wheels for the CPU, on the lab's bridge: two releases, nearly empty."""
    root = tmp_path_factory.mktemp("whl")
    folder = root / "whl" / "cpu" / "torch"
    folder.mkdir(parents=True)
    for version in ("2.14.1+cpu", "2.15.0+cpu"):
        _wheel(folder, "torch", version)
    handler = partial(SimpleHTTPRequestHandler, directory=str(root))
    with ThreadingHTTPServer((BRIDGE, 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{BRIDGE}:{server.server_port}/whl"
        server.shutdown()


def _wheel(folder: Path, name: str, version: str) -> None:
    about = f"{name}-{version}.dist-info"
    content = {
        f"{name}/__init__.py": f"__version__ = {version!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,{len(text)}\n" for path, text in content.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in (content | {f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}).items():
            wheel.writestr(path, text)


def test_what_is_installed_holds_until_an_upgrade(
    boot: Boot, lab: Lab, person: Person, mirror: str
) -> None:
    """
    By the lock beside the inventory, from two indexes at once; a second run changes nothing.

    A build that is killed is waited for and made again by the first run after it.
    """
    host = boot("trixie", "cpu13")
    (person.home / "locks").mkdir()
    about = settings(lab) | {"rig_components": ["environments"]}
    about["rig_repositories"] |= {"pytorch": {"url": mirror}}

    def inventory(wish: str) -> Path:
        data: dict[str, Any] = about | {"rig_frameworks": [wish]}
        return person.inventory({host.name: host.ssh_data()}, **data)

    def run(*words: str, wish: str = "pytorch", code: int = 0) -> dict[str, Any]:
        answer = person.gpurig(*words, inventory(wish), "--json")
        assert answer.code == code, answer.problems
        assert not answer.host(host.name)["warnings"]
        return answer.host(host.name)

    def torch() -> str:
        return str(host.ssh(f"ls {SITE} | grep ^torch-")[1].strip())

    def kept() -> list[str]:
        return sorted(file.name for file in (person.home / "locks").iterdir())

    unproven = 4  # of `--prove never`: right, and not proven
    with up_to(host, person, inventory("pytorch==2.14.1"), wheels, 3):
        pass
    run("up", "--prove", "never", wish="pytorch==2.14.1", code=unproven)
    assert not host.run(LEFT, check=False).stdout
    assert torch() == "torch-2.14.1+cpu.dist-info"
    assert host.ssh(f"ls {SITE} | grep -c ^nvidia")[1].strip() == "0"
    older = ["pytorch-2.14.1-py3.13-x86_64-cpu-cpu.txt"]
    assert kept() == older, "beside the inventory, which has a place for it"

    run("plan", code=unproven)  # there is a newer release, and what is installed holds
    drifted = run("plan", "--upgrade", code=3)["plan"]
    assert {f["id"] for f in drifted if f["verdict"] == "drifted"} == {
        "environment.pytorch.packages"
    }
    assert kept() == older, "a plan keeps no lock"
    run("up", "--upgrade", "--prove", "never", code=unproven)
    assert torch() == "torch-2.15.0+cpu.dist-info"
    assert len(kept()) == 2
    run("plan", code=unproven)
