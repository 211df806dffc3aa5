"""A folder of environments with a blank and a command in its name is that folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from gpurig.operations.environments import environment, jupyter, leftovers, uv
from gpurig.operations.shared import packages
from gpurig.wheels.locks import Lock
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold
from .small_lock import small_lock

pytestmark = pytest.mark.lab

ROOT = "/srv/my venvs) ;touch canary & # * (é"
PATH = f"{ROOT}/small"

passes: Passes
lock: Lock
downloads: uv.Downloads


def deployed() -> None:
    """What is done in the folder of environments."""
    options: dict[str, Any] = {"title": "small", "path": PATH, "lock": lock, "downloads": downloads}
    packages.packages(promise="environments.packages", packages=environment.PACKAGES)
    uv.tools(downloads=downloads)
    environment.interpreter(python="3.13", **options)
    environment.packages(**options)
    leftovers.leftovers(root=ROOT, wanted=("small",), prune=True)
    jupyter.kernels(venv_root=ROOT, wanted={"small": jupyter.spec("small", PATH, "jax")})


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot) -> Iterator[None]:
    """A bare host, brought about and repaired after each kind of drift."""
    global passes, lock, downloads
    lock = small_lock(lab, "six==1.17.0", "idna")
    downloads = uv.Downloads(lab.index_url)
    passes = Passes.over(boot("trixie", "quo13"))
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    folder = shlex.quote(PATH)
    for drift in (
        f"rm {folder}/lib/python3.13/site-packages/six.py",
        f"rm {folder}/bin/python",
        f"cp -a {folder} {folder}er && touch /srv/untouched",
    ):
        passes.shell(drift)
        assert all_hold(passes.up(deployed)), drift
    yield
    passes.link.close()


def test_the_folder_is_where_it_was_named_and_nothing_is_elsewhere() -> None:
    """Nothing of its name is split, expanded or run, by whichever shell it went through."""
    assert passes.shell("ls -1A /srv").splitlines() == [ROOT.rpartition("/")[2], "untouched"]
    found = passes.shell(f"ls -1A {shlex.quote(ROOT)}").split()
    assert found == [".gpurig", "small"]
    assert not passes.shell("find / -xdev -name '*canary*' ! -path '/srv/*'")
    assert not passes.shell("find /root / -maxdepth 1 -newer /etc/machine-id -name '*my*'")


def test_its_programs_run_where_it_lies() -> None:
    """By their first line, which virtualenv and uv wrote, and after it was activated."""
    folder = shlex.quote(PATH)
    assert passes.shell(f"cd /tmp && {folder}/bin/pip --version").startswith("pip ")
    assert passes.shell(f"cd /tmp && . {folder}/bin/activate && python -c 'import idna, six'") == ""
    assert passes.shell("ls /tmp | grep -c canary || :").strip() == "0"
