"""CUDA and cuDNN of the system: programs are compiled in a login shell, linked and started."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from gpurig.proofs.plugin import Subject, not_applicable, not_run

KERNEL = """
#include <cstdio>
__global__ void twice(int *x) { x[threadIdx.x] *= 2; }
int main() {
    int version = 0, count = 0, values[32], *device = nullptr;
    cudaRuntimeGetVersion(&version);
    printf("%d\\n", version);
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) { puts("no device"); return 0; }
    for (int i = 0; i < 32; i++) values[i] = i;
    cudaMalloc(&device, sizeof values);
    cudaMemcpy(device, values, sizeof values, cudaMemcpyHostToDevice);
    twice<<<1, 32>>>(device);
    cudaError_t error = cudaMemcpy(values, device, sizeof values, cudaMemcpyDeviceToHost);
    bool right = error == cudaSuccess;
    for (int i = 0; i < 32; i++) right = right && values[i] == 2 * i;
    puts(right ? "computed" : cudaGetErrorString(error));
}
"""

COMPILER = """
#include <cstdio>
int main() {
#ifdef __clang_major__
    printf("clang %d\\n", __clang_major__);
#else
    printf("gcc %d\\n", __GNUC__);
#endif
}
"""

CUDNN = """
#include <cstdio>
DECLARED
int main() { printf("%zu\\n", (size_t) cudnnGetVersion()); }
"""


class Login:
    """A login shell of an unprivileged user in a private folder."""

    def __init__(self, host: Host, user: str, private: str) -> None:
        self.host = host
        self.user = user if host.run("id %s", user).rc == 0 else "nobody"
        self.folder = str(self.host.check_output(f"{self._as} mktemp -d {private}/XXXXXXXX"))

    @property
    def _as(self) -> str:
        return f"runuser -u {shlex.quote(self.user)} --"

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        self.run(f"printf %s {shlex.quote(text)} > {name}")

    def run(self, line: str) -> CommandResult:
        """Run a line of shell in the folder."""
        line = f"cd {self.folder} && {{ {line}; }}"
        return self.host.run(f"{self._as} env -i HOME={self.folder} sh -lc %s", line)

    def compiled(self, line: str) -> None:
        """Run a compiler, which must be content."""
        told = self.run(line)
        words = (told.stderr or told.stdout).strip().splitlines() or ["no output"]
        error = next((word for word in words if "error" in word or "fatal" in word), words[-1])
        assert told.rc == 0, f"{line}: {error}"


@pytest.fixture
def login(host: Host, subject: Subject, private: str) -> Iterator[Login]:
    """A login shell; its folder is removed afterwards."""
    shell = Login(host, subject.user, private)
    yield shell
    host.run("rm -rf %s", shell.folder)


def _needs(subject: Subject, part: str) -> None:
    if not subject.stack[part] or subject.stack[part]["from"] == "wheels":
        not_applicable(f"this host has no system-wide {part}")


@pytest.mark.proof("cuda.compiles")
def test_nvcc_compiles_for_each_gpu(host: Host, subject: Subject, login: Login) -> None:
    """nvcc compiles and links a program with code for each GPU's architecture."""
    _needs(subject, "cuda")
    told = login.run("nvcc --version")
    assert told.rc == 0, f"nvcc: {(told.stderr.strip().splitlines() or ['no output'])[-1]}"
    release = re.search(r"release (\d+\.\d+)", told.stdout)
    assert release, "nvcc --version names no release"
    subject.detail["nvcc"] = release[1]
    wanted = re.match(r"\d+\.\d+", subject.stack["cuda"]["version"])
    assert not wanted or wanted[0] == release[1], f"nvcc is {release[1]}, not {wanted[0]}"
    login.write("twice.cu", KERNEL)
    architectures = [f"sm_{c.replace('.', '')}" for c in subject.stack["cuda"]["capabilities"]]
    for architecture in architectures or [""]:
        option = f"-arch={architecture} " if architecture else ""
        login.compiled(f"nvcc {option}-o twice twice.cu")
        inside = login.run("cuobjdump --list-elf twice")
        if architecture and inside.rc == 0:
            assert f".{architecture}." in inside.stdout, (
                f"the program has no code for {architecture}"
            )
    subject.detail["architectures"] = architectures
    if host.run("test -e /proc/driver/nvidia/version -a -c /dev/nvidiactl").rc:
        subject.remark = "compiled, not run: this host has no GPU that computes"
        return
    ran = login.run("./twice")
    said = ran.stdout.strip().splitlines() or ["no output"]
    assert said[-1] == "computed", f"the program printed {said[-1]}"


