"""Several environments of one booted Debian 13: cut off, left over, handed over, in Jupyter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpurig.contract.finding import Verdict
from gpurig.errors import GpurigError
from gpurig.facts.environments.jupyter import KERNELS
from gpurig.operations.environments import environment, jupyter, leftovers, uv, uv_python
from gpurig.operations.environments.building import CHANGING
from gpurig.operations.shared import packages
from gpurig.wheels.cache import Shelf
from gpurig.wheels.locks import Lock
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold
from .small_lock import small_lock

pytestmark = pytest.mark.lab

ROOT = "/opt/gpurig/venvs"
OLDER, NEWER = ("six==1.16.0", "idna==3.9", "packaging"), ("six==1.17.0", "idna==3.10", "packaging")

passes: Passes
downloads: uv.Downloads
wanted: dict[str, Lock]
locks: dict[tuple[str, ...], Lock]
prune = False
notebooks: tuple[str, ...] = ()


def deployed() -> None:
    """The operations of deploy/environments.py."""
    packages.packages(promise="environments.packages", packages=environment.PACKAGES)
    uv.tools(downloads=downloads)
    for name, lock in wanted.items():
        path = f"{ROOT}/{name}"
        environment.interpreter(
            title=name, path=path, python="3.13", lock=lock, downloads=downloads
        )
        environment.packages(title=name, path=path, lock=lock, downloads=downloads)
    leftovers.leftovers(root=ROOT, wanted=tuple(wanted), prune=prune)
    specs = {name: jupyter.spec(name, f"{ROOT}/{name}", "torch") for name in notebooks}
    jupyter.kernels(venv_root=ROOT, wanted=specs)


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A host with two environments."""
    global passes, downloads, wanted, locks
    locks = {pins: small_lock(lab, *pins) for pins in (OLDER, NEWER)}
    downloads = uv.Downloads(lab.index_url)
    wanted = {"one": locks[OLDER], "two": locks[OLDER]}
    passes = Passes.over(boot("trixie", "envs13"))
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    yield
    passes.link.close()


KILLED = {
    "virtualenv has begun": ("broken", f"[ -e {ROOT}/.gpurig/one.new/pyvenv.cfg ]"),
    "wheels are unpacked": ("broken", f"[ -e {ROOT}/.gpurig/cache ]"),
    "packages are linked": ("broken", f"ls {ROOT}/.gpurig/one.new/lib/*/site-packages/six.py"),
    "an upgrade has begun": ("upgraded", f"[ -e {ROOT}/one/{CHANGING} ]"),
    "an upgrade takes out": ("upgraded", f"! ls {ROOT}/one/lib/*/site-packages/six-1.16.0.*"),
}


@pytest.mark.parametrize("point", KILLED)
def test_killed_anywhere_the_next_run_converges(point: str) -> None:
    """What was built or changed when everything on the host was killed is whole after one run."""
    how, condition = KILLED[point]
    wanted["one"] = locks[OLDER]
    assert all_hold(passes.up(deployed))
    if how == "broken":
        passes.shell(f"rm {ROOT}/one/bin/python")
    else:
        wanted["one"] = locks[NEWER]
    passes.host.write(
        "/root/kill",
        f"until {condition}; do :; done >/dev/null 2>&1\n"
        "pkill -KILL -f '[e]nvironment.build'; pkill -KILL -x uv; pkill -KILL -f '[v]irtualenv'\n",
    )
    passes.shell("systemd-run --quiet --collect --unit=kill sh /root/kill")
    with pytest.raises(GpurigError):
        passes.link.apply(deployed)
    assert all_hold(passes.up(deployed))
    passes.shell("systemctl stop kill.service 2>/dev/null || true")
    passes.shell(f"{ROOT}/one/bin/python -c 'import six, idna, packaging'")
    assert passes.shell(f"ls -A {ROOT} {ROOT}/.gpurig").split() == [
        f"{ROOT}:", ".gpurig", "one", "two", f"{ROOT}/.gpurig:", "lock",
    ]  # fmt: skip


def test_a_host_without_an_index_gets_its_wheels_from_the_control_machine(
    lab: Lab, tmp_path: Path
) -> None:
    """uv and the environment from bare, then a package that is damaged; no wheel stays there."""
    global downloads
    usual, wanted["one"] = downloads, locks[OLDER]
    nowhere = "http://10.77.0.1:9/simple/"
    downloads = uv.Downloads(nowhere, shelf=Shelf(tmp_path, "x86_64", lab.index_url))
    try:
        passes.shell(f"rm -r {uv.TOOLS} {ROOT}/one")
        assert all_hold(passes.up(deployed))
        passes.shell(f"rm {ROOT}/one/lib/python3.13/site-packages/six.py")
        assert all_hold(passes.up(deployed))
    finally:
        downloads = usual
    assert list(tmp_path.rglob("six-1.16.0-*.whl"))
    passes.shell(f"{ROOT}/one/bin/python -c 'import six, idna, packaging'; test ! -e {uv.WHEELS}")


