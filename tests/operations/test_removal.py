"""What `gpurig remove` takes away of a host with GPUs' files, killed and foreign ones too."""

from __future__ import annotations

import shlex

import pytest

from gpurig.contract.finding import Verdict
from gpurig.deploy.removal import removal
from gpurig.facts.cuda import PROFILE
from gpurig.facts.docker.proxy import DROP_IN, SECRET
from gpurig.facts.kernel.grub import DROP_IN as GRUB
from gpurig.facts.rootless import UNIT
from gpurig.operations.container_toolkit.device_links import RULE
from gpurig.operations.cuda import LOADER_FILE
from gpurig.operations.driver.boot_kernel import TEXT as GRUB_TEXT
from gpurig.operations.driver.modprobe import FILE as BLACKLIST
from gpurig.operations.driver.modprobe import TEXT as BLACKLIST_TEXT
from gpurig.operations.driver.nodes import RULE as NODES
from gpurig.operations.driver.preferences import FILE as PINS
from gpurig.operations.driver.preferences import HEADER as PINS_HEADER
from gpurig.operations.rootless.unit import FOLDER_FILE, unit_text
from gpurig.operations.shared.file import HEADER
from gpurig.settings.options import Options
from lab.plugin import Boot

from .passes import Passes

pytestmark = pytest.mark.lab

SOURCES, KEYS = "/etc/apt/sources.list.d", "/usr/share/keyrings"
STANZA = "Types: deb\nURIs: http://packages.example.com/\nSuites: ./\n"
OURS = {
    f"{SOURCES}/gpurig-nvidia.sources": f"{HEADER}{STANZA}Signed-By: {KEYS}/nvidia.gpg\n",
    f"{SOURCES}/gpurig-docker.sources": f"{HEADER}{STANZA}Signed-By: {KEYS}/docker.gpg\n",
    f"{SOURCES}/gpurig-components.sources": HEADER,
    f"{KEYS}/nvidia.gpg": "key",
    PINS: PINS_HEADER,
    BLACKLIST: BLACKLIST_TEXT,
    PROFILE: HEADER,
    LOADER_FILE: f"{HEADER}/usr/local/cuda-12.8/lib64\n",
    RULE: "# Written by gpurig: links\n",
    NODES: "# Written by gpurig: a node\n",
    FOLDER_FILE: "d /run/cdi 0755 root root -\n",
    UNIT: unit_text("/usr/bin/dockerd-rootless.sh"),
}
THEIRS = {
    f"{SOURCES}/docker.sources": f"{STANZA}Signed-By: {KEYS}/docker.gpg\n",
    f"{SOURCES}/gpurig-mine.sources": STANZA,
    f"{KEYS}/docker.gpg": "key",  # ours, and a source of the user's needs it as well
    f"{KEYS}/mine.gpg": "key",
    "/etc/apt/preferences.d/mine": "Package: *\n",
    "/etc/modprobe.d/mine.conf": "blacklist nouveau\n",
}


@pytest.fixture(scope="module")
def host(boot: Boot) -> Passes:
    """A bare host."""
    return Passes.over(boot("trixie", "gone"))


def _write(host: Passes, files: dict[str, str]) -> None:
    for path, text in files.items():
        host.shell(f"mkdir -p {path.rpartition('/')[0]} && printf %s {shlex.quote(text)} > {path}")


def _there(host: Passes, files: dict[str, str]) -> set[str]:
    words = " ".join(files)
    return set(host.look(f'for f in {words}; do [ ! -e "$f" ] || echo "$f"; done').split())


def _remove(*packages: str) -> None:
    removal(Options("remove", packages=packages))


def test_a_bare_host_has_nothing_to_remove(host: Passes) -> None:
    """No promise drifts, and nothing is unknown."""
    found = host.plan(_remove)
    wrong = {id: one for id, one in found.items() if one.verdict is not Verdict.HOLDS}
    assert not wrong


