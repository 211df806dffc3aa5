"""Which CDI spec stays, why one is wrong, who renews it, who needs links, one key of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpurig.facts.container_toolkit.cdi import CdiSpecs, DriverOnHost, Spec, deadly
from gpurig.facts.container_toolkit.device_links import Links
from gpurig.facts.host.systemd import Unit
from gpurig.operations.container_toolkit.cdi import UNITS, stopped
from gpurig.operations.container_toolkit.cdi_plan import (
    KEPT,
    REFRESHED,
    Plan,
    faults,
    foreign,
    in_doubt,
    kept,
    of_gpus,
)
from gpurig.operations.container_toolkit.device_links import needed
from gpurig.operations.container_toolkit.toolkit import comments, with_key
from gpurig.operations.shared.systemd import lacking

DRIVER = DriverOnHost(
    version="550.163.01",
    libraries=["libnvidia-ml.so.550.163.01"],
    nodes=["/dev/nvidia0"],
    control=["/dev/nvidia-uvm", "/dev/nvidiactl"],
)


def _spec(path: str = KEPT, **differs: Any) -> Spec:
    right = Spec(
        path=path,
        version="0.5.0",
        kind="nvidia.com/gpu",
        devices=["0", "all"],
        nodes=["/dev/nvidia0"],
        control=["/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"],
        libraries=["libnvidia-ml.so.550.163.01"],
        missing=[],
        closed=[],
        deadly=False,
        cut=False,
    )
    return Spec(**{**right, **differs})  # type: ignore[typeddict-item]


def test_a_right_spec_has_no_fault() -> None:
    """Device, libraries and the device all: that is what containers need."""
    assert faults(_spec(), DRIVER, 1) == []


@pytest.mark.parametrize(
    "differs",
    [
        {"version": ""},
        {"missing": ["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.525.1"]},
        {"libraries": []},
        {"control": ["/dev/nvidiactl"]},
        {"nodes": ["/dev/nvidia0", "/dev/nvidia1"]},
        {"devices": ["0"]},
    ],
)
def test_each_fault_of_a_spec_is_told(differs: dict[str, Any]) -> None:
    """One thing wrong gives one sentence."""
    assert len(faults(_spec(**differs), DRIVER, 1)) == 1


def test_gpus_are_counted_only_when_there_is_doubt() -> None:
    """A spec is not called wrong for a number nobody asked the driver for."""
    assert faults(_spec(nodes=["/dev/nvidia0", "/dev/nvidia1"]), DRIVER, None) == []


RECORDED = Path(__file__).parent.parent / "data" / "recorded" / "toolkit"
WHOLE = (RECORDED / "spec-h100x2.yaml").read_text()
# What nvidia-ctk said over this spec, by the bytes that were left of it.
CUTS = json.loads((RECORDED / "cut-off.json").read_text())


def _read(path: str, text: str) -> Spec:
    """What the fact makes of this file."""
    ends = [] if text.endswith("\n") or not text else ["cut"]
    lines = [f"spec {path}", *ends, *(f"| {line}" for line in text.splitlines()), ""]
    (spec,) = CdiSpecs().parse(lines, 0)  # type: ignore[misc]
    return spec


@pytest.mark.parametrize(("size", "said"), CUTS.items())
def test_a_spec_that_was_cut_off_has_a_fault_and_kills_as_recorded(size: str, said: str) -> None:
    """None gives containers all that they need; deadly is the one on which nvidia-ctk crashed."""
    driver = DRIVER | {"nodes": ["/dev/nvidia0", "/dev/nvidia1"]}
    spec = _read(KEPT, WHOLE[: int(size)])

    assert faults(spec, driver, 2)
    assert spec["deadly"] is ("panic" in said)
    assert not faults(_read(KEPT, WHOLE), driver, 2)


MORE = "".join(
    f"        - hostPath: /usr/lib/{name}.so.550.163.01\n          containerPath: /usr/lib/{name}\n"
    "          options:\n            - ro\n            - nosuid\n            - nodev\n"
    "            - rbind\n            - rprivate\n"
    for name in ("libnvidia-opencl", "libnvidia-ptxjitcompiler")
)
SOCKET = MORE.partition("        - hostPath: /usr/lib/libnvidia-ptx")[0] + "            - noexec\n"
OTHER_ENDS = {"a library that programs need": MORE, "a mount with an option more": SOCKET + MORE}


@pytest.mark.parametrize("path", [KEPT, REFRESHED])
def test_wherever_a_spec_was_cut_off_it_has_a_fault(path: str) -> None:
    """In /etc and in /var/run, after any byte: also after the last library that a driver needs."""
    driver = DRIVER | {"nodes": ["/dev/nvidia0", "/dev/nvidia1"]}
    sizes = range(len(WHOLE))
    assert not [n for n in sizes if not faults(_read(path, WHOLE[:n]), driver, 2)]


@pytest.mark.parametrize("more", OTHER_ENDS.values(), ids=OTHER_ENDS)
def test_a_spec_cut_off_after_what_every_driver_has(more: str) -> None:
    """Only a spec that ends between two mounts looks whole; one that is whole is."""
    driver = DRIVER | {"nodes": ["/dev/nvidia0", "/dev/nvidia1"]}
    whole = WHOLE + more
    unseen = [
        n
        for n in range(len(WHOLE) + 1, len(whole) + 1)
        if not faults(_read(REFRESHED, whole[:n]), driver, 2)
    ]
    ends = [
        n for n in unseen if whole[n:].startswith(("        - hostPath", "            - noexec"))
    ]
    assert unseen == [*ends, len(whole)]
    assert not faults(_read("/etc/cdi/mine.yaml", whole[:-1]), driver, 2), "somebody's own"


EDITS = "devices:\n- name: a\n  containerEdits:\n    {}:\n"
ENTRIES = {
    "a device node, cut": (EDITS.format("deviceNodes") + "    -", True),
    "a mount, list not indented, more after it": (
        EDITS.format("mounts") + "    -\nkind: a/b",
        True,
    ),
    "a hook, between two": (EDITS.format("hooks") + "    - path: a\n    - \n    - path: b", True),
    "a hook, a comment below": (EDITS.format("hooks") + "      -\n        # none", True),
    "a network device": (EDITS.format("netDevices") + "      -", True),
    "an option": (EDITS.format("mounts") + "    - options:\n      -", False),
    "a variable": (EDITS.format("env") + "    -", False),
    "a device": ("devices:\n    -", False),
    "a map below its dash": (EDITS.format("mounts") + "    -\n      hostPath: /a", False),
    "the document's own dashes": ("---\n" + EDITS.format("mounts"), False),
}


@pytest.mark.parametrize(("text", "is_deadly"), ENTRIES.values(), ids=ENTRIES)
def test_an_empty_entry_kills_where_a_pointer_is_followed(text: str, is_deadly: bool) -> None:
    """Device nodes, hooks, mounts and network devices; text and whole devices are values."""
    assert deadly(text) is is_deadly


def test_a_file_that_cannot_be_read_is_named_unless_it_is_the_toolkits() -> None:
    """Under the toolkit's own names it is a spec that was cut off, and made new."""
    names = (KEPT, REFRESHED, "/etc/cdi/vendor.json")
    specs = [_read(name, text) for name in names for text in ("", WHOLE)]

    assert foreign(specs) == ["/etc/cdi/vendor.json"]