def _bytes(*names: str) -> str:
    """A hash of every file, mode and link of these environments."""
    folders = " ".join(f"{ROOT}/{name}" for name in names)
    return passes.shell(
        f"find {folders} -printf '%p %m %u %l\\n' | sort; find {folders} -type f -print0 | sort -z"
        " | xargs -0 sha256sum"
    )


def test_what_is_not_wanted_stays_until_it_is_asked_away() -> None:
    """Named with its size; --prune deletes it, and nothing else: not even what looks alike."""
    global prune
    wanted["one"] = locks[OLDER]
    assert all_hold(passes.up(deployed))
    passes.shell(
        f"virtualenv -q {ROOT}/mine; mkdir -p {ROOT}/notes; cp -a {ROOT}/two /root/theirs;"
        f" cp -a {ROOT}/two {ROOT}/two.gpurig-old"
    )
    before, theirs = (
        _bytes("one", "mine", "notes", "two.gpurig-old"),
        _bytes("../../../root/theirs"),
    )
    two = wanted.pop("two")
    gone = _bytes("two")
    found = passes.up(deployed)
    assert all_hold(found), "it is no drift"
    assert "`up --prune` can delete two (" in found["environments.leftovers"].reason
    assert "mine" not in found["environments.leftovers"].reason
    assert _bytes("two") == gone
    prune = True
    try:
        assert passes.plan(deployed)["environments.leftovers"].verdict is Verdict.DRIFTED
        assert all_hold(passes.up(deployed))
    finally:
        prune = False
    passes.shell(f"test ! -e {ROOT}/two")
    assert _bytes("one", "mine", "notes", "two.gpurig-old") == before
    assert _bytes("../../../root/theirs") == theirs
    passes.shell(f"rm -r {ROOT}/two.gpurig-old")
    wanted["two"] = two
    assert all_hold(passes.up(deployed))


def test_conda_and_the_system_s_python_are_never_touched() -> None:
    """Making an environment changes nothing but gpurig's own folder, with conda before the rest."""
    passes.shell(
        "mkdir -p /opt/conda/bin && printf '#!/bin/sh\\necho conda\\n' > /opt/conda/bin/python3 &&"
        " chmod 755 /opt/conda/bin/python3 && cp /opt/conda/bin/python3 /usr/local/bin/python3"
    )  # /usr/local/bin comes first on PATH, also without a login
    everything = (
        "cd /; find . -xdev -newer /root/since ! -type d ! -path './opt/gpurig/*'"
        " ! -path './proc/*' ! -path './run/*' ! -path './sys/*' ! -path './tmp/*'"
        " ! -path './var/log/*' ! -path './var/lib/gpurig/*'"
    )
    passes.shell(f"rm {ROOT}/one/bin/python; sleep 0.1; touch /root/since")
    try:
        assert all_hold(passes.up(deployed))
        assert passes.shell(everything) == ""
    finally:
        passes.shell("rm -r /opt/conda /usr/local/bin/python3")


KERNEL = f"{KERNELS}/gpurig-notebook/kernel.json"
COMPUTED = """
from jupyter_client.manager import start_new_kernel
kernel, client = start_new_kernel(kernel_name="gpurig-notebook")
code = "import os, sys; print(6 * 7, sys.prefix, *map(os.environ.get, ['KERAS_BACKEND', 'MINE']))"
client.execute_interactive(code, timeout=60)
kernel.shutdown_kernel(now=True)
"""
WRONG = {
    "nothing": "rm KERNEL",
    "half a file": "truncate -s 0 KERNEL",
    "another Python": "sed -i s,/opt/gpurig/venvs/notebook,/usr, KERNEL",
    "its folder": "rm -r $(dirname KERNEL)",
}


