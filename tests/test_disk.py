"""Room is looked at before anything is changed, and only for what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.values import ABSENT, Unknown
from gpurig.engine import disk
from gpurig.errors import HostError
from gpurig.settings.table import Settings
from gpurig.stack.model import Environment, Image, Stack
from gpurig.stack.observed import Observed

ENVIRONMENT = Environment(
    "tensorflow", "tensorflow", None, "2.21.0", "3.13", "cpu", (), "lock", gigabytes=1.9
)
STACK = Stack("debian 13", "x86_64", environments=(ENVIRONMENT,))
MISSING = [
    Finding("environment.tensorflow.interpreter", Verdict.DRIFTED),
    Finding("docker.packages", Verdict.DRIFTED),
]


def _observed(*rooms: tuple[str, str, float]) -> Observed:
    names = Observed.__dataclass_fields__
    values: dict[str, Any] = dict.fromkeys(names, ABSENT)
    values["disk"] = [
        {"path": path, "mount": mount, "free_bytes": int(free * disk.GB), "free_inodes": None}
        for path, mount, free in rooms
    ]
    return Observed(**values)


def test_folders_of_one_file_system_share_its_room() -> None:
    """2.2 GB would do for each alone and do not for both."""
    rooms = _observed(("/", "/", 2.2), ("/var", "/", 2.2), ("/opt/gpurig/venvs", "/", 2.2))
    with pytest.raises(HostError, match=r"2\.4 GB are needed"):
        disk.check("h", STACK, Settings(), rooms, MISSING)


def test_folders_of_two_file_systems_do_not() -> None:
    """Each is compared with its own."""
    rooms = _observed(("/", "/", 2.2), ("/var", "/var", 0.6), ("/opt/gpurig/venvs", "/", 2.2))
    disk.check("h", STACK, Settings(), rooms, MISSING)


def test_a_host_that_is_right_needs_no_room() -> None:
    """A full disk does not stop a run that installs nothing."""
    rooms = _observed(("/", "/", 0.0))
    disk.check("h", STACK, Settings(), rooms, [Finding("docker.packages", Verdict.HOLDS)])


def test_a_folder_that_is_not_there_yet_counts_for_its_file_system() -> None:
    """rig_venv_root may name a place that will be made."""
    rooms = _observed(("/", "/", 9.0), ("/x", "/data", 1.0))
    with pytest.raises(HostError, match=r"/data has 1\.0 GB free"):
        disk.check("h", STACK, Settings(venv_root="/data/venvs"), rooms, MISSING[:1])


def test_inodes_are_looked_at_as_well() -> None:
    """A file system with room and without inodes takes no environment."""
    few = _observed(("/", "/", 9.0))
    assert isinstance(few.disk, list)
    few.disk[0]["free_inodes"] = 1000
    with pytest.raises(HostError, match=r"/ has 1000 inodes free and 41000 are needed"):
        disk.check("h", STACK, Settings(), few, MISSING[:1])
    few.disk[0]["free_inodes"] = disk.FILES
    disk.check("h", STACK, Settings(), few, MISSING[:1])


def test_what_is_needed_goes_by_what_the_plan_misses() -> None:
    """Drifted and waiting count; what holds, is due, is left out or unknown does not."""
    ids = ("environment.tensorflow.interpreter", "driver.packages", "docker.packages")
    for verdict in Verdict:
        plan = [Finding(id, verdict) for id in ids]
        wanted = {"/opt/gpurig/venvs": 1.9 * disk.GB, "/var": 2.0 * disk.GB}
        missing = verdict in (Verdict.DRIFTED, Verdict.FOLLOWS)
        assert disk.needed(STACK, Settings(), plan) == (wanted if missing else {})


def test_environments_in_one_folder_are_added_up() -> None:
    """Each takes its own room, one with CUDA's libraries the most."""
    second = replace(ENVIRONMENT, name="other", accelerator="cuda", gigabytes=6.6)
    stack = replace(STACK, environments=(ENVIRONMENT, second))
    plan = [
        Finding(f"environment.{name}.interpreter", Verdict.DRIFTED)
        for name in ("tensorflow", "other")
    ]
    assert disk.needed(stack, Settings(), plan) == {"/opt/gpurig/venvs": 8.5 * disk.GB}


def test_images_go_where_docker_keeps_them() -> None:
    """An image that is to be built takes at least what its environment would."""
    stack = Stack("debian 13", "x86_64", images=(Image("tensorflow", None, "b", ENVIRONMENT),))
    plan = [Finding("images.tensorflow", Verdict.FOLLOWS)]
    assert disk.needed(stack, Settings(), plan) == {disk.DOCKER_ROOT: 1.9 * disk.GB}
    assert not disk.needed(stack, Settings(), [Finding("images.tensorflow", Verdict.HOLDS)])


def test_a_mount_point_is_not_a_beginning_of_a_name() -> None:
    """/data is not where /database lies."""
    rooms = _observed(("/", "/", 9.0), ("/x", "/data", 0.1))
    disk.check("h", STACK, Settings(venv_root="/database/venvs"), rooms, MISSING[:1])


def test_the_sentence_says_what_where_and_what_to_do() -> None:
    """One line, with the host's name."""
    with pytest.raises(HostError) as error:
        disk.check("gpu01", STACK, Settings(), _observed(("/", "/", 0.5)), MISSING[:1])
    assert str(error.value) == (
        "gpu01: / has 0.5 GB free and 1.9 GB are needed;"
        " free disk space, or set rig_venv_root to another folder"
    )
    assert (error.value.code, error.value.host) == ("disk-full", "gpu01")


def test_what_could_not_be_read_stops_nothing() -> None:
    """A host whose df gives nothing is not told that it is full."""
    unread = replace(_observed(), disk=Unknown("df is not there"))
    disk.check("h", STACK, Settings(), unread, MISSING)
    disk.check("h", STACK, Settings(), _observed(), MISSING)
