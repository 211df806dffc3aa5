"""The container toolkit's promises on a booted host with GPUs: bare, again, after each drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gpurig.contract.finding import Verdict
from gpurig.engine.proving import prove
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.errors import HostError
from gpurig.hosts.inventory import HostSpec
from gpurig.operations.container_toolkit import cdi, device_links, programs, toolkit
from gpurig.operations.docker import engine as docker
from gpurig.operations.driver import libraries, nodes
from gpurig.operations.shared import apt
from gpurig.operations.shared.daemon_json import wanted
from gpurig.stack.model import ContainerToolkit, Docker, Gpu, Repository, Stack
from lab.lab import Lab
from lab.plugin import Boot

from .passes import Passes, all_hold
from .suites import once

pytestmark = pytest.mark.lab

KEPT, REFRESHED = "/etc/cdi/nvidia.yaml", "/run/cdi/nvidia.yaml"
CONFIG = "/etc/nvidia-container-runtime/config.toml"
REFRESH = "nvidia-cdi-refresh.service"
WATCH = "nvidia-cdi-refresh.path"
DROP_IN = f"/run/systemd/system/{REFRESH}.d"
SUITES = {"trixie": (("docker.io", "docker-cli"), True), "bookworm": (("docker.io",), False)}
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)

passes: Passes
repository: Repository
older: str  # version of the toolkit, of the two in its repository
newer: str
has_cdi: bool
docker_packages: tuple[str, ...]


def deployed() -> None:
    """
    The toolkit's and Docker's operations in the order of their deploys.

    The toolkit comes first: dockerd dies of a CDI spec that was cut off, and does not start again
    until it is gone.
    """
    apt.keyring(promise="container-toolkit.keyring", repository=repository)
    apt.repository(
        promise="container-toolkit.repository",
        keyring="container-toolkit.keyring",
        repository=repository,
        architecture="amd64",
    )
    libraries.libraries()
    nodes.device_nodes(users=("nobody", "nobody-else"), assumed=True)
    cdi.readable()
    toolkit.packages(packages=PACKAGES, minimum="1.18.0")
    programs.programs()
    toolkit.config(mode="auto")
    cdi.refresh()
    cdi.spec()
    keys = wanted({}, nvidia=True, cdi=has_cdi)
    docker.packages(packages=docker_packages)
    docker.daemon_config(keys=keys)
    docker.service()
    docker.running_config(keys=keys)
    device_links.device_links()


@pytest.fixture(scope="module", params=SUITES, autouse=True)
def _host(request: pytest.FixtureRequest, lab: Lab, boot: Boot) -> Iterator[None]:
    """A host with the driver's user space, two GPUs, and nothing of Docker or the toolkit."""
    global passes, repository, has_cdi, docker_packages, older, newer
    older, newer = lab.toolkit_versions
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
    passes.still_hold(deployed)


NVIDIA = "--runtime=nvidia --env NVIDIA_VISIBLE_DEVICES=all"


def _gpus_in_containers() -> None:
    listed = passes.look("nvidia-smi -L | grep -c '^GPU '")
    run = "docker run --rm {} base nvidia-smi -L | grep -c '^GPU '"
    assert passes.look(run.format(NVIDIA)) == listed
    if has_cdi:
        assert passes.look(run.format("--device nvidia.com/gpu=all")) == listed


def test_containers_list_the_gpus_of_the_host() -> None:
    """By the NVIDIA runtime, and by CDI where Docker knows it, each GPU is in the container."""
    assert passes.look("nvidia-smi -L").count("GPU ") == 2
    _gpus_in_containers()


@once
def test_again_changes_no_byte() -> None:
    """A second run changes no file under /etc and no package."""
    seen = "find /etc -type f -exec sha256sum {} + | sort -k2; dpkg-query -W"
    before = passes.look(seen)

    assert all_hold(passes.up(deployed))

    assert passes.look(seen) == before


def _proofs() -> dict[str, Proof]:
    """How the proofs of Docker and its GPUs end, for GPUs that are not assumed."""
    data = passes.host.ssh_data() | {"rig_users": ["ada"]}
    spec = HostSpec.of(passes.host.name, "ssh", data["ssh_hostname"], data)
    gpu = Gpu("10de:2330", "hopper", "9.0")
    stack = Stack(
        "debian",
        "x86_64",
        gpus=(gpu, gpu),
        docker=Docker("distribution", docker_packages, has_cdi),
        container_toolkit=ContainerToolkit(PACKAGES, repository, "auto", "1.18.0"),
    )
    answer = HostResult(spec.name, answer=stack)
    proofs = prove(spec, answer, False, lambda _: None, lambda _: None)
    return {proof.id: proof for proof in proofs if proof.id.startswith("docker.")}


