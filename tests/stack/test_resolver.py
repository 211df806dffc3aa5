"""Hosts that people have, and the stack or the refusal that each gets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gpurig.contract.values import as_json
from gpurig.settings.checks import validate
from gpurig.stack.candidates import candidates
from gpurig.stack.described import Given, described
from gpurig.stack.model import Docker, Stack
from gpurig.stack.reading import saved
from gpurig.stack.rootless import rootless
from gpurig.stack.site import Draft, Refused, site
from gpurig.stack.tables import tables
from stack.observations import IDS, answer, debian, left_out, refusal, stack

H100, BLACKWELL = IDS["hopper"], IDS["blackwell"]
INSTALLED = {"flavour": "open", "packages": ["nvidia-kernel-open-dkms"], "held": []}


def test_an_h100_on_debian_13_gets_the_proprietary_driver():
    """The open one of the same version does not build on its kernel."""
    found = stack(debian("13", [H100]))
    assert found.driver is not None
    assert (found.driver.minimum_version, found.driver.flavour) == ("550.163.01", "proprietary")
    assert found.driver.components == ("contrib", "non-free", "non-free-firmware")
    assert found.driver.dkms == "nvidia-current"
    reason = next(it for it in found.because if it.choice.startswith("driver"))
    assert any("does not build" in rejected for rejected in reason.rejected)
    assert found.kernel is not None
    assert found.kernel.packages == ("linux-headers-amd64",)
    assert found.docker is not None
    assert found.docker.cdi_feature, "Docker 26.1.5 needs features.cdi"
    assert found.environments[0].lock == "tensorflow-2.21.0-py3.13-x86_64-cuda"
    assert found.environments[0].pins == (
        "tensorflow[and-cuda]==2.21.0",
        "nvidia-ml-py",
        "tensorflow-datasets==4.9.10",
        "importlib_resources",
        "matplotlib",
        "scikit-learn",
    )


def test_an_h100_on_debian_12_gets_its_own_versions():
    found = stack(debian("12", [H100]))
    assert found.driver is not None
    assert (found.driver.branch, found.driver.flavour) == ("535", "proprietary")
    assert found.docker is not None
    assert not found.docker.cdi_feature, "Docker 20.10.24 does not know CDI"
    assert found.environments[0].lock == "tensorflow-2.21.0-py3.11-x86_64-cuda"


@pytest.mark.parametrize("release", ["12", "13"])
def test_without_a_gpu_nothing_of_nvidia_is_set_up(release):
    found = stack(debian(release))
    assert (found.driver, found.container_toolkit, found.cuda, found.cudnn) == (None,) * 4
    missing = dict.fromkeys(("driver", "container-toolkit", "cuda"), "no NVIDIA GPU")
    assert left_out(found) == missing
    assert found.environments[0].pins[0] == "tensorflow==2.21.0"
    assert found.docker is not None


@pytest.mark.parametrize("release", ["12", "13"])
@pytest.mark.parametrize("place", ["none", "vm"])
@pytest.mark.parametrize("architecture", ["pascal", "volta", "turing", "ampere", "ada"])
def test_gpus_that_debian_drives_get_its_driver(architecture, place, release):
    found = stack(debian(release, [IDS[architecture]], place))
    assert found.driver is not None
    assert found.driver.flavour == "proprietary"
    assert found.environments[0].accelerator == "cuda"


@pytest.mark.parametrize("release", ["12", "13"])
@pytest.mark.parametrize("architecture", ["blackwell", "rubin"])
def test_gpus_that_debian_does_not_drive_get_nvidias_driver(architecture, release):
    found = stack(debian(release, [IDS[architecture]]))
    assert found.driver is not None
    assert (found.driver.source, found.driver.flavour) == ("nvidia", "open")
    assert found.driver.repository is not None
    assert found.driver.repository.uri.endswith(f"/debian{release}/x86_64/")
    assert found.driver.pinning == f"nvidia-driver-pinning-{found.driver.branch}"


def test_the_ways_out_of_a_kepler_lead_out():
    """What a refusal proposes is not refused."""
    host = debian("13", [IDS["kepler"]])
    assert "driver 470 is the last" in str(refusal(host))
    assert stack(host, driver_source="none").driver is None
    found = stack(host, driver_source="none", accelerator="cpu")
    assert found.environments[0].accelerator == "cpu"


def test_nvidias_repository_can_be_moved():
    place = {"nvidia": {"url": "https://mirror.example.com/cuda", "fingerprint": "B" * 40}}
    found = stack(debian("13", [BLACKWELL]), repositories=place).driver
    assert found is not None
    assert found.repository is not None
    assert found.repository.uri == "https://mirror.example.com/cuda/debian13/x86_64/"
    assert (
        found.repository.key_url == "https://mirror.example.com/cuda/debian13/x86_64/8793F200.pub"
    )
    assert found.repository.fingerprint == "B" * 40


def test_pascal_and_blackwell_in_one_host_are_refused_because_of_each_other():
    found = refusal(debian("13", [IDS["pascal"], BLACKWELL, H100]))
    assert found.conflict == (
        "the GPU GeForce GTX 1080 Ti (10de:1b06)",
        "the GPU NVIDIA B200 (10de:2901)",
        "all GPUs of a host share one driver",
    )


@pytest.mark.parametrize("architecture", ["pascal", "volta"])
def test_before_turing_cudnn_is_bounded_and_has_a_lock_of_its_own(architecture):
    found = stack(debian("13", [IDS[architecture]]))
    assert found.cudnn is not None
    assert found.cudnn.maximum == "9.10.2.21"
    assert "nvidia-cudnn-cu12<=9.10.2.21" in found.environments[0].pins
    assert found.environments[0].lock.endswith("-cuda-cudnn9.10.2.21")


def test_inside_a_container_driver_and_kernel_are_the_outer_machines():
    found = stack(debian("13", [H100], "container"))
    assert (found.driver, found.kernel) == (None, None)
    assert "of the outer machine" in left_out(found)["driver"]
    assert found.environments[0].accelerator == "cuda"
    assert found.container_toolkit is not None


def test_an_image_baked_in_a_container_gets_the_whole_driver():
    found = stack(debian("13", place="container", kernel=None), assume_gpu=["10DE:2330"])
    assert found.assumed
    assert [gpu.id for gpu in found.gpus] == [H100]
    assert found.driver is not None
    assert found.kernel is not None
    assert found.kernel.packages == ("linux-image-amd64", "linux-headers-amd64")


def test_an_assumption_gives_way_to_gpus_that_are_there():
    found = stack(debian("13", [IDS["turing"]]), assume_gpu=[H100])
    assert [gpu.architecture for gpu in found.gpus] == ["turing"]
    assert not found.assumed
    assert any("rig_assume_gpu is ignored" in warning for warning in found.warnings)


def test_under_wsl_the_driver_is_that_of_windows():
    assert "Windows" in left_out(stack(debian("13", [H100], "wsl")))["driver"]


def test_without_systemd_docker_is_left_out_unless_it_was_asked_for():
    host = debian("13", told={"service_manager": None})
    assert "systemd" in left_out(stack(host))["docker"]
    found = refusal(host, components=["docker"])
    assert found.conflict[0] == "rig_components names docker"


def test_a_driver_that_was_asked_for_and_cannot_be_is_refused():
    assert refusal(debian("13"), components=["driver"]).conflict == (
        "rig_components names driver",
        "no NVIDIA GPU",
    )


def test_only_the_components_that_were_named_are_set_up():
    found = stack(debian("13", [H100]), components=["docker"])
    assert found.docker is not None
    assert (found.driver, found.container_toolkit, found.environments) == (None, None, ())


def test_an_unknown_gpu_is_not_guessed():
    host = debian("13", ["10de:ffff"])
    assert "not in gpurig's tables" in str(refusal(host))
    assert stack(host, driver_source="none").environments[0].accelerator == "cpu"
    named = stack(host, driver_branch="550", driver_flavour="proprietary")
    assert named.driver is not None
    assert any("cannot check" in warning for warning in named.warnings)


def test_gpus_that_could_not_be_read_are_not_taken_for_none():
    host = debian("13", told={"gpus": {"unknown": "/sys is not mounted"}})
    assert "/sys is not mounted" in str(refusal(host))
    assert stack(host, driver_source="none", accelerator="cpu").driver is None


def test_the_cpu_can_be_chosen_beside_a_gpu():
    found = stack(debian("13", [H100]), accelerator="cpu")
    assert found.driver is not None
    assert found.environments[0].lock == "tensorflow-2.21.0-py3.13-x86_64-cpu"


def test_cuda_without_a_gpu_is_refused():
    assert 'rig_accelerator = "cuda"' in refusal(debian("13"), accelerator="cuda").conflict


def test_on_aarch64_tensorflow_computes_on_the_cpu():
    arm = {"running": "6.12.117+deb13-arm64", "next": "6.12.117+deb13-arm64"}
    kernel = {**arm, "installed": [arm["next"]], "headers": []}
    host = debian("13", [IDS["ampere"]], told={"architecture": "aarch64", "kernel": kernel})
    found = stack(host, frameworks=["tensorflow"])
    assert found.environments[0].lock == "tensorflow-2.21.0-py3.13-aarch64-cpu"
    assert found.kernel is not None
    assert found.kernel.packages == ("linux-headers-arm64",)
    assert found.container_toolkit is not None
    assert found.container_toolkit.repository.uri.endswith("/deb/arm64")


def test_the_open_flavour_is_taken_where_it_builds_and_refused_where_it_does_not():
    old = stack(debian("13", [H100], kernel="6.12.57+deb13-amd64"), driver_flavour="open")
    assert old.driver is not None
    assert old.driver.packages[0] == "nvidia-open-kernel-dkms"
    new = refusal(debian("13", [H100]), driver_flavour="open", driver_source="distribution")
    assert new.conflict[:3] == (
        'rig_driver_flavour = "open"',
        'rig_driver_source = "distribution"',
        "the kernel 6.12.117+deb13-amd64",
    )
    changes = [way.change for way in new.ways_out]
    assert changes[:2] == ["remove rig_driver_flavour", "remove rig_driver_source"]


def test_an_installed_open_driver_holds_where_it_is_lawful():
    there = INSTALLED | {"version": "550.163.01", "source": "distribution"}
    old = debian("13", [H100], kernel="6.12.57+deb13-amd64", told={"driver_installed": there})
    new = debian("13", [H100], told={"driver_installed": there})
    kept, repaired = stack(old).driver, stack(new).driver
    assert kept is not None
    assert repaired is not None
    assert (kept.flavour, repaired.flavour) == ("open", "proprietary")


def test_a_driver_from_elsewhere_holds_where_it_is_lawful():
    there = INSTALLED | {"version": "575.57.08", "source": "other"}
    found = stack(debian("13", [BLACKWELL], told={"driver_installed": there}))
    assert found.driver is not None
    assert (found.driver.source, found.driver.packages) == ("other", ())
    wrong = refusal(debian("13", [IDS["pascal"]], told={"driver_installed": there}))
    assert wrong.conflict[1].startswith("the installed driver 575.57.08 (open, other): ")


def test_a_branch_that_debian_does_not_bring_comes_from_nvidia_or_not_at_all():
    found = stack(debian("13", [H100]), driver_branch="580").driver
    assert found is not None
    assert (found.branch, found.source) == ("580", "nvidia")
    none = refusal(debian("13", [H100]), driver_branch="600")
    assert none.conflict[0] == 'rig_driver_branch = "600"'


def test_a_python_that_debian_does_not_bring_is_refused():
    assert stack(debian("12"), python="3.11").environments[0].python == "3.11"
    assert "Python 3.11" in str(refusal(debian("12"), python="3.13"))


def test_a_version_that_the_tables_do_not_know_is_refused():
    assert stack(debian("13"), frameworks=["tensorflow>=2.20"]).environments
    assert "2.21.0" in str(refusal(debian("13"), frameworks=["tensorflow==2.99"]))


@pytest.mark.parametrize(
    ("os", "said"),
    [
        (
            {"id": "arch", "version": "", "codename": "", "name": "Arch Linux", "like": []},
            "gpurig does not support Arch Linux; it supports Debian 12, Debian 13, ",
        ),
        (None, "gpurig cannot read its distribution (the host has no os-release)"),
        ({"unknown": "it is no text"}, "gpurig cannot read its distribution (it is no text)"),
    ],
    ids=["arch", "absent", "unknown"],
)  # fmt: skip
def test_a_distribution_that_is_not_supported_is_one_sentence(os, said):
    (conflict,) = refusal(debian("13", told={"os": os})).conflict
    assert conflict.startswith(said)


def test_another_architecture_is_refused():
    assert "ppc64le" in str(refusal(debian("13", told={"architecture": "ppc64le"})))


def test_a_kernel_of_ones_own_needs_its_headers():
    own = {"running": "6.18.5", "next": None, "installed": [], "headers": []}
    assert "has no headers" in str(refusal(debian("13", [H100], "vm", told={"kernel": own})))
    found = stack(debian("13", [H100], "vm", told={"kernel": own | {"headers": ["6.18.5"]}}))
    assert found.kernel is not None
    assert found.kernel.packages == ()
    assert found.driver is not None
    assert found.driver.source == "nvidia", "Debian's builds up to 6.15"


def test_secure_boot_is_warned_of():
    found = stack(debian("13", [H100], told={"secure_boot": "enabled"}))
    assert any("Secure Boot" in warning for warning in found.warnings)


ROOTLESS = {"docker_rootless": True, "users": ["ada"]}


def test_rootless_docker_brings_what_the_docker_at_hand_needs():
    """Debian's keeps its script among its own packages, Docker's brings it in another one."""
    assert stack(debian("13", [H100])).rootless is None
    found = stack(debian("13", [H100]), **ROOTLESS).rootless
    assert found is not None
    assert found.packages == ("rootlesskit", "slirp4netns", "uidmap", "dbus-user-session")
    there = {"package": "docker-ce", "version": "5:28.5.2-1~debian", "source": "docker"}
    found = stack(debian("13", told={"docker_installed": there}), **ROOTLESS).rootless
    assert found is not None
    assert "docker-ce-rootless-extras" in found.packages


def test_rootless_docker_without_docker_is_refused():
    found = refusal(debian("13", told={"service_manager": None}), **ROOTLESS)
    assert found.conflict[0] == "rig_docker_rootless is true"
    assert "systemd" in found.conflict[1]
    assert found.ways_out[0].change == "set rig_docker_rootless = false"


def test_an_installed_docker_ce_is_kept():
    there = {"package": "docker-ce", "version": "5:28.5.2-1~debian", "source": "docker"}
    found = stack(debian("13", [H100], told={"docker_installed": there}))
    assert found.docker is not None
    assert (found.docker.packages, found.docker.cdi_feature) == (("docker-ce",), False)


def test_rootless_docker_of_a_packaging_without_a_row_is_refused():
    wishes = validate({f"rig_{name}": value for name, value in ROOTLESS.items()}, "test")
    draft, engine = Draft(wishes), Docker("distribution", ("moby-engine",), cdi_feature=False)
    with pytest.raises(Refused, match="rig_docker_rootless") as caught:
        rootless(site(wishes, debian("13"), draft), draft, engine)
    assert "moby-engine" in caught.value.conflict[1]


@pytest.mark.parametrize("wish", ["auto", "distribution", "docker"])
def test_a_host_that_converged_to_a_source_of_docker_gets_the_same_stack(wish):
    """Bare, moved and asked again: the packages and the place do not change."""
    first = stack(debian("13", [H100]), docker_source=wish)
    docker = first.docker
    assert docker is not None
    version = {"docker": "5:29.1.3-1~debian", "distribution": "26.1.5+dfsg1-9"}[docker.source]
    there = {"package": docker.packages[0], "version": version, "source": docker.source}
    again = stack(debian("13", [H100], told={"docker_installed": there}), docker_source=wish)
    assert replace(again, because=()) == replace(first, because=())


@pytest.mark.parametrize(("version", "feature"), [("27.5.1-0ubuntu3", True), ("29.1.3-1", False)])
def test_a_docker_that_is_installed_decides_whether_cdi_is_switched_on(version, feature):
    """It is not upgraded, and the distribution may have a newer one by now."""
    there = {"package": "docker.io", "version": version, "source": "distribution"}
    found = stack(debian("13", [H100], told={"docker_installed": there})).docker
    assert found is not None
    assert (found.source, found.cdi_feature) == ("distribution", feature)


def test_a_docker_that_is_not_understood_is_left_alone():
    host = debian("13", told={"docker_installed": {"unknown": "Docker is a snap here"}})
    assert left_out(stack(host))["docker"] == "Docker is a snap here"
    assert "Docker is a snap here" in refusal(host, components=["docker"]).conflict
    undecided = {item.component for item in stack(host).left_out if item.undecided}
    assert undecided == {"docker"}, "wanted, and not to be judged: never right"
    told = {"docker_installed": {"unknown": "Docker is a snap here"}}
    with_gpu = debian("13", [H100], told=told)
    undecided = {item.component for item in stack(with_gpu).left_out if item.undecided}
    assert undecided == {"docker", "container-toolkit"}
    nothing = stack(with_gpu, components=["driver"]).left_out
    assert not any(item.undecided for item in nothing), "not wanted"


def test_the_toolkits_repository_can_be_moved():
    place = {"nvidia-container-toolkit": {"url": "https://mirror.example.com/t/"}}
    found = stack(debian("13", [H100]), repositories=place).container_toolkit
    assert found is not None
    assert found.repository.uri == "https://mirror.example.com/t/stable/deb/amd64"
    assert found.repository.key_url == "https://mirror.example.com/t/gpgkey"
    assert found.repository.fingerprint == "C95B321B61E88C1809C4F759DDCAE044F796ECB0"


def test_a_version_of_the_toolkit_can_be_named():
    """One from the table's minimum on; it is part of the stack and of what people read."""
    found = stack(debian("13", [H100]), container_toolkit="1.19.1").container_toolkit
    assert found is not None
    assert found.version == "1.19.1"
    any_version = stack(debian("13", [H100])).container_toolkit
    assert any_version is not None
    assert any_version.version is None


