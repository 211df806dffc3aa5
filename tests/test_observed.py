"""What the resolver reads survives its way through JSON, and people can read it."""

from __future__ import annotations

import ast
import json
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.errors import InputError
from gpurig.facts.host.disk import Disk
from gpurig.facts.host.proxies import Proxies
from gpurig.facts.registry import FACTS
from gpurig.report.facts import readable
from gpurig.stack import observed as module
from gpurig.stack import reading
from gpurig.stack.observed import Observed

DATA = Path(__file__).parent / "data" / "facts"


def saved(**machines: str) -> dict[str, Any]:
    """Facts as JSON, from the captured values of this machine unless another one is named."""
    return {
        key: json.loads(file.read_text())
        for key, fact in FACTS.items()
        for file in [DATA / fact.__name__ / f"{machines.get(key, 'debian-12-firecracker')}.json"]
        if file.exists()
    }


def test_observed_survives_json() -> None:
    """Reading what was written gives the same, ABSENT and Unknown included."""
    observed = reading.saved(saved(gpus="hgx-h100", secure_boot="docker-hides-firmware"))

    again = Observed.from_facts(json.loads(json.dumps(observed.as_json())))

    assert again == observed
    assert again.service_manager is ABSENT
    assert again.secure_boot == Unknown("the firmware is not visible from here")
    assert isinstance(again.gpus, list)
    assert len(again.gpus) == 8


def test_each_thing_the_resolver_reads_has_a_fact() -> None:
    """Every field of Observed is read on hosts, by the fact of its name."""
    assert {field.name for field in fields(Observed)} <= set(FACTS)


def test_each_field_is_of_its_fact_s_type() -> None:
    """What the resolver takes for a value is what the fact says that it gives."""
    tree = ast.parse(Path(module.__file__).read_text())
    (names,) = [node for node in tree.body if isinstance(node, ast.If)]  # if TYPE_CHECKING
    scope = dict(vars(module))
    exec(compile(ast.Module(names.body, []), module.__file__, "exec"), scope)
    found = get_type_hints(Observed, scope)
    assert found == {key: reading.expected(key) | Absent | Unknown for key in found}


def test_a_fact_that_is_not_given_is_unknown() -> None:
    """Nothing is concluded from silence: a missing key is neither ABSENT nor empty."""
    assert isinstance(Observed.from_facts({}).gpus, Unknown)


def test_facts_of_a_newer_version_can_be_read() -> None:
    """Facts and keys that this version does not know are passed over."""
    facts = saved() | {"colour": "green"}
    facts["os"] = facts["os"] | {"mood": "fine"}

    assert reading.saved(facts).os == facts["os"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("os", "Debian"),
        ("os", {"id": "debian"}),
        ("gpus", {"id": "10de:2330"}),
        ("gpus", [{"id": "10de:2330"}]),
        ("gpus", ["10de:2330"]),
        ("kernel", {"running": 6, "next": None, "installed": [], "headers": []}),
        ("secure_boot", "perhaps"),
        ("memory", {"total_bytes": True, "available_bytes": 1}),
        ("proxies", {"environment": ["http_proxy"]}),
        ("architecture", ["x86_64"]),
        ("virtualization", {"kind": "cloud", "name": ""}),
    ],
)
def test_a_value_of_another_shape_is_refused_by_name(key: str, value: object) -> None:
    """A hand-written fact that is wrong is one sentence that names it, before anything is done."""
    with pytest.raises(InputError, match=f"the fact {key} is not"):
        reading.saved(saved() | {key: value})


def test_readable_tells_every_fact_once_and_in_order() -> None:
    """Each fact that was read has its line, also when there is nothing or nothing is known."""
    facts = saved(
        gpus="hgx-h100",
        secure_boot="docker-hides-firmware",
        kernel="debian-13",
        disk="separate-boot-and-full-var",
        user="debian-13-sudo-asks",
        reboot_required="debian-13-new-kernel",
        proxies="apt-only",
    )

    lines = readable(facts)

    sections = list(dict.fromkeys(section for section, _ in lines))
    assert sections == [key.replace("_", " ") for key in FACTS if key in facts]
    assert ("os", "Debian GNU/Linux 12 (bookworm)") in lines
    assert ("kernel", "6.12.117+deb13-cloud-amd64 boots next, with headers") in lines
    assert ("secure boot", "unknown: the firmware is not visible from here") in lines
    assert ("service manager", "none (no systemd as PID 1)") in lines
    assert sum(section == "gpus" for section, _ in lines) == 8
    assert ("user", "bob (sudo asks for a password; groups bob, sudo)") in lines
    assert ("disk", "0 B free for /var, /var/lib/docker") in lines
    assert ("proxies", "Acquire::http::Proxy=http://10.77.0.1:3142 (apt)") in lines


def test_readable_takes_values_as_well_as_their_json() -> None:
    """What was just read and what was saved are told in the same words."""
    assert readable({"service_manager": ABSENT, "gpus": Unknown("no bus")}) == readable(
        {"service_manager": None, "gpus": {"unknown": "no bus"}}
    )


@pytest.mark.parametrize(
    "proxy",
    [
        "http://ada:canary@proxy:3128",
        "http://ada:can@ary@proxy:3128",
        "http://ada:c/canary@proxy:3128",
        "ada:canary@proxy:3128",
        "socks5h://canary@proxy:3128",
        '"http://ada:canary@proxy:3128"',
        "http://ada:canary\n@proxy:3128",
    ],
)
def test_no_password_of_a_proxy_leaves_the_host(proxy: str) -> None:
    """What the command prints already lacks the names and passwords."""
    ran = subprocess.run(
        ["sh", "-c", Proxies().command().get_raw_value()],
        env={"PATH": "/usr/bin:/bin", "https_proxy": proxy},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "canary" not in ran.stdout + ran.stderr
    assert "https_proxy" in ran.stdout


@pytest.mark.parametrize("path", ["/a b/c", "/x'y", "/$(exit 3)", "relative", "/"])
def test_room_is_told_of_any_path(path: str) -> None:
    """A path need not exist, and is data to the shell."""
    ran = subprocess.run(
        ["sh", "-c", Disk().command(venv_root=path).get_raw_value()],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    rooms = Disk().process(ran.stdout.removesuffix("\n").split("\n"))

    if path.startswith("/"):
        assert isinstance(rooms, list)
        assert path in [room["path"] for room in rooms]
    else:
        assert isinstance(rooms, Unknown)