# nvidia-container-cli is not in the lab, and without the loaded module it could not answer.
FLAG = "docker.gpus-flag-lists-gpus"


def _bad(proofs: dict[str, Proof]) -> dict[str, str]:
    """The reasons of the proofs that did not pass, but for that of --gpus."""
    assert "nvidia-container-cli" in proofs[FLAG].reason, proofs[FLAG]
    assert (proofs["docker.cdi-lists-gpus"].verdict is ProofVerdict.NOT_APPLICABLE) is not has_cdi
    fine = (ProofVerdict.PASSED, ProofVerdict.NOT_APPLICABLE)
    return {id: p.reason for id, p in proofs.items() if p.verdict not in fine and id != FLAG}


@pytest.fixture(scope="module")
def _proven(_host: None) -> None:
    """A user whose containers the proofs try."""
    passes.shell("useradd -m ada && gpasswd -a ada docker")


@pytest.mark.usefixtures("_proven")
def test_each_way_to_the_gpus_is_proven() -> None:
    """As root, as nobody, as a user; by the runtime and by CDI; running on over daemon-reload."""
    proofs = _proofs()
    assert not _bad(proofs)
    assert proofs["docker.gpus-after-daemon-reload"].verdict is ProofVerdict.PASSED
    assert len(proofs["docker.users-list-gpus"].detail["container"]) == 2
    assert proofs[FLAG].verdict is ProofVerdict.FAILED


NVML = "$(readlink -f /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1)"
# What is done to the host, and which proofs then fail with which words.
BREAKS = {
    "trixie": {
        'sed -i \'s/"nvidia"/"other"/\' /etc/docker/daemon.json;'
        " systemctl reset-failed docker; systemctl restart docker": {
            "docker.runtime-lists-gpus": "nvidia",
            "docker.gpus-without-root": "nvidia",
            "docker.users-list-gpus": "nvidia",
            "docker.gpus-after-daemon-reload": "nvidia",
        },
        f"chmod 600 {NVML}; gpasswd -d ada docker;"
        ' sed -i \'0,/{/s//{"labels": ["new=1"],/\' /etc/docker/daemon.json;'
        f" sed -i 's/libnvidia-ml.so.5[0-9.]*/libnvidia-ml.so.525.1.2/' {KEPT}": {
            "docker.gpus-without-root": "libnvidia-ml.so",
            "docker.users-list-gpus": "permission denied",
            "docker.users": "permission denied",
            "docker.running-config": "lacks the label new=1",
            "docker.cdi-lists-gpus": "libnvidia-ml.so.525.1.2",
            "docker.gpus-after-daemon-reload": "libnvidia-ml.so.525.1.2",
        },
        # The host's driver has one GPU less then, too, which is for the driver's proofs to say.
        "umount /dev/nvidia1; rm /dev/nvidia1": {
            "docker.cdi-lists-gpus": "nvidia1",
            "docker.gpus-after-daemon-reload": "nvidia1",
        },
    },
    "bookworm": {
        "for n in /dev/nvidia*; do rm -f /dev/char/$(stat -c '%Hr:%Lr' $n); done": {
            "docker.gpus-after-daemon-reload": "/dev/nvidia0: Operation not permitted"
        }
    },
}
MEND = (
    f"chmod 644 {NVML}; gpasswd -a ada docker; sed -i 's/.labels.: [^ ]*,//'"
    " /etc/docker/daemon.json; [ -e /dev/nvidia1 ] || mknod -m 666 /dev/nvidia1 c 195 1"
)


