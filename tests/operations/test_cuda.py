"""CUDA's promises on a booted Debian 13: Debian's real toolkit, stand-ins with NVIDIA's names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from gpurig.contract.finding import Finding, Verdict
from gpurig.deploy.cuda import cuda
from gpurig.engine.proving import prove
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.facts.cuda import PROFILE
from gpurig.facts.cudnn import PREFERENCES
from gpurig.hosts.inventory import HostSpec
from gpurig.operations.cuda import LOADER_FILE
from gpurig.settings.table import Settings
from gpurig.stack.model import Archive, Cuda, Cudnn, Repository, Stack
from lab.lab import Lab
from lab.plugin import Boot

from .cuda_packages import CUDNN, HOME, stand_ins
from .passes import Passes

pytestmark = pytest.mark.lab

DEBIAN = Cuda(
    version="12.4",
    origin="distribution",
    packages=("nvidia-cuda-toolkit",),
    home="/usr",
    gcc=13,
    capabilities=("7.5", "9.0"),
    components=("contrib", "non-free"),
)

passes: Passes
repository: Repository


def _debian() -> Stack:
    return Stack("debian 13", "x86_64", cuda=DEBIAN, archive=Archive("Debian", "trixie"))


def _nvidia(maximum: str | None = "9.10.2") -> Stack:
    toolkit = Cuda("12.8", "nvidia", ("cuda-toolkit-12-8",), HOME, 13, repository=repository)
    return Stack("debian 13", "x86_64", cuda=toolkit, cudnn=Cudnn("9", maximum, "nvidia", CUDNN))


def _deploy(stack: Stack) -> None:
    cuda(stack, Settings())


def _plan(stack: Stack) -> dict[str, Finding]:
    return passes.plan(lambda: _deploy(stack))


def _up(stack: Stack, broken: set[str] | None = None) -> dict[str, Finding]:
    found = passes.up(lambda: _deploy(stack), broken)
    kept = (Verdict.HOLDS, Verdict.LEFT_OUT)
    wrong = {id: one for id, one in found.items() if one.verdict not in kept}
    assert not wrong, wrong
    return found


@pytest.fixture(scope="module", autouse=True)
def _host(lab: Lab, boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A bare host that one run brings to Debian's toolkit, and NVIDIA's repository beside it."""
    global passes, repository
    folder = tmp_path_factory.mktemp("cuda")
    served = lab.repository("cuda-standins")
    served.publish(stand_ins(folder))
    repository = Repository(
        "gpurig-lab-cuda", served.packages_url, "/", (), served.key_url, served.fingerprint
    )
    passes = Passes.over(boot("trixie", "cuda13"))
    found = _plan(_debian())
    assert found["cuda.packages"].verdict is Verdict.DRIFTED
    assert found["cuda.loader"].verdict is Verdict.FOLLOWS
    _up(_debian())
    yield
    passes.link.close()
    shutil.rmtree(folder, ignore_errors=True)


def _proofs(stack: Stack) -> dict[str, Proof]:
    """How the proofs of this layer end."""
    data = passes.host.ssh_data()
    spec = HostSpec.of(passes.host.name, "ssh", data["ssh_hostname"], data)
    result = HostResult(spec.name, answer=stack)
    proofs = prove(spec, result, False, lambda _: None, lambda _: None)
    return {proof.id: proof for proof in proofs if proof.id.startswith(("cuda.", "cudnn."))}


def test_debian_s_nvcc_compiles_within_its_limit() -> None:
    """For the resolved architectures, with a compiler that its header takes; gcc 14 stays."""
    passes.shell("apt-get -qq -y install --no-install-recommends g++ >/dev/null 2>&1")
    found = _proofs(_debian())
    assert {id: proof.verdict for id, proof in found.items()} == {
        "cuda.compiles": ProofVerdict.PASSED,
        "cuda.host-compiler": ProofVerdict.PASSED,
        "cuda.loader": ProofVerdict.PASSED,
        "cudnn.version": ProofVerdict.NOT_APPLICABLE,
    }, found
    assert found["cuda.compiles"].detail["architectures"] == ["sm_75", "sm_90"]
    assert found["cuda.host-compiler"].detail == {"compiler": "gcc 13", "limit": 13}
    assert passes.shell("gcc -dumpversion").strip() == "14", "the user's default is not touched"


DEBIAN_DRIFTS = {
    "gone": (("dpkg --remove nvidia-cuda-toolkit", "cuda.packages"),),
    "several": (
        ("dpkg --force-depends --remove g++-13", "cuda.host-compiler"),
        ("rm /etc/ld.so.cache", "cuda.loader"),
        (f"echo CUDA_HOME=/x > {PROFILE}", "cuda.profile"),  # left by another toolkit
    ),
}


def _broken(drifts: tuple[tuple[str, str], ...], stack: Stack) -> None:
    """The plan names the promises that are broken, and no other; one run repairs them."""
    for script, _ in drifts:
        passes.shell(script)
    _up(stack, {promise for _, promise in drifts})


@pytest.mark.parametrize("drifts", DEBIAN_DRIFTS.values(), ids=DEBIAN_DRIFTS)
def test_drifts_of_debian_s_are_named_and_repaired(drifts: tuple[tuple[str, str], ...]) -> None:
    """A toolkit, its compiler, the loader's cache or a file of login shells is not as it was."""
    _broken(drifts, _debian())


