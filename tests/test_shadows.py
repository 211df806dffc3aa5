"""What shadows an environment, and whether a build has a kernel for a GPU."""

from __future__ import annotations

import pytest

from gpurig.proofs.shadows import has_kernel, shadowed, without_its_own

# As torch.cuda.get_arch_list() of PyTorch 2.x and tensorflow.sysconfig.get_build_info() of 2.21
# name what they were built for.
TORCH_CU126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
TORCH_CU128 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
TENSORFLOW = ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"]


@pytest.mark.parametrize(
    ("architectures", "capability", "fits"),
    [
        (TORCH_CU126, (9, 0), True),
        (TORCH_CU126, (8, 9), True),  # machine code of 8.6 runs on 8.9
        (TORCH_CU126, (12, 0), False),  # Blackwell, on a build without it and without PTX
        (TORCH_CU126, (6, 1), True),
        (TORCH_CU126, (3, 7), False),
        (TORCH_CU128, (12, 0), True),
        (TORCH_CU128, (7, 0), False),  # Volta is gone: 7.5 does not run on 7.0
        (TORCH_CU128, (12, 1), True),
        (TENSORFLOW, (12, 0), True),  # compiled from PTX when it is first used
        (TENSORFLOW, (7, 5), True),
        (TENSORFLOW, (5, 2), False),
        (["sm_90a"], (9, 0), True),
        (["sm_100a"], (10, 3), False),
        (["sm_100f"], (10, 3), True),
        (["compute_90a"], (10, 0), False),
        ([], (9, 0), False),
    ],
)
def test_a_kernel_runs_by_cudas_rules(
    architectures: list[str], capability: tuple[int, int], fits: bool
) -> None:
    """Machine code within its major capability, PTX on all later ones, suffixed only on its own."""
    assert has_kernel(architectures, capability) is fits


PREFIX = "/opt/gpurig/venvs/pytorch"
SITE = f"{PREFIX}/lib/python3.13/site-packages"
TORCH = f"{SITE}/torch/lib/libtorch_cpu.so"


def _answer(*libraries: str, modules: tuple[tuple[str, str], ...] = ()) -> dict[str, object]:
    brought = ["libc10", "libtorch_cpu", "libgomp", "libcudnn", "_random.cpython-313"]
    mapped = ["/usr/lib/x86_64-linux-gnu/libc.so.6", TORCH, *libraries]
    return {"prefix": PREFIX, "libraries": mapped, "brought": brought, "modules": list(modules)}


def test_an_environment_with_its_own_libraries_is_not_shadowed() -> None:
    """The system's C library, Python's own modules and the driver are nobody's shadow."""
    answer = _answer(
        f"{SITE}/nvidia/cudnn/lib/libcudnn.so.9",
        "/usr/lib/python3.13/lib-dynload/_random.cpython-313-x86_64-linux-gnu.so",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01",
        "/usr/lib/x86_64-linux-gnu/libnvidia-ptxjitcompiler.so.550.163.01",
    )
    assert shadowed(answer, {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64"}) == []
    assert not without_its_own(answer, "pytorch")


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/cuda-12.4/lib64/libcudnn.so.8.9.7",
        "/usr/local/cuda-12.4/lib64/libcudart.so.12",
        "/usr/local/cuda-12.4/lib64/libnvrtc-builtins.so.12.4",
        "/usr/local/cuda-12.4/lib64/stubs/libcuda.so",
        "/usr/local/cuda-12.4/lib64/libc10.so",
    ],
)
def test_what_shadows_is_named_with_its_path_and_the_variable(path: str) -> None:
    """One sentence has the library, where it lies, and by which variable it was found."""
    variable = {"LD_LIBRARY_PATH": f"/opt/other:{path.rpartition('/')[0]}/"}
    (sentence,) = shadowed(_answer(path), variable)
    assert path in sentence
    assert f"LD_LIBRARY_PATH={variable['LD_LIBRARY_PATH']}" in sentence


def test_cuda_of_the_system_is_right_where_it_was_asked_for() -> None:
    """With rig_cuda = "system" its libraries may come from there; stubs never."""
    toolkit = "/usr/local/cuda-12.4/lib64"
    assert shadowed(_answer(f"{toolkit}/libcudart.so.12"), {}, system_cuda=True) == []
    assert shadowed(_answer(f"{toolkit}/stubs/libcuda.so"), {}, system_cuda=True)


def test_a_second_copy_beside_its_own_is_no_shadow() -> None:
    """A system library that something else needs does not take the place of the environment's."""
    mine, theirs = f"{SITE}/torch/lib/libgomp.so.1", "/usr/lib/x86_64-linux-gnu/libgomp.so.1"
    assert shadowed(_answer(mine, theirs), {}) == []
    assert shadowed(_answer(theirs), {})


def test_a_foreign_module_is_named_with_the_variable() -> None:
    """A numpy.py in a folder of PYTHONPATH."""
    answer = _answer(modules=(("numpy", "/home/ann/lib/numpy.py"),))
    (sentence,) = shadowed(answer, {"PYTHONPATH": "/srv:/home/ann/lib"})
    assert sentence == (
        "the module numpy comes from /home/ann/lib/numpy.py, not from the environment, because of"
        " PYTHONPATH=/srv:/home/ann/lib"
    )


def test_a_framework_whose_libraries_came_from_elsewhere_has_none_of_its_own() -> None:
    """Nothing is proven by an import alone."""
    answer = _answer() | {"libraries": ["/usr/lib/python3/dist-packages/torch/lib/libtorch.so"]}
    assert without_its_own(answer, "pytorch")