@pytest.mark.usefixtures("_proven")
def test_a_broken_host_fails_its_proofs() -> None:
    """Exactly the proofs of what is broken fail, each with what is wrong; then it is mended."""
    for broken, failed in BREAKS["trixie" if has_cdi else "bookworm"].items():
        passes.shell(broken)
        proofs = _proofs()
        passes.shell(MEND)
        assert all_hold(passes.up(deployed))
        bad = _bad(proofs)
        assert set(bad) == set(failed), bad
        assert all(failed[id] in reason for id, reason in bad.items()), bad


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
        "apt-get -qq -y install --allow-downgrades libnvidia-container1=OLDER-1"
        " || dpkg --force-all -i $(cd /var/cache && apt-get -qq download"
        " libnvidia-container1=OLDER-1 && ls $PWD/libnvidia-container1_OLDER*)",
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
    "spec that only root may read": (f"chmod 600 {KEPT}", {"container-toolkit.cdi"}),
    "folder that others may write": ("chmod 777 /etc/cdi", {"container-toolkit.cdi"}),
    "refresh unit failed": (
        f"mkdir -p {DROP_IN}; printf '[Service]\\nExecCondition=\\nExecCondition=/bin/sh -c"
        f' "exit 255"\\nRestart=no\\n\' > {DROP_IN}/break.conf; systemctl daemon-reload;'
        f" systemctl start {REFRESH}; rm -r {DROP_IN}; systemctl daemon-reload",
        {"container-toolkit.cdi-refresh"},
    ),
    "ldconfig of Ubuntu": (
        f"sed -i 's#@/sbin/ldconfig#@/sbin/ldconfig.real#' {CONFIG}",
        {"container-toolkit.config"},
    ),
    "a program is gone": (
        "rm /usr/bin/nvidia-container-runtime",
        {"container-toolkit.programs"},
    ),
    "a program cannot be run": (
        "chmod 644 /usr/bin/nvidia-container-runtime",
        {"container-toolkit.programs"},
    ),
    "a GPU only for root": ("chmod 600 /dev/nvidia0", {"driver.device-nodes"}),
    "the loader's cache is older than the driver": (
        "d=$(dirname $(ldconfig -p | sed -n 's/.*libnvidia-ml.so.1 .*=> //p')); mkdir /root/l;"
        " mv $d/libnvidia-ml.so.1 /root/l; ldconfig; mv /root/l/* $d; rmdir /root/l",
        {"driver.libraries"},
    ),
    "the loader's cache is gone": ("rm /etc/ld.so.cache", {"driver.libraries"}),
    "spec of a GPU that is gone": (
        f"sed -i 's#/dev/nvidia1#/dev/nvidia7#g' {KEPT}",
        {"container-toolkit.cdi"},
    ),
    "spec without the node for memory": (
        f"sed -i '/nvidia-uvm$/d' {KEPT}",
        {"container-toolkit.cdi"},
    ),
    "spec of a program that is gone": (
        f"printf '    hooks:\n    - hookName: createContainer\n      path: /opt/gone\n' >> {KEPT}",
        {"container-toolkit.cdi"},
    ),
    "another mode": (
        f"sed -i 's/^mode = .*/mode = \"csv\"/' {CONFIG}",
        {"container-toolkit.config"},
    ),
}


# Others of CI break the same promises in other ways.
LONG = (
    "two versions", "spec of one GPU", "spec that only root may read", "keyring removed",
    "second spec", "spec of another driver", "folder that others may write",
)  # fmt: skip


@once
@pytest.mark.parametrize(
    ("drift", "broken"),
    [
        pytest.param(*row, id=name, marks=[pytest.mark.long] if name in LONG else [])
        for name, row in DRIFTS.items()
    ],
)
def test_each_drift_is_named_and_repaired(drift: str, broken: set[str]) -> None:
    """The plan names the promise that is broken, one run repairs it, the next finds nothing."""
    passes.repaired(deployed, drift.replace("OLDER", older), broken)
    _gpus_in_containers()