PLACES = {
    "none, no refresh": ([], False, KEPT),
    "none, refreshed": ([], True, REFRESHED),
    "in /etc": ([KEPT], False, KEPT),
    "in /etc under another name": (["/etc/cdi/gpus.yaml"], False, "/etc/cdi/gpus.yaml"),
    "in /run only": ([REFRESHED], False, KEPT),
    "in /run, refreshed": ([REFRESHED], True, REFRESHED),
    "in /etc, refresh would work": ([KEPT], True, KEPT),
    "both": ([KEPT, REFRESHED], False, KEPT),
    "both, refreshed": ([KEPT, REFRESHED], True, REFRESHED),
}


@pytest.mark.parametrize(("paths", "refreshes", "stays"), PLACES.values(), ids=PLACES)
def test_the_spec_that_lasts_is_the_one_that_stays(
    paths: list[str], refreshes: bool, stays: str
) -> None:
    """What a boot would take away or bring back decides which of two specs is kept."""
    specs = [_spec(path) for path in paths]

    assert kept(specs, specs, refreshes) == stays


RUNCS = {
    "Debian 12's": ("1.1.5+ds1", 252, "systemd", True),
    "Debian 13's": ("1.1.15+ds1", 257, "systemd", False),
    "the first that skips": ("1.1.3", 250, "systemd", True),
    "the last before": ("1.1.2", 250, "systemd", False),
    "mended": ("1.1.7", 249, "systemd", False),
    "mended, old systemd": ("1.1.7", 239, "systemd", True),
    "a newer minor": ("1.2.0-rc.1", 255, "systemd", False),
    "not by systemd": ("1.1.5", 252, "cgroupfs", False),
}


@pytest.mark.parametrize(("runc", "systemd", "driver", "needs"), RUNCS.values(), ids=RUNCS)
def test_only_some_runcs_need_links(runc: str, systemd: int, driver: str, needs: bool) -> None:
    """runc 1.1.3 to 1.1.6, or a systemd before 240, and only where systemd has the groups."""
    links = Links(runc=runc, systemd=systemd, cgroup_driver=driver, missing=[], rule="", unruled=[])

    assert needed(links) is needs


def _unit(load: str = "loaded", active: str = "inactive", enabled: str = "enabled") -> Unit:
    return Unit(load=load, active=active, enabled=enabled, invocation="", stale=False)