def test_a_toolkit_that_is_too_old_is_refused():
    """With the table's reason; without a GPU nobody asks for it."""
    found = refusal(debian("13", [H100]), container_toolkit="1.17.9")
    assert found.conflict[0] == "rig_container_toolkit is 1.17.9"
    assert "1.18.0 or newer" in found.conflict[1]
    assert "container-toolkit" in left_out(stack(debian("13"), container_toolkit="1.17.9"))


@pytest.mark.parametrize("release", ["12", "13"])
@pytest.mark.parametrize("gpus", [[], [H100]], ids=["no GPU", "H100"])
def test_a_host_that_converged_gets_the_same_stack(release, gpus):
    bare = debian(release, gpus)
    first = stack(bare)
    driver, docker = first.driver, first.docker
    facts = {key: as_json(value) for key, value in bare.as_json().items()}
    assert docker is not None
    facts["docker_installed"] = {
        "package": "docker.io",
        "version": {"12": "20.10.24+dfsg1-1+deb12u1+b6", "13": "26.1.5+dfsg1-9+deb13u1"}[release],
        "source": docker.source,
    }
    if driver:
        newer = {"12": "535.309.01", "13": "550.163.01"}[release]
        facts["driver_installed"] = {
            "version": newer,
            "flavour": driver.flavour,
            "source": driver.source,
            "packages": list(driver.packages),
            "held": [],
        }
    facts["kernel"]["headers"] = [facts["kernel"]["next"]]
    again = answer(saved(facts))
    assert isinstance(again, Stack)
    assert replace(again, because=()) == replace(first, because=())