SONAME = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
RULE = "/etc/udev/rules.d/99-gpus.rules"
# What a person put in the way: what they did, what takes it back, and what is said of it.
THEIRS = {
    "NVML before the driver's": (
        f"cp -L {SONAME} /usr/local/lib/; ldconfig", "rm /usr/local/lib/libnvidia-ml.so*; ldconfig",
        "driver.libraries", "programs load /usr/local/lib/libnvidia-ml.so.1 and not /usr/lib"),
    "NVML before the driver's, by a variable": (
        f"mkdir /opt/o; cp -L {SONAME} /opt/o; echo LD_LIBRARY_PATH=/opt/o >> /etc/environment",
        "rm -r /opt/o; sed -i /LD_LIBRARY_PATH/d /etc/environment",
        "driver.libraries", "/opt/o/libnvidia-ml.so.1 before the driver's; remove /etc/env"),
    "a preload that is gone": (
        "echo /opt/gone.so > /etc/ld.so.preload", "rm /etc/ld.so.preload",
        "driver.libraries", "/etc/ld.so.preload names /opt/gone.so"),
    "GPUs of a group": (
        "mkdir -p /etc/udev/rules.d; chmod 660 /dev/nvidia0;"
        f" echo 'KERNEL==\"nvidia*\", MODE=\"0660\"' > {RULE}",
        f"chmod 666 /dev/nvidia0; rm {RULE}",
        "driver.device-nodes",
        f"nobody cannot open /dev/nvidia0 (mode 660, group 0), because of {RULE}"),
    "a program before the toolkit's": (
        "cp /bin/true /usr/local/bin/nvidia-container-runtime",
        "rm /usr/local/bin/nvidia-container-runtime",
        "container-toolkit.programs", "dockerd finds /usr/local/bin/nvidia-container-runtime"),
    "no control groups": (
        f"cp -a {CONFIG} /root/c; sed -i 's/^#* *no-cgroups.*/no-cgroups = true/' {CONFIG}",
        f"mv /root/c {CONFIG}", "container-toolkit.config", "no-cgroups is true"),
    "a runtime that is not there": (
        f"cp -a {CONFIG} /root/c; sed -i 's/^runtimes = .*/runtimes = [\"gone\"]/' {CONFIG}",
        f"mv /root/c {CONFIG}", "container-toolkit.config", "runtimes names gone"),
    "a folder without specs": (
        f"cp -a {CONFIG} /root/c; sed -i 's#^spec-dirs = .*#spec-dirs = [\"/opt\"]#' {CONFIG}",
        f"mv /root/c {CONFIG}", "container-toolkit.config", "spec-dirs is /opt"),
}  # fmt: skip


@once
@pytest.mark.parametrize(("script", "back", "promise", "said"), THEIRS.values(), ids=THEIRS)
def test_what_a_person_put_in_the_way_is_named_and_stays(
    script: str, back: str, promise: str, said: str
) -> None:
    """It waits for them, with its place; no run repairs by a wrong measure what stands behind."""
    passes.shell(script)
    found = passes.up(deployed, set())
    assert found[promise].verdict is Verdict.DUE
    assert said in found[promise].reason
    assert not {id for id, one in found.items() if one.verdict is Verdict.DRIFTED}
    passes.shell(back)


@once
def test_a_path_unit_that_started_too_much_watches_again() -> None:
    """systemd gives it up for good when the service was started too often: it is started anew."""
    passes.shell(
        f"mkdir -p {DROP_IN}; printf '[Unit]\\nStartLimitBurst=1\\n' > {DROP_IN}/once.conf;"
        f" systemctl daemon-reload; for n in 1 2; do systemctl start {REFRESH} || :; done;"
        f" rm -r {DROP_IN}; systemctl daemon-reload"
    )
    assert passes.look(f"systemctl is-active {WATCH} || :").strip() == "failed"

    assert all_hold(passes.up(deployed, {"container-toolkit.cdi-refresh"}))
    assert passes.look(f"systemctl is-active {WATCH}").strip() == "active"


@once
def test_the_users_lines_in_config_toml_stay() -> None:
    """Only the key that is wrong changes, comments included."""
    passes.shell(f"sed -i 's/^mode = .*/# mine\\nmode = \"csv\"/' {CONFIG}")
    before = passes.look(f"cat {CONFIG}")

    assert all_hold(passes.up(deployed))

    assert passes.look(f"cat {CONFIG}") == before.replace('mode = "csv"', 'mode = "auto"')


# Cut off after the first dash among the device nodes. Docker 20.10 reads no spec and lives on.
DEADLY = (
    "sed -i '/deviceNodes:/{{n;s/-.*/-/;q}}' {0}; cp {0} /root/cut;"
    " systemctl reset-failed docker; systemctl restart docker 2>/dev/null || :"
)
DEAD = {True: {"docker.service"}, False: set()}
READABLE = "container-toolkit.cdi-readable"


def test_docker_comes_back_after_a_spec_that_killed_it() -> None:
    """A spec that was cut off takes dockerd down for good; one run repairs both."""
    passes.shell(DEADLY.format(KEPT))
    assert (passes.look("systemctl is-active docker || :").strip() == "active") is not has_cdi

    assert all_hold(passes.up(deployed, {READABLE, "container-toolkit.cdi", *DEAD[has_cdi]}))
    passes.shell(f"cmp /root/cut {KEPT}.broken; rm {KEPT}.broken")
    _gpus_in_containers()