def test_files_go_by_their_mark(host: Passes) -> None:
    """Those of users stay, also under gpurig's name, and so does a key that they use."""
    _write(host, OURS | THEIRS)
    host.shell("cp /etc/hosts /tmp/hosts; printf '127.0.1.1\\tgone\\t# gpurig\\n' >> /etc/hosts")
    found = host.up(_remove)
    assert not _there(host, OURS)
    assert _there(host, THEIRS) == set(THEIRS)
    host.shell("cmp /etc/hosts /tmp/hosts")
    sources = found["removal.package-sources"]
    assert sources.verdict is Verdict.LEFT_OUT
    assert "gpurig-mine.sources: it cannot know" in sources.reason
    host.shell(f"rm {' '.join(THEIRS)}")


def test_the_proxy_goes_with_its_password(host: Passes) -> None:
    """The drop-in and the file that only root can read."""
    host.shell("apt-get -q -y install --no-install-recommends docker.io docker-cli")
    _write(host, {DROP_IN: f"# Written by gpurig\n[Service]\nEnvironmentFile={SECRET}\n"})
    _write(host, {SECRET: "GPURIG_PROXY=1\nHTTPS_PROXY='http://a:b@p.example.com:3128'\n"})
    host.shell("chmod 600 " + SECRET)
    host.up(_remove)
    assert not _there(host, {DROP_IN: "", SECRET: "", "/etc/gpurig": ""})


def test_packages_go_only_by_the_name_of_their_layer(host: Passes) -> None:
    """The plan names each of them; without the name they stay, and are named as well."""
    found = host.plan(_remove)["removal.packages.docker"]
    assert found.verdict is Verdict.LEFT_OUT
    assert found.reason.startswith("gpurig leaves docker-cli ")
    assert host.plan(lambda: _remove("docker"))["removal.packages.docker"].will.startswith(
        "remove docker-cli, docker.io"
    )


def test_an_image_goes_once_no_container_uses_it(host: Passes) -> None:
    """By gpurig's own name and note; a user's name for the same image stays."""
    notes = "/var/lib/gpurig/images"
    host.shell(
        "tar -cf - /etc/hostname 2>/dev/null | docker import - gpurig/lab >/dev/null;"
        f" mkdir -p {notes};"
        f" docker image inspect --format '{{{{.Id}}}}' gpurig/lab > {notes}/lab.id;"
        " docker tag gpurig/lab mine; docker create --name one gpurig/lab true"
    )
    found = host.plan(_remove)["removal.images"]
    assert found.verdict is Verdict.DUE
    assert "gpurig/lab: one" in found.reason
    assert host.up(_remove)["removal.records"].verdict is Verdict.DUE, "the notes are needed"
    assert _there(host, {notes: ""})
    host.shell("docker rm one")
    assert host.up(_remove)["removal.images"].verdict is Verdict.HOLDS
    assert host.look("docker image ls --format '{{.Repository}}'").split() == ["mine"]
    assert not _there(host, {notes: ""})


def test_a_record_outlives_what_cannot_be_read(host: Passes) -> None:
    """While daemon.json is broken, nobody knows which of its keys are gpurig's."""
    made = '{"key": ["log-driver"], "sha256": "0"}'
    _write(host, {"/etc/docker/daemon.json": "{", "/var/lib/gpurig/made": f"{made}\n"})
    found = host.plan(_remove)
    assert found["removal.docker-keys"].verdict is Verdict.UNKNOWN
    assert found["removal.records"].wanted == "removal.docker-keys"
    host.shell("rm /etc/docker/daemon.json")
    host.up(_remove)
    assert not _there(host, {"/var/lib/gpurig": ""})