def test_branches_of_nvidia_stand_in_the_order_in_which_they_are_taken():
    """LTS, production, new feature, newest first; what was over when the row was written last."""
    settings = validate({"rig_driver_source": "nvidia"}, "test")
    here = site(settings, debian("12", [H100]), Draft(settings))
    branches = [found.branch for found in candidates(here) if found.source == "nvidia"]
    assert list(dict.fromkeys(branches)) == [580, 595, 615, 570, 610, 575]


SECRET_KEYS = {
    "log-opts.splunk-token": {"log-opts": {"splunk-token": "geheim"}},
    "log-opts.gelf-PASSWORD": {"log-opts": {"gelf-PASSWORD": "geheim"}},
    "proxies.secret": {"proxies": {"secret": "geheim"}},
    "runtimes.mine.options.passphrase": {
        "runtimes": {"mine": {"path": "/x", "options": {"passphrase": "geheim"}}}
    },
    "labels.api_token": {"labels": ["site=here", "api_token=geheim"]},
    "exec-opts.client-secret": {"exec-opts": ["client-secret=geheim"]},
}


@pytest.mark.parametrize(("key", "daemon"), SECRET_KEYS.items(), ids=SECRET_KEYS)
def test_a_secret_in_daemon_json_is_warned_of(key, daemon):
    """By the name of its key, never with its value: everybody can read that file."""
    found = stack(debian("13"), docker_daemon=daemon | {"log-driver": "splunk"})
    (warning,) = (one for one in found.warnings if "daemon.json" in one)
    assert warning.startswith(f"every user can read {key} of rig_docker_daemon")
    assert "geheim" not in str(found)
    assert not stack(debian("13"), docker_daemon={"log-opts": {"tag": "secret"}}).warnings


DERIVATIVES = [row for row in tables().distribution if row.like]


@pytest.mark.parametrize("gpus", [[], [H100], [IDS["pascal"]], [BLACKWELL]], ids=str)
@pytest.mark.parametrize(
    "wishes",
    [{}, {"cuda": "system"}, {"driver_source": "nvidia"}, {"docker_source": "docker"}],
    ids=str,
)
@pytest.mark.parametrize("row", DERIVATIVES, ids=lambda row: row.name)
def test_a_derivative_gets_the_stack_of_what_it_is_made_of(row, wishes, gpus):
    """The same answer but for the distribution's name: drivers, repositories, suites, Pythons."""
    (base,) = (one for one in tables().distribution if one.word == row.like)
    ours, theirs = (
        answer(described(Given(one.word, gpus=gpus)), **wishes).as_json() for one in (row, base)
    )
    assert json.dumps(ours, default=str) == json.dumps(theirs, default=str).replace(
        base.name, row.name
    )