@once
def test_a_foreign_spec_stays_unless_it_stops_everything() -> None:
    """Those of other kinds are read by others; one that kills dockerd is moved, as it is."""
    theirs = "cdiVersion: 0.5.0\nkind: vendor.example/net\ndevices: []\n"
    passes.host.write("/etc/cdi/net.yaml", theirs)
    passes.host.write("/etc/cdi/half.yaml", "cdiVer")
    passes.shell(f"rm {KEPT}")

    found = passes.up(deployed)

    assert all_hold(found)
    assert found[READABLE].reason == "/etc/cdi/half.yaml cannot be read; gpurig leaves it"
    assert passes.look("cat /etc/cdi/net.yaml") == theirs
    for _ in range(2):
        passes.shell(f"cp {KEPT} /etc/cdi/net.yaml; sed -i s/nvidia.com/vendor/ /etc/cdi/net.yaml")
        drift = DEADLY.format("/etc/cdi/net.yaml")
        passes.repaired(deployed, drift, {READABLE, *DEAD[has_cdi]})
    passes.shell("cd /etc/cdi; cmp /root/cut net.yaml.broken; cmp /root/cut net.yaml.broken.~1~")
    passes.shell("rm /etc/cdi/half.yaml /etc/cdi/*.broken*")


@once
def test_after_a_restart_of_docker_containers_still_get_the_gpus() -> None:
    """Neither a daemon-reload nor a restart takes anything away that a new container needs."""
    passes.shell("systemctl daemon-reload; systemctl reset-failed docker; systemctl restart docker")

    assert all_hold(passes.plan(deployed))
    _gpus_in_containers()


def test_after_a_reboot_containers_still_get_the_gpus() -> None:
    """The spec is there after a boot although the refresh unit has no module to wait for."""
    passes.host.reboot()
    passes.link.reopen()

    # The lab's hosts have neither udev nor a driver that loads, so the rule is never asked.
    broken = set() if has_cdi else {"container-toolkit.device-links"}
    assert all_hold(passes.up(deployed, broken))
    _gpus_in_containers()


OPEN = "docker exec mine sh -c 'for node in /dev/nvidia*; do ( : < $node ); done' 2>&1 || :"


def test_a_running_container_keeps_its_gpus_over_a_daemon_reload() -> None:
    """
    Debian 12's runc tells systemd of no GPU without the links; with them, all runcs do.

    A container from before is named and never restarted.
    """
    start = f"docker run -d --name mine {NVIDIA} base sleep infinity"
    passes.shell("for n in /dev/nvidia*; do rm -f /dev/char/$(stat -c '%Hr:%Lr' $n); done")
    old = passes.shell(start).strip()
    if has_cdi:
        assert all_hold(passes.plan(deployed)), "runc 1.1.15 needs none"
    else:
        links = "container-toolkit.device-links"
        found = passes.up(deployed, {links})[links]
        assert (found.verdict, found.reason.split()[0]) == (Verdict.DUE, "mine")
        passes.shell("systemctl daemon-reload")
        assert "Operation not permitted" in passes.look(OPEN), "what this promise is about"
        assert passes.look("docker ps -q --no-trunc --filter name=mine").strip() == old
        passes.shell("docker restart -t 0 mine")
        assert all_hold(passes.plan(deployed))
    passes.shell("systemctl daemon-reload")
    assert "Operation not permitted" not in passes.look(OPEN)
    passes.shell("docker rm -f mine")


def test_a_rule_of_the_users_counts() -> None:
    """A udev rule that makes the links already is not doubled; ours is written where it lacks."""
    if has_cdi:
        assert passes.look(f"ls {device_links.RULE} 2>/dev/null || :") == ""
        return
    theirs = "/etc/udev/rules.d/71-nvidia-dev-char.rules"
    passes.shell(f"mv {device_links.RULE} {theirs}")
    assert all_hold(passes.plan(deployed))
    passes.repaired(deployed, f"rm {theirs}", {"container-toolkit.device-links"})


def _specs() -> list[str]:
    return passes.look(f"ls {REFRESHED} {KEPT} 2>/dev/null || :").split()