def test_grub_boots_again_what_it_would(host: Passes) -> None:
    """Where there is no GRUB the file goes as well."""
    _write(host, {GRUB: GRUB_TEXT.format(entry="a>b")})
    host.shell("printf '#!/bin/sh\\necho ran > /tmp/grub\\n' > /usr/sbin/update-grub;"
               " chmod 755 /usr/sbin/update-grub")  # fmt: skip
    host.up(_remove)
    assert not _there(host, {GRUB: ""})
    host.shell("grep -q ran /tmp/grub && rm /tmp/grub")
    _write(host, {f"{GRUB}.gpurig-gone": GRUB_TEXT.format(entry="a>b")})  # as after a kill
    assert host.plan(_remove)["removal.system-files"].verdict is Verdict.DRIFTED
    host.up(_remove)
    assert not _there(host, {f"{GRUB}.gpurig-gone": ""})
    host.shell("grep -q ran /tmp/grub && rm /usr/sbin/update-grub")


def test_a_unit_that_a_user_s_systemd_starts_stays(host: Passes) -> None:
    """Also one of a user whom no setting names any more: nobody has stopped their Docker."""
    wants = "/home/ann/.config/systemd/user/default.target.wants"
    _write(host, {UNIT: unit_text("/usr/bin/dockerd-rootless.sh")})
    host.shell(f"useradd --create-home ann; mkdir -p {wants}; ln -s {UNIT} {wants}/docker.service")
    for _ in range(2):
        found = host.up(_remove)["removal.rootless-unit"]
        assert found.verdict is Verdict.DUE
        assert "systemd of ann starts it" in found.reason
    assert _there(host, {UNIT: ""})
    host.shell("userdel --remove ann")
    host.up(_remove)
    assert not _there(host, {UNIT: ""})


def test_data_of_a_person_stay_whatever_their_folder_is_called(host: Passes) -> None:
    """An archive or a data set of theirs beside gpurig's, or under its names."""
    data = "/var/lib/gpurig/datasets"
    theirs = {f"{data}/archives/imagenet.tar": "x", f"{data}/mnist/own/a": "x"}
    _write(host, theirs)
    found = host.up(_remove)["removal.data"]
    assert found.verdict is Verdict.LEFT_OUT
    assert _there(host, theirs) == set(theirs)
    host.shell(f"rm -r {data}")
    host.up(_remove)


def test_the_pythons_of_environments_that_stay_stay(host: Passes) -> None:
    """While a process uses one, and while there are others in another folder."""
    python = "/opt/gpurig/pythons/cpython-3.13/bin/python"
    own = "/opt/gpurig/venvs/jax"
    _write(host, {f"{own}/.gpurig.json": "{}", python: "x", "/srv/venvs/mine/.gpurig.json": "{}"})
    _write(host, {"/var/lib/gpurig/made": '{"root": "/srv/venvs"}\n'})
    host.shell(f"cp /usr/bin/sleep {own}/sleep; nohup {own}/sleep 600 >/dev/null 2>&1 & sleep 1")
    found = host.up(_remove)
    assert found["removal.environments"].verdict is Verdict.DUE
    assert found["removal.tools"].verdict is Verdict.DUE
    assert _there(host, {python: "", own: ""}) == {python, own}
    host.shell("pkill -x sleep || :")
    found = host.up(_remove)
    assert not _there(host, {own: ""})
    assert _there(host, {python: ""}), "the one in /srv/venvs needs it"
    host.shell("rm -r /srv/venvs")
    host.up(_remove)
    assert not _there(host, {"/opt/gpurig": "", "/var/lib/gpurig": ""})


def test_environments_elsewhere_are_named(host: Passes) -> None:
    """Those of another rig_venv_root stay, with what removes them; so does the record."""
    _write(host, {"/srv/venvs/jax/.gpurig.json": "{}"})
    _write(host, {"/var/lib/gpurig/made": '{"root": "/srv/venvs"}\n'})
    found = host.plan(_remove)["removal.environments"]
    assert found.verdict is Verdict.LEFT_OUT
    assert "/srv/venvs (--set rig_venv_root=/srv/venvs removes them)" in found.reason
    assert host.plan(_remove)["removal.records"].verdict is Verdict.HOLDS
    host.shell("rm -r /srv/venvs")
    host.up(_remove)
    assert not _there(host, {"/var/lib/gpurig": ""})
