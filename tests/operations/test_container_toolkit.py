"""The container toolkit's promises on a booted host with GPUs: bare, again, after each drift."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpurig.operations import apt, cdi, container_toolkit, docker
from gpurig.operations.docker_daemon import wanted
from gpurig.promise import Verdict
from gpurig.stack.model import Repository
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold

pytestmark = pytest.mark.lab

KEPT, REFRESHED = "/etc/cdi/nvidia.yaml", "/run/cdi/nvidia.yaml"
CONFIG = "/etc/nvidia-container-runtime/config.toml"
SUITES = {"trixie": (("docker.io", "docker-cli"), True), "bookworm": (("docker.io",), False)}
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)

passes: Passes
repository: Repository
has_cdi: bool
docker_packages: tuple[str, ...]


def deployed() -> None:
    """
    The toolkit's and Docker's operations in the order of their deploys.

    The toolkit comes first: dockerd dies of a CDI spec that was cut off, and does not start again
    until it is mended.
    """
    apt.keyring(layer="container-toolkit", repository=repository)
    apt.repository(layer="container-toolkit", repository=repository, architecture="amd64")
    container_toolkit.packages(packages=PACKAGES)
    container_toolkit.config(mode="auto")
    cdi.spec()
    keys = wanted({}, nvidia=True, cdi=has_cdi)
    docker.packages(packages=docker_packages)
    docker.daemon_config(keys=keys)
    docker.service()
    docker.running_config(keys=keys)


@pytest.fixture(scope="module", params=SUITES, autouse=True)
def _host(request: pytest.FixtureRequest, lab: Lab, boot: Boot) -> Iterator[None]:
    """A host with the driver's user space, two GPUs, and nothing of Docker or the toolkit."""
    global passes, repository, has_cdi, docker_packages
    docker_packages, has_cdi = SUITES[request.param]
    repository = Repository(
        name="nvidia-container-toolkit",
        uri=lab.toolkit.packages_url,
        suite="/",
        components=(),
        key_url=lab.toolkit.key_url,
        fingerprint=lab.toolkit.fingerprint,
    )
    passes = Passes.over(boot(request.param, f"tk-{request.param[:4]}", gpu="h100", gpus=2))
    passes.shell(
        "sed -i 's/^Components: main$/Components: main contrib non-free non-free-firmware/'"
        " /etc/apt/sources.list.d/debian.sources; apt-get -qq update;"
        " DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends"
        " nvidia-smi libnvidia-ml1"
    )
    found = passes.plan(deployed)
    assert found["container-toolkit.packages"].verdict is Verdict.DRIFTED
    assert found["container-toolkit.cdi"].verdict is Verdict.FOLLOWS
    assert all_hold(passes.up(deployed)), "one run converges from bare"
    lab.import_base_image(passes.host, "base")
    yield
    passes.link.close()


@pytest.fixture(autouse=True)
def _clean() -> None:
    """Each test begins with a host that holds."""
    assert all_hold(passes.plan(deployed))


def _gpus_in_containers() -> None:
    listed = passes.shell("nvidia-smi -L | grep -c '^GPU '")
    run = "docker run --rm {} base nvidia-smi -L | grep -c '^GPU '"
    nvidia = "--runtime=nvidia --env NVIDIA_VISIBLE_DEVICES=all"
    assert passes.shell(run.format(nvidia)) == listed
    if has_cdi:
        assert passes.shell(run.format("--device nvidia.com/gpu=all")) == listed


def test_containers_list_the_gpus_of_the_host() -> None:
    """By the NVIDIA runtime, and by CDI where Docker knows it, each GPU is in the container."""
    assert passes.shell("nvidia-smi -L").count("GPU ") == 2
    _gpus_in_containers()


def test_again_changes_no_byte() -> None:
    """A second run changes no file under /etc and no package."""
    seen = "find /etc -type f -exec sha256sum {} + | sort -k2; dpkg-query -W"
    before = passes.shell(seen)

    assert all_hold(passes.up(deployed))

    assert passes.shell(seen) == before