def _module(name: str) -> None:
    """What modules.dep of the running kernel says, by which the refresh unit decides."""
    folder = "/lib/modules/$(uname -r)"
    passes.shell(f"mkdir -p {folder}; echo 'updates/dkms/{name}.ko:' > {folder}/modules.dep")


@once
def test_the_open_module_of_debian_is_no_module_for_the_refresh_unit() -> None:
    """systemd skips the unit without an error and no spec is written: ours in /etc stays."""
    _module("nvidia-current-open")
    passes.shell(f"mv {KEPT} /root/spec; systemctl start {REFRESH}")
    assert _specs() == []
    assert passes.look(f"systemctl is-failed {REFRESH} || :").strip() == "inactive"
    assert all_hold(passes.up(deployed, {"container-toolkit.cdi"}))
    assert _specs() == [KEPT]


@once
def test_where_the_refresh_unit_works_its_spec_is_the_one() -> None:
    """With a module for the running kernel the unit's spec under /run takes over, alone."""
    _module("nvidia-current")
    passes.shell(f"systemctl reset-failed {REFRESH}; systemctl start {REFRESH}")

    assert all_hold(passes.up(deployed))
    assert _specs() == [REFRESHED]
    passes.shell(f"rm {REFRESHED}")
    assert all_hold(passes.up(deployed))
    assert _specs() == [REFRESHED]

    # it came before the module at boot: NVIDIA/nvidia-container-toolkit issues 1517, 1611
    passes.shell(
        f"rm {REFRESHED}; mv /usr/bin/nvidia-smi /root; ln -s /bin/false /usr/bin/nvidia-smi;"
        f" for n in 1 2 3 4 5 6; do systemctl start {REFRESH} 2>/dev/null || :; done;"
        " rm /usr/bin/nvidia-smi; mv /root/nvidia-smi /usr/bin"
    )
    assert passes.look(f"systemctl is-failed {REFRESH}").strip() == "failed"
    found = passes.plan(deployed)
    assert "failed" in found["container-toolkit.cdi-refresh"].actual
    assert found["container-toolkit.cdi"].verdict is Verdict.FOLLOWS
    assert all_hold(passes.up(deployed))
    assert _specs() == [REFRESHED]

    passes.repaired(
        deployed,
        "systemctl disable --now nvidia-cdi-refresh.path",
        {"container-toolkit.cdi-refresh"},
    )
    _gpus_in_containers()

    passes.shell(f"systemctl mask {REFRESH} 2>/dev/null")
    assert all_hold(passes.up(deployed)), "a mask is somebody's will: the spec moves to /etc"
    assert _specs() == [KEPT]
    assert passes.look(f"systemctl is-enabled {REFRESH} || :").strip() == "masked"
    passes.shell(f"systemctl unmask {REFRESH} 2>/dev/null; rm /lib/modules/$(uname -r)/modules.dep")
    assert all_hold(passes.up(deployed)), "without a module, the spec stays where a boot leaves it"
    assert _specs() == [KEPT]


@once
def test_a_spec_on_which_its_writer_crashes_is_moved_aside() -> None:
    """The unit has failed for good after its five tries: one run moves the file and starts it."""
    _module("nvidia-current")
    passes.shell(f"systemctl start {REFRESH}")
    assert all_hold(passes.up(deployed))
    passes.shell(
        f"mkdir -p {DROP_IN}; printf '[Service]\\nRestartSec=100ms\\n' > {DROP_IN}/soon.conf;"
        f" systemctl daemon-reload; {DEADLY.format(REFRESHED)};"
        # starts of before count, where they were soon enough
        f" systemctl reset-failed {REFRESH}; systemctl start {REFRESH} || :;"
        f" timeout 20 sh -c 'until systemctl -q is-failed {REFRESH}; do sleep .1; done'"
    )
    assert passes.look(f"systemctl show -p NRestarts --value {REFRESH}").strip() == "5"

    broken = {READABLE, "container-toolkit.cdi-refresh", *DEAD[has_cdi]}
    assert all_hold(passes.up(deployed, broken))
    assert _specs() == [REFRESHED]
    passes.shell(f"cmp /root/cut {REFRESHED}.broken; rm {REFRESHED}.broken")
    _gpus_in_containers()
    passes.shell(f"rm -r {DROP_IN} /lib/modules/$(uname -r)/modules.dep; systemctl daemon-reload")
    assert all_hold(passes.up(deployed))