@pytest.mark.proof("cuda.host-compiler")
def test_the_host_compiler_is_within_the_limit(subject: Subject, login: Login) -> None:
    """The compiler that nvcc calls is not newer than the CUDA toolkit allows."""
    _needs(subject, "cuda")
    login.write("which.cu", COMPILER)
    login.compiled("nvcc -o which which.cu")
    kind, major = login.run("./which").stdout.split()
    subject.detail["compiler"] = f"{kind} {major}"
    header = login.run("cat $(nvcc -M which.cu | tr -s ' \\\\' '\\n\\n' | grep -m1 host_config.h$)")
    name = "__clang_major__" if kind == "clang" else "__GNUC__"
    limits = re.findall(rf"^#if .*{name} *(>=?) *(\d+)", header.stdout, re.MULTILINE)
    assert limits, "the toolkit's host_config.h names no limit"
    above, limit = limits[0]
    highest = int(limit) - (above == ">=")
    subject.detail["limit"] = highest
    assert int(major) <= highest, f"{kind} is {major}, the toolkit allows at most {highest}"


@pytest.mark.proof("cuda.loader")
def test_a_program_finds_the_cuda_runtime(subject: Subject, login: Login) -> None:
    """A program linked with the shared CUDA runtime starts."""
    _needs(subject, "cuda")
    login.write("twice.cu", KERNEL)
    login.compiled("nvcc -cudart shared -o twice twice.cu")
    missing = login.run("ldd twice | grep 'not found'").stdout.strip()
    assert not missing, missing
    version = (login.run("./twice").stdout.strip().splitlines() or ["0"])[0]
    assert version.isdigit(), "the CUDA runtime reports no version"
    subject.detail["runtime"] = f"{int(version) // 1000}.{int(version) % 1000 // 10}"


@pytest.mark.proof("cudnn.version")
def test_a_program_asks_cudnn_for_its_version(subject: Subject, login: Login) -> None:
    """A program compiled with cuDNN reports a version that the GPUs allow."""
    _needs(subject, "cudnn")
    if subject.stack["cuda"] and subject.stack["cuda"]["from"] != "wheels":
        login.write("version.cu", CUDNN.replace("DECLARED", "#include <cudnn.h>"))
        login.compiled("nvcc -o version version.cu -lcudnn")
    else:  # its header needs those of CUDA
        compiler = login.run("ls /usr/bin/c++ /usr/bin/g++-* | head -n 1").stdout.strip()
        if not compiler:
            not_run("this host has no C++ compiler")
        declared = 'extern "C" size_t cudnnGetVersion(void);'
        login.write("version.cc", CUDNN.replace("DECLARED", declared))
        login.compiled(f"{compiler} -o version version.cc -l:libcudnn.so.9")
    told = login.run("./version")
    assert told.rc == 0, (told.stderr.strip().splitlines() or ["no output"])[-1]
    number = int(told.stdout)
    # Up to 8.9 it was 8907, since then 91002.
    thousand, hundred = (10_000, 100) if number >= 90_000 else (1000, 100)
    version = (number // thousand, number % thousand // hundred, number % hundred)
    subject.detail["version"] = ".".join(map(str, version))
    maximum = subject.stack["cudnn"]["maximum"]
    if maximum:
        highest = tuple(int(part) for part in maximum.split(".")[:3])
        assert version[: len(highest)] <= highest, f"the GPUs allow at most {maximum}"