def test_a_kernel_of_each_environment_computes_in_it(lab: Lab) -> None:
    """For any user, by its name; each drift is repaired; what others put there stays."""
    global notebooks
    theirs = f"{KERNELS}/gpurig-theirs/kernel.json"
    passes.host.write(theirs, '{"argv": ["x"], "display_name": "theirs", "language": "R"}')
    wanted["notebook"] = small_lock(lab, "ipykernel")
    notebooks = ("notebook",)
    assert all_hold(passes.up(deployed))
    for wrong in WRONG.values():
        passes.repaired(deployed, wrong.replace("KERNEL", KERNEL), {"environments.kernels"})
    spec = json.loads(passes.host.read(KERNEL))
    spec["env"]["MINE"] = "stays"
    passes.host.write(KERNEL, json.dumps(spec))
    assert all_hold(passes.plan(deployed))
    passes.host.write("/opt/computed.py", COMPUTED)
    told = passes.shell(
        f"useradd -m ada; runuser -l ada -c '{ROOT}/notebook/bin/python /opt/computed.py'"
    )
    assert told.split() == ["42", f"{ROOT}/notebook", "torch", "stays"]
    assert "gpurig-notebook" in passes.shell(f"{ROOT}/notebook/bin/jupyter-kernelspec list")
    notebooks = ()
    assert all_hold(passes.up(deployed, {"environments.kernels"}))
    assert passes.shell(f"ls {KERNELS}").split() == ["gpurig-theirs"]
    notebooks = ("theirs",)
    assert passes.plan(deployed)["environments.kernels"].verdict is Verdict.UNKNOWN
    notebooks = ()


BUILD = "cpython-3.13.5+20251101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
MIRROR = (
    f"name={BUILD}"
    + """
mkdir -p /srv/mirror/20251101 /srv/python/bin /srv/python/lib
cp /usr/bin/python3.13 /srv/python/bin/ && cp -rL /usr/lib/python3.13 /srv/python/lib/
for n in python python3; do ln -sf python3.13 /srv/python/bin/$n; done
tar czf /srv/mirror/20251101/$name -C /srv python
sum=$(sha256sum /srv/mirror/20251101/$name); sum=${sum%% *}
url=https://github.com/astral-sh/python-build-standalone/releases/download/20251101
cat > /srv/list.json <<END
{"cpython-3.13.5-linux-x86_64-gnu": {"name": "cpython", "os": "linux", "libc": "gnu",
 "arch": {"family": "x86_64", "variant": null}, "major": 3, "minor": 13, "patch": 5,
 "prerelease": "", "variant": null, "build": "20251101", "sha256": "$sum",
 "url": "$url/$(echo $name | sed s/+/%2B/)"}}
END
echo UV_PYTHON_DOWNLOADS_JSON_URL=/srv/list.json >> /etc/environment
"""
)


def test_uv_s_python_from_a_mirror() -> None:
    """
    Verified by the SHA256 of uv's list; an environment made from it is one like the others.

    The builds of python-build-standalone cannot be had in the lab: the mirror holds Debian's own
    Python under the name of one, and uv is given a list that says so.
    """
    mirror, lock, path = "file:///srv/mirror", locks[OLDER], f"{ROOT}/other"
    executable = uv_python.executable("3.13", "x86_64")

    def with_python() -> None:
        uv_python.uv_python(
            python="3.13", architecture="x86_64", mirror=mirror, downloads=downloads
        )
        environment.interpreter(
            title="other", path=path, python="3.13", lock=lock, downloads=downloads,
            executable=executable,
        )  # fmt: skip
        environment.packages(title="other", path=path, lock=lock, downloads=downloads)

    passes.shell(MIRROR)
    passes.link.reopen()  # /etc/environment is read at login
    archive = f"/srv/mirror/20251101/{BUILD}"
    passes.shell(f"cp {archive} /srv/whole && truncate -s -1 {archive} && printf x >> {archive}")
    with pytest.raises(GpurigError, match=r"install it in .*pythons"):
        passes.link.apply(with_python)
    passes.shell(f"test ! -e {executable} && mv /srv/whole {archive}")
    assert all_hold(passes.up(with_python))
    assert all_hold(passes.up(with_python)), "again: nothing to do"
    assert passes.shell(f"realpath {path}/bin/python").startswith(uv_python.PYTHONS)
    passes.shell(f"{path}/bin/python -c 'import six, idna, packaging'")
    passes.shell(f"rm {executable}")
    assert passes.drifted(with_python) >= {"environments.python-3.13"}
    assert all_hold(passes.up(with_python))
    assert not passes.shell(f"find {uv_python.PYTHONS} -perm /022 ! -type l")
    passes.shell(f"mv {archive} /srv/whole; chmod 700 $(dirname {executable})")
    assert passes.drifted(with_python) == {"environments.python-3.13"}
    assert all_hold(passes.up(with_python)), "by its modes alone: the mirror has it no more"
    passes.shell(f"mv /srv/whole {archive}; runuser -u nobody -- {path}/bin/python -c 'import six'")
    passes.shell("test ! -e /root/.local/bin")