RIGHT = dict(zip(UNITS, (_unit(active="active"), _unit()), strict=True))
UNITS_FOUND: dict[str, tuple[dict[str, Unit], bool, int]] = {
    "right": ({}, True, 0),
    "failed": ({UNITS[1]: _unit(active="failed")}, True, 1),
    "failed, not possible": ({UNITS[1]: _unit(active="failed")}, False, 1),
    "disabled": ({UNITS[1]: _unit(enabled="disabled")}, True, 1),
    "disabled, not possible": ({UNITS[1]: _unit(enabled="disabled")}, False, 0),
    "path stopped": ({UNITS[0]: _unit()}, True, 1),
    "masked": ({UNITS[1]: _unit("masked", "failed", "masked")}, True, 0),
    "none": (dict.fromkeys(UNITS, _unit("not-found", enabled="")), True, 0),
}


@pytest.mark.parametrize(("differing", "possible", "wrong"), UNITS_FOUND.values(), ids=UNITS_FOUND)
def test_units_are_started_where_they_can_and_may_work(
    differing: dict[str, Unit], possible: bool, wrong: int
) -> None:
    """A failure always counts, a switch only where the unit would work, a mask never."""
    assert len(stopped(RIGHT | differing, possible)) == wrong


TOML = """# top
[a]
key = 1

[b] # mine
#mode = "x"
mode = "legacy"
other = 2
[b.c]
mode = 3
"""


def test_one_key_changes_and_every_other_line_stays() -> None:
    """Comments, other tables and keys of the same name are left."""
    assert with_key(TOML, "b", "mode", "auto") == TOML.replace('mode = "legacy"', 'mode = "auto"')


def test_a_key_that_is_missing_is_put_into_its_table() -> None:
    """A commented key is no key."""
    assert '[a]\nnew = "1"\nkey = 1' in with_key(TOML, "a", "new", "1")


def test_a_table_that_is_missing_is_added() -> None:
    """The new table comes last, so that it swallows no key."""
    assert with_key(TOML, "z", "k", "v") == TOML + '\n[z]\nk = "v"\n'


def test_the_users_comments_are_told_from_the_packages_own() -> None:
    """The file as the package makes it has none; a # in a string, or a commented key, is none."""
    as_made = (RECORDED / "config.toml").read_text()
    mine = as_made.replace("\nmode =", "\n# it's mine\nmode =").replace(
        '"info"', '"#info" # "more"'
    )

    assert comments(as_made) == []
    assert comments(mine) == ['# "more"', "# it's mine"]
    assert comments("#debug = 1\n#mode = 1\n") == ["#mode = 1"]


def test_a_mask_hides_nothing_else() -> None:
    """A masked unit is called masked, and not stopped as well."""
    unit = _unit("masked", "inactive", "masked")

    assert lacking({"docker.service": unit}) == ["docker.service is masked"]


def _plan(*specs: Spec, refreshes: bool = False) -> Plan:
    return Plan(specs, {one["path"]: faults(one, DRIVER, None) for one in specs}, refreshes)


def test_one_right_spec_needs_nothing() -> None:
    """Nothing is done, wherever it is kept."""
    assert _plan(_spec()).nothing
    assert _plan(_spec(REFRESHED), refreshes=True).nothing


@pytest.mark.parametrize(
    ("plan", "actual", "will"),
    [
        (_plan(), "no CDI spec of this host's GPUs", f"write {KEPT}"),
        (_plan(refreshes=True), "no CDI spec of this host's GPUs", f"write {REFRESHED}"),
        (_plan(_spec(devices=["0"])), f"{KEPT}: it lacks the device all", f"write {KEPT}"),
        (_plan(_spec(), _spec(REFRESHED)), f"more than one spec: {KEPT}, {REFRESHED};"
         f" {REFRESHED} does not survive a reboot", f"move {REFRESHED} aside"),
        (_plan(_spec(closed=["it is closed"])), "it is closed",
         "let every user read it and only root write it"),
        (_plan(_spec(REFRESHED)), f"{REFRESHED} does not survive a reboot",
         f"write {KEPT} and move {REFRESHED} aside"),
    ],
)  # fmt: skip
def test_a_plan_says_what_is_wrong_and_what_it_does(plan: Plan, actual: str, will: str) -> None:
    """Exactly one spec stays, where it outlives a boot."""
    assert not plan.nothing
    assert (plan.actual, plan.will) == (actual, will)


def test_specs_of_others_and_those_that_kill_are_not_judged() -> None:
    """What cannot be read counts only in the usual places, where it is one of ours, cut off."""
    ours, cut = _spec(), _spec(REFRESHED, kind="", version="")
    others = [_spec("/etc/cdi/mine.yaml", kind="x/y"), _spec("/etc/cdi/b.yaml", kind=""),
              _spec("/etc/cdi/c.yaml", deadly=True)]  # fmt: skip

    assert of_gpus([ours, cut, *others]) == [ours, cut]


def test_the_driver_is_asked_only_where_the_specs_do_not_say() -> None:
    """Device nodes outlive a GPU that is gone; without a spec there is nothing to go by."""
    assert in_doubt([], DRIVER)
    assert in_doubt([_spec(nodes=[])], DRIVER)
    assert not in_doubt([_spec()], DRIVER)