DRIFTS = {
    "keyring removed": (
        "rm /usr/share/keyrings/nvidia-container-toolkit.gpg",
        {"container-toolkit.keyring"},
    ),
    "hook package removed": (
        "apt-get -qq -y remove nvidia-container-toolkit",
        {"container-toolkit.packages"},
    ),
    "two versions": (
        "apt-get -qq -y install --allow-downgrades libnvidia-container1=1.19.1-1"
        " || dpkg --force-all -i $(cd /var/cache && apt-get -qq download"
        " libnvidia-container1=1.19.1-1 && ls $PWD/libnvidia-container1_1.19.1*)",
        {"container-toolkit.packages"},
    ),
    "spec removed": (f"rm {KEPT}", {"container-toolkit.cdi"}),
    "spec of another driver": (
        f"sed -i 's/libnvidia-ml.so.5[0-9.]*/libnvidia-ml.so.525.1.2/' {KEPT}",
        {"container-toolkit.cdi"},
    ),
    "spec of one GPU": (
        f"sed -i 's#/dev/nvidia1#/dev/nvidia0#g' {KEPT}",
        {"container-toolkit.cdi"},
    ),
    "second spec": (f"mkdir -p /run/cdi; cp {KEPT} {REFRESHED}", {"container-toolkit.cdi"}),
    "spec that a reboot takes": (
        f"mkdir -p /run/cdi; mv {KEPT} {REFRESHED}",
        {"container-toolkit.cdi"},
    ),
    "ldconfig of Ubuntu": (
        f"sed -i 's#@/sbin/ldconfig#@/sbin/ldconfig.real#' {CONFIG}",
        {"container-toolkit.config"},
    ),
    "another mode": (
        f"sed -i 's/^mode = .*/mode = \"csv\"/' {CONFIG}",
        {"container-toolkit.config"},
    ),
}


@pytest.mark.parametrize(("drift", "broken"), DRIFTS.values(), ids=DRIFTS)
def test_each_drift_is_named_and_repaired(drift: str, broken: set[str]) -> None:
    """The plan names the promise that is broken, one run repairs it, the next finds nothing."""
    passes.shell(drift)

    assert passes.drifted(deployed) == broken
    assert all_hold(passes.up(deployed))
    _gpus_in_containers()


def test_the_users_lines_in_config_toml_stay() -> None:
    """Only the key that is wrong changes, comments included."""
    passes.shell(f"sed -i 's/^mode = .*/# mine\\nmode = \"csv\"/' {CONFIG}")
    before = passes.shell(f"cat {CONFIG}")

    assert all_hold(passes.up(deployed))

    assert passes.shell(f"cat {CONFIG}") == before.replace('mode = "csv"', 'mode = "auto"')


def test_docker_comes_back_after_a_spec_that_killed_it() -> None:
    """A spec that was cut off takes dockerd down for good; one run mends both."""
    passes.shell(f"truncate --size 300 {KEPT}; sleep 2")

    assert "container-toolkit.cdi" in passes.drifted(deployed)
    assert all_hold(passes.up(deployed))
    _gpus_in_containers()


def test_a_foreign_spec_stays() -> None:
    """Specs of other kinds are nobody's business here."""
    theirs = "cdiVersion: 0.5.0\nkind: vendor.example/net\ndevices: []\n"
    passes.host.write("/etc/cdi/net.yaml", theirs)
    passes.shell(f"rm {KEPT}")

    assert all_hold(passes.up(deployed))

    assert passes.shell("cat /etc/cdi/net.yaml") == theirs


def test_after_a_reboot_containers_still_get_the_gpus() -> None:
    """The spec is there after a boot although the refresh unit has no module to wait for."""
    passes.host.reboot()
    passes.link.reopen()

    assert all_hold(passes.plan(deployed))
    _gpus_in_containers()


def test_where_the_refresh_unit_works_its_spec_is_the_one() -> None:
    """With a module for the running kernel the unit's spec under /run takes over, alone."""
    modules = "/lib/modules/$(uname -r)"
    passes.shell(
        f"mkdir -p {modules}; echo 'updates/dkms/nvidia-current.ko:' > {modules}/modules.dep;"
        " systemctl reset-failed nvidia-cdi-refresh.service;"
        " systemctl start nvidia-cdi-refresh.service"
    )

    assert all_hold(passes.up(deployed))
    assert passes.shell(f"ls {REFRESHED} {KEPT} 2>/dev/null || :").split() == [REFRESHED]
    passes.shell(f"rm {REFRESHED}")
    assert all_hold(passes.up(deployed))
    assert passes.shell(f"ls {REFRESHED} {KEPT} 2>/dev/null || :").split() == [REFRESHED]
    _gpus_in_containers()

    passes.shell(f"rm {modules}/modules.dep")
    assert all_hold(passes.up(deployed)), "without it, the spec moves to where a boot leaves it"
    assert passes.shell(f"ls {REFRESHED} {KEPT} 2>/dev/null || :").split() == [KEPT]


def test_a_driver_that_does_not_answer_is_due() -> None:
    """Without NVML no spec can be made: that is said, and nothing is written."""
    passes.shell(f"mv {KEPT} /root/spec; mv /usr/bin/nvidia-smi /usr/bin/nvidia-smi.off")

    found = passes.up(deployed)

    assert found["container-toolkit.cdi"].verdict is Verdict.DUE
    passes.shell(f"mv /root/spec {KEPT}; mv /usr/bin/nvidia-smi.off /usr/bin/nvidia-smi")
