"""What training needs, on a booted Debian 13: the user, programs, archives, the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpurig.contract.finding import Verdict
from gpurig.errors import HostError
from gpurig.facts.workloads import FOLDER
from gpurig.operations import workloads
from gpurig.settings.programs import OwnProgram
from gpurig.wheels import datasets
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

IMAGES = "t10k-images-idx3-ubyte.gz"

passes: Passes
mirror: str
program: Path


def deployed() -> None:
    """The operations of deploy/workloads.py."""
    workloads.user(user="gpurig")
    workloads.programs()
    workloads.data(user="gpurig")
    workloads.archives(user="gpurig", mirror=mirror)
    workloads.own(programs=(OwnProgram(str(program), "tensorflow"),))


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bare host that one run brings about, from a control machine that has nothing yet."""
    global passes, mirror, program
    folder = tmp_path_factory.mktemp("control")
    mirror, program = lab.mnist_url, folder / "train.py"
    program.write_text("print('mine')\n")
    passes = Passes.over(boot("trixie", "train13"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        assert passes.plan(deployed)["workloads.archives"].verdict is Verdict.FOLLOWS
        assert all_hold(passes.up(deployed)), "one run converges from bare"
        assert all_hold(passes.up(deployed)), "again: nothing to do"
        yield
    passes.link.close()


DRIFTS = {
    "an archive is cut off": (f"truncate -s 1000 {FOLDER}/{IMAGES}", "archives",
                              f"{IMAGES} is truncated or changed"),
    "an archive is a web page": (f"echo '<html>' > {FOLDER}/{IMAGES}", "archives",
                                 f"{IMAGES} is a web page"),
    "an archive is gone, of a folder of root's": (
        f"rm {FOLDER}/{IMAGES}; chown -R root {FOLDER}", "archives", f"{IMAGES} is missing"),
    "its user cannot read one": (
        f"chown root {FOLDER}/{IMAGES}; chmod 600 {FOLDER}/{IMAGES}", "archives",
        f"{IMAGES} cannot be read by the user of the workloads"),
    "its user cannot enter their folder": (
        f"chown root {FOLDER}; chmod 700 {FOLDER}", "archives",
        f"{IMAGES} cannot be read by the user of the workloads"),
    "a program is nobody's to read": (
        f"chmod 600 {workloads.OWN}/train.py", "own",
        "train.py has owner root, mode 600, wanted root and 644"),
    "all archives are gone": (f"rm -r {FOLDER}", "archives", "no archives"),
    "a program is edited": (f"echo pass > {workloads.OWN}/train.py", "own", "train.py differs"),
    "a program is gone": (f"rm -r {workloads.OWN}", "own", "train.py is missing"),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str) -> None:
    """The plan names the promise and what is wrong; one run repairs it; the user's files stay."""
    script, promise, actual = DRIFTS[drift]
    passes.shell(f"echo mine > {workloads.OWN}/../own.txt; {script}")
    found = passes.plan(deployed)
    drifted = {name for name, one in found.items() if one.verdict is Verdict.DRIFTED}
    assert drifted == {f"workloads.{promise}"}
    assert actual in found[f"workloads.{promise}"].actual
    assert all_hold(passes.up(deployed))
    assert passes.shell(f"stat -c %U {FOLDER}/{IMAGES}").strip() == "gpurig"
    assert passes.shell("cat /opt/gpurig/workloads/own.txt") == "mine\n"


def test_a_program_that_changed_here_is_written_anew() -> None:
    """What is no longer the same as on the control machine is a drift; other files stay."""
    passes.shell(f"echo other > {workloads.OWN}/other.py")
    program.write_text("print('mine, changed')\n")
    assert all_hold(passes.up(deployed, {"workloads.own"}))
    assert passes.shell(f"cat {workloads.OWN}/train.py") == program.read_text()
    assert passes.shell(f"cat {workloads.OWN}/other.py") == "other\n"


def test_archives_that_cannot_be_had_are_said_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mirror that answers, nothing kept: neither an error nor a drift that stays for ever."""
    passes.shell(f"rm -r {FOLDER}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(datasets._unreached, mirror, "it does not answer")
    found = passes.plan(deployed)["workloads.archives"]
    assert found.verdict is Verdict.LEFT_OUT
    assert (
        "no archives; it does not answer. The programs look for the archives themselves"
        in found.reason
    )
    monkeypatch.undo()
    assert all_hold(passes.up(deployed))


def test_root_follows_no_link_of_the_users() -> None:
    """Where the user put a link to root's files in the folder's place, nothing is written there."""
    passes.shell(f"mkdir -p /root/kept && rm -r {FOLDER} && ln -s /root/kept {FOLDER}")
    with pytest.raises(HostError, match="copy 4 archives"):
        passes.up(deployed)
    assert passes.shell("ls -A /root/kept /run/gpurig-run.* 2>/dev/null || :").split() == [
        "/root/kept:"
    ]
    passes.shell(f"rm {FOLDER}")
    assert all_hold(passes.up(deployed))