def _toolkit(version: str | None, minimum: str = "1.18.0") -> Callable[[], None]:
    return lambda: toolkit.packages(PACKAGES, minimum, version)


def _installed() -> set[str]:
    return set(passes.look(f"dpkg-query -W -f '${{Version}}\\n' {' '.join(PACKAGES)}").split())


def _transaction() -> str:
    """What apt says that it did last."""
    return passes.look("tac /var/log/apt/history.log | sed '/^Start-Date/q'")


@once
def test_a_toolkit_goes_up_and_back_under_a_running_container() -> None:
    """
    Four packages in one transaction each way; the container is the same, with its GPUs.

    What NVIDIA's script drops from config.toml is named in the plan; the values stay.
    However often the toolkit's unit was started just before, it is not too often for systemd.
    """
    passes.shell(
        f"mkdir -p {DROP_IN}; printf '[Unit]\\nStartLimitIntervalSec=1h\\n' > {DROP_IN}/long.conf;"
        " systemctl daemon-reload"
    )
    mine = passes.shell(f"docker run -d --name mine {NVIDIA} base sleep infinity").strip()
    passes.shell(f"sed -i 's/^log-level = .*/# louder\\nlog-level = \"debug\"/' {CONFIG}")
    for version, did in ((older, "Downgrade:"), (newer, "Upgrade:")):
        passes.shell(
            f"systemctl reset-failed {REFRESH} || :;"
            f" for n in 1 2 3 4 5; do systemctl start {REFRESH}; done"
        )
        found = passes.plan(_toolkit(version))["container-toolkit.packages"]
        assert found.verdict is Verdict.DRIFTED
        assert ("# louder" in found.will) is (did == "Downgrade:"), "it is gone after the first"
        assert all_hold(passes.up(_toolkit(version)))
        config = passes.look(f"cat {CONFIG}")
        assert ("# louder" in config, 'log-level = "debug"' in config) == (False, True)
        assert _installed() == {f"{version}-1"}
        line = next(x for x in _transaction().splitlines() if x.startswith(did))
        assert all(f"{name}:" in line for name in PACKAGES), line
        assert all_hold(passes.plan(_toolkit(None))), "what is installed stays"
        assert all_hold(passes.plan(deployed))
        state = "docker inspect -f '{{.Id}} {{.State.Running}} {{.RestartCount}}' mine"
        assert passes.look(state).split() == [mine, "true", "0"]
        listed = passes.look("docker exec mine nvidia-smi -L")
        assert listed.count("GPU ") == 2
        _gpus_in_containers()
    passes.shell(f"docker rm -f mine; rm -r {DROP_IN}; systemctl daemon-reload")


@once
def test_a_named_version_that_cannot_be_had() -> None:
    """Too old for gpurig: it is lifted. On hold: it is named. Not there: what is there is told."""
    assert all_hold(passes.up(_toolkit(older)))
    assert passes.drifted(_toolkit(None, newer)) == {"container-toolkit.packages"}
    found = passes.plan(_toolkit(None, "99.0"))["container-toolkit.packages"]
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason == (f"{older}-1 is older than 99.0; apt's lists have {newer}-1, {older}-1")
    passes.shell("apt-mark hold libnvidia-container1")
    found = passes.plan(_toolkit(newer))["container-toolkit.packages"]
    passes.shell("apt-mark unhold libnvidia-container1")
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason.startswith("libnvidia-container1 is on hold")
    with pytest.raises(HostError, match=f"has no nvidia-container-toolkit 99.0; it has {newer}"):
        passes.up(_toolkit("99.0"))
    assert _installed() == {f"{older}-1"}, "nothing was moved"
    assert all_hold(passes.up(_toolkit(newer)))


@once
def test_a_driver_that_does_not_answer_is_due() -> None:
    """Without NVML no spec can be made: that is said, nothing is written, and Docker starts."""
    passes.shell(f"cp {KEPT} /root/spec; mv /usr/bin/nvidia-smi /usr/bin/nvidia-smi.off")
    passes.shell(DEADLY.format(KEPT))

    found = passes.up(deployed)

    assert found["container-toolkit.cdi"].verdict is Verdict.DUE
    assert _specs() == []
    assert found["docker.service"].verdict is Verdict.HOLDS
    passes.shell(f"mv /root/spec {KEPT}; mv /usr/bin/nvidia-smi.off /usr/bin/nvidia-smi")