def test_the_downloader_without_its_library_is_named() -> None:
    """Debian's nvidia-cudnn after a no to the licence: one sentence says what a person can do."""
    stack = Stack("debian 13", "x86_64", cudnn=Cudnn("9.0", None, "distribution"))
    assert "install nvidia-cudnn" in _plan(stack)["cudnn.library"].reason
    passes.shell(
        "echo 'nvidia-cudnn nvidia-cudnn/question select I Decline' | debconf-set-selections;"
        " apt-get -qq -y install --no-install-recommends nvidia-cudnn >/dev/null 2>&1;"
        " dpkg-query -W -f '${db:Status-Status}' nvidia-cudnn | grep -x installed"
    )
    found = _plan(stack)["cudnn.library"]
    assert found.verdict is Verdict.UNKNOWN
    assert "update-nvidia-cudnn" in found.reason
    assert "rig_cudnn" in found.reason
    found = _plan(_nvidia())["cudnn.packages"]
    assert found.verdict is Verdict.UNKNOWN, "NVIDIA's packages would overwrite files of Debian's"
    assert "purge nvidia-cudnn" in found.reason
    passes.shell("apt-get -qq -y purge nvidia-cudnn >/dev/null 2>&1")


def test_nvidia_s_toolkit_comes_beside_debian_s() -> None:
    """Repository, packages, link, loader, login shells; Debian's stays; again, nothing."""
    before = _plan(_nvidia())
    assert before["cuda.link"].verdict is Verdict.FOLLOWS
    _up(_nvidia())
    assert passes.shell("readlink -f /usr/local/cuda").strip() == HOME
    assert passes.shell("sh -lc 'command -v nvcc'").strip() == f"{HOME}/bin/nvcc"
    assert "-ccbin /usr/bin/g++-13" in passes.shell("sh -lc 'echo $NVCC_PREPEND_FLAGS'")
    assert passes.shell("dpkg-query -W -f '${Version}' libcudnn9-cuda-12") == "9.10.2.21-1"
    assert "release 12.4" in passes.shell("/usr/bin/nvcc --version")


NEWER = "apt-get -qq -y --allow-downgrades install {}=9.28.0.51-1 {}=9.28.0.51-1 2>&1".format(
    *CUDNN
)
OTHER = "/usr/local/cuda-12.4"
NVIDIA_DRIFTS = {
    "changed": (
        (f"mkdir -p {OTHER}/bin; ln -sfn {OTHER} /usr/local/cuda", "cuda.link"),
        (f"echo export CUDA_HOME=/usr >> {PROFILE}", "cuda.profile"),
        (f"rm {PREFERENCES}; {NEWER}", "cudnn.packages"),  # newer than the GPUs allow
        ("sed -i s/10[.]77/10.78/ /etc/apt/sources.list.d/gpurig-gpurig-lab-cuda.sources",
         "cuda.repository"),
    ),
    "gone": (
        ("rm /usr/local/cuda", "cuda.link"),
        (f"rm {LOADER_FILE}; ldconfig", "cuda.loader"),
        (f"rm {PROFILE}", "cuda.profile"),
        (f"dpkg --remove {CUDNN[1]}", "cudnn.packages"),
    ),
    "another choice": (
        (f"update-alternatives --install /usr/local/cuda cuda {OTHER} 1;"
         f" update-alternatives --set cuda {OTHER}", "cuda.link"),
        (f"rm {PREFERENCES}", "cudnn.packages"),  # apt may upgrade it
    ),
}  # fmt: skip


@pytest.mark.parametrize("drifts", NVIDIA_DRIFTS.values(), ids=NVIDIA_DRIFTS)
def test_drifts_of_nvidia_s_are_named_and_repaired(drifts: tuple[tuple[str, str], ...]) -> None:
    """A link, a file, a version of cuDNN is not as it was; apt does not lift cuDNN again."""
    _broken(drifts, _nvidia())
    assert passes.shell("readlink -f /usr/local/cuda").strip() == HOME
    assert passes.shell("dpkg-query -W -f '${Version}' libcudnn9-cuda-12") == "9.10.2.21-1"
    assert "9.28" not in passes.shell("apt-get -s upgrade")


def test_a_folder_of_the_user_is_left_alone() -> None:
    """A real folder at /usr/local/cuda is named, and nothing is put into its place."""
    passes.shell("rm /usr/local/cuda; mkdir /usr/local/cuda; touch /usr/local/cuda/mine")
    found = passes.up(lambda: _deploy(_nvidia()))["cuda.link"]
    assert found.verdict is Verdict.UNKNOWN
    assert "a real folder" in found.reason
    passes.shell("rm /usr/local/cuda/mine; rmdir /usr/local/cuda")
    _up(_nvidia())


def test_without_a_maximum_apt_may_upgrade() -> None:
    """The pin goes, the installed version stays, and a program that is compiled tells it."""
    passes.shell(f"rm -f {PROFILE}")  # Debian's nvcc compiles: NVIDIA's is a stand-in
    found = _proofs(_nvidia())["cudnn.version"]
    assert found.verdict is ProofVerdict.PASSED, asdict(found)
    assert found.detail["version"] == "9.10.2"
    _up(_nvidia(None), {"cudnn.packages", "cuda.profile"})
    assert passes.host.run(f"ls {PREFERENCES}", check=False).rc
    assert passes.shell("dpkg-query -W -f '${Version}' libcudnn9-cuda-12") == "9.10.2.21-1"
