"""A framework is a row of the tables, a workload and a probe: one test for each that is missing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import matmul
import mnist_keras
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gpurig.contract.frameworks import bases, frameworks, keras_backend, proofs
from gpurig.proofs.probe import program
from gpurig.stack.rows import BuildRow
from gpurig.stack.tables import tables
from gpurig.wheels import locks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOCKS = Path(locks.__file__).parent / "data" / "locks"
PROBES = {file.stem for file in (ROOT / "tests/proofs/probes").glob("*.py")} - {"__init__"}
MEASURED = {"cpu", "cuda"}  # of others the room is not known, and that of the CPU is taken
each_framework = pytest.mark.parametrize("name", frameworks())


def _builds(name: str) -> list[BuildRow]:
    return [build for row in tables().release if row.name == name for build in row.builds]


def test_each_release_is_of_a_framework_and_each_framework_has_one() -> None:
    """A name without [[framework]] is no setting; one without [[release]] is never resolved."""
    released = {row.name for row in tables().release}
    assert released == set(frameworks()), f"only one of both: {released ^ set(frameworks())}"


@each_framework
def test_the_room_is_known_for_each_accelerator(name: str) -> None:
    """[[environment_size]] of what computes; Keras and Horovod take what their base takes."""
    known = {row.accelerator for row in tables().environment_size if row.framework == name}
    wanted = {build.accelerator for build in _builds(name)} & MEASURED
    missing = set() if frameworks()[name].bases else wanted - known
    assert not missing, f"no [[environment_size]] of {name} for {', '.join(sorted(missing))}"


@each_framework
def test_it_has_a_title(name: str) -> None:
    """Reports write it as its makers do."""
    title = frameworks()[name].title
    assert title != name, f"[[framework]] {name} has no title"
    assert title.lower() == name


@each_framework
def test_programs_show_that_it_works(name: str) -> None:
    """`proofs` of its row names at least one, and each is a file of workloads/."""
    shown = frameworks()[name].proofs
    assert shown, f"[[framework]] {name} has no proofs"
    missing = [one for one in shown if not (ROOT / "workloads" / f"{one}.py").is_file()]
    assert not missing, f"there is no workloads/{missing[0]}.py, which proofs of {name} names"


@each_framework
def test_its_programs_can_compute_with_it(name: str) -> None:
    """matmul.py and mnist_keras.py have a few lines for each framework that computes by itself."""
    for base in frameworks()[name].bases or (name,):
        module = frameworks()[base].module
        shown = proofs(name, base if base != name else None)
        assert shown or base == name, f"{name} and {base} name no program that both have"
        if "matmul" in shown:
            assert module in matmul.FRAMEWORKS, f"matmul.py does not multiply with {module}"
        if "mnist_keras" in shown:
            assert module in mnist_keras.BACKENDS, f"mnist_keras.py does not train with {module}"
            assert keras_backend(base), f"Keras does not stand on {base}"


@each_framework
def test_it_has_a_probe(name: str) -> None:
    """tests/proofs/probes/NAME.py says what it computes on; its `look` is called by name."""
    assert name in PROBES, f"there is no tests/proofs/probes/{name}.py"
    tree = ast.parse((ROOT / f"tests/proofs/probes/{name}.py").read_text())
    (look,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert (look.name, [one.arg for one in look.args.args]) == ("look", ["told", "base"])


def test_no_probe_is_left_over() -> None:
    """Each is of a framework."""
    assert set(frameworks()) >= PROBES, f"no framework: {PROBES - set(frameworks())}"


@each_framework
def test_the_bases_are_frameworks_that_compute_by_themselves(name: str) -> None:
    """Nothing stands on what stands on something."""
    assert set(frameworks()[name].bases) <= set(frameworks()) - set(bases())


@each_framework
def test_a_machine_of_the_cases_has_it(name: str) -> None:
    """tests/stack/cases.toml says which release and build a machine gets."""
    cases = tomllib.loads((ROOT / "tests/stack/cases.toml").read_text())["case"]
    had = {line.split()[0] for case in cases for line in case.get("environments", ())}
    assert name in had, f"no case in tests/stack/cases.toml has {name} among its environments"


@each_framework
def test_the_guide_names_it(name: str) -> None:
    """docs/how-to/environments.md has every framework."""
    page = (ROOT / "docs/how-to/environments.md").read_text()
    assert re.search(rf"\b{name}\b", page), f"docs/how-to/environments.md does not name {name}"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/lock-environments as a module: its name has no ending."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader = SourceFileLoader("lock_environments", str(ROOT / "scripts/lock-environments"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


@each_framework
def test_its_locks_ship(script: ModuleType, name: str) -> None:
    """Those that scripts/lock-environments makes, and no other."""
    wanted = {key for key, one in script.wanted(name).items() if not one.index}
    there = {file.stem for file in LOCKS.glob(f"{name}-*.txt")}
    assert there == wanted, f"run scripts/lock-environments {name} (and remove what it left)"


# What a wheel brings, by the column that bounds it; static libraries bring no distribution.
BROUGHT = {"cudnn": "nvidia-cudnn-cu", "nccl": "nvidia-nccl-cu"}


@each_framework
def test_what_its_locks_bring_is_within_the_bounds_of_its_builds(
    script: ModuleType, name: str
) -> None:
    """A lock with cuDNN or NCCL is of a build that bounds it, and one without is not."""
    for key, environment in script.wanted(name).items():
        if environment.index or not (LOCKS / f"{key}.txt").is_file():
            continue  # the test above names one that is missing
        computing = environment.base or name
        platform = "linux-aarch64" if "-aarch64-" in key else "linux-x86_64"
        (build,) = (
            build
            for build in _builds(computing)
            if set(build.pins) <= set(environment.pins)
            and platform in build.platforms
            and (build.accelerator, build.index) == (environment.accelerator, None)
        )
        pins = locks.pins((LOCKS / f"{key}.txt").read_text())
        for column, begins in BROUGHT.items():
            bound = getattr(build, column)
            brought = [version for pin, version in pins.items() if pin.startswith(begins)]
            assert bool(brought) == bool(bound), f"{key}: {column} is {bound}, the lock {brought}"
            assert not bound or SpecifierSet(bound).contains(brought[0]), f"{key}: {column}"


def test_the_wheels_of_a_framework_are_those_of_its_builds() -> None:
    """By their first pin, of every release, the usual one first."""
    assert frameworks()["pytorch"].wheels == ("torch",)
    assert frameworks()["tensorflow"].wheels == ("tensorflow",)
    for name, one in frameworks().items():
        assert {Requirement(build.pins[0]).name for build in _builds(name)} == set(one.wheels)


def test_on_a_base_both_name_the_program() -> None:
    """In the base's order: Horovod learns on PyTorch in plain PyTorch, Keras in Keras."""
    assert proofs("pytorch", None) == ("matmul", "mnist_pytorch", "mnist_keras")
    assert proofs("horovod", "pytorch") == ("matmul", "mnist_pytorch", "mnist_keras")
    assert proofs("horovod", "tensorflow") == ("matmul", "mnist_keras")
    assert proofs("keras", "pytorch") == ("matmul", "mnist_keras")


def test_keras_computes_with_its_bases_alone() -> None:
    """It calls PyTorch torch; on Horovod or on itself it computes with nothing."""
    found = {name: keras_backend(name) for name in frameworks()}
    assert (found["tensorflow"], found["pytorch"], found["jax"]) == ("tensorflow", "torch", "jax")
    assert {name for name, backend in found.items() if backend} == set(bases()["keras"])


def test_a_probe_says_what_is_missing() -> None:
    """The program of all probes starts with nothing but Python, and ends with its JSON line."""
    for name in PROBES:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program(), name, "", ""],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = json.loads(done.stdout)
        assert told["error"].startswith("ModuleNotFoundError: No module named"), done.stderr
        assert told["computed"] == {}
