"""What scripts/refresh-tables proposes, of answers of registries that stand here."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "refresh-tables"

FRAMEWORKS = """\
# Newest first.

[[release]]
name = "pytorch"
version = "2.14.1"
python = ["3.13"]
source = "read by somebody"
date = 2026-11-24

[[release.builds]]
accelerator = "cuda"
pins = ["torch==2.14.1"]
cuda = ">=13.0.3,<13.1"
cudnn = ">=9.24.0.43,<9.25"

[[release.builds]]
accelerator = "cuda"
pins = ["torch==2.14.1"]
cuda = ">=12.6.77,<12.7"

[[release]]
name = "jax"
version = "0.10.2"
source = "read by somebody"
date = 2026-11-24
"""

DRIVERS = """\
[[driver]]
distribution = "debian"
release = "13"
branch = 550
version = "550.163.01"
date = 2026-11-24

[[driver]]
distribution = "ubuntu"
release = "13"
branch = 550
version = "550.163.01"
date = 2026-11-24
"""

MADISON = """\
nvidia-kernel-dkms | 550.163.01-2 | http://mirror/debian trixie/non-free amd64 Packages
nvidia-kernel-dkms | 1:550.200.02-1~bpo13+1 | http://mirror/debian trixie-updates/non-free amd64 Packages
nvidia-kernel-dkms | 580.65.06-1 | http://mirror/debian somewhere/non-free amd64 Packages
"""  # noqa: E501 (as apt prints it)


@pytest.fixture(scope="module")
def script():
    """The script as a module: its name has no ending."""
    loader = SourceFileLoader("refresh_tables", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(autouse=True, scope="module")
def no_compiled_script():
    """It is read anew each time: nothing compiled stays in scripts/."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield
    sys.dont_write_bytecode = before


def test_a_newer_release_stands_before_the_newest_and_says_that_it_is_unread(script):
    new = script.with_release(
        FRAMEWORKS, "pytorch", "2.15.0", {"cuda": ">=13.2.2,<13.3"}, "2026-12-01"
    )
    first, second, third = script.blocks(new)[1:]
    assert 'version = "2.15.0"' in first
    assert first.count("torch==2.15.0") == 2
    assert script.UNREAD.format("cuda") in first
    assert "date = 2026-12-01" in first
    assert second + third == "".join(script.blocks(FRAMEWORKS)[1:])


def test_only_the_preferred_build_gets_what_the_wheel_of_the_usual_index_brings(script):
    brings = {"cuda": ">=13.2.2,<13.3", "cudnn": ">=9.26.0.51,<9.27"}
    new = script.with_release(FRAMEWORKS, "pytorch", "2.15.0", brings, "2026-12-01")
    first = script.blocks(new)[1]
    assert 'cuda = ">=13.2.2,<13.3"' in first
    assert 'cudnn = ">=9.26.0.51,<9.27"' in first
    assert 'cuda = ">=12.6.77,<12.7"' in first


@pytest.mark.parametrize("version", ["2.14.1", "2.9.1"])
def test_a_release_that_is_not_newer_changes_nothing(script, version):
    """As versions: 2.9 is not after 2.14."""
    assert script.with_release(FRAMEWORKS, "pytorch", version, {}, "2026-12-01") == FRAMEWORKS
    assert script.difference("f.toml", FRAMEWORKS, FRAMEWORKS) == ""


def test_a_row_in_another_place_is_found_by_its_name(script):
    new = script.with_release(FRAMEWORKS, "jax", "0.11.0", {}, "2026-12-01")
    assert [script.value(row, "version") for row in script.blocks(new)[1:]] == [
        "2.14.1", "0.11.0", "0.10.2"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "bound"),
    [
        ("==12.8.90", ">=12.8.90,<12.9"),
        ("==9.26.0.51", ">=9.26.0.51,<9.27"),
        ("<13.0,>=12.5.82", ">=12.5.82,<13.0"),
        (">=2.18.1", ">=2.18.1"),
    ],
)
def test_a_specifier_becomes_the_bounds_of_the_tables(script, asked, bound):
    assert script.bounds(asked) == bound


def test_what_a_wheel_brings_is_read_of_its_requirements(script):
    """The toolkit before its parts, of Linux on x86_64, and with the extra that asks for CUDA."""
    requires = [
        "numpy>=1.26",
        "nvidia-cudnn-cu12<10.0,>=9.3.0.75; extra == 'and-cuda'",
        "nvidia-cuda-nvcc-cu12<13.0,>=12.5.90; extra == 'and-cuda'",
        "nvidia-cuda-runtime-cu12<13.0,>=12.5.82; extra == 'and-cuda'",
        "nvidia-nccl-cu12==2.27.7; platform_system == 'Linux' and platform_machine == 'x86_64'",
        "nvidia-nccl-cu12==1.0.0; platform_system == 'Windows'",
    ]
    assert script.brought(requires, "and-cuda") == {
        "cuda": ">=12.5.82,<13.0", "cudnn": ">=9.3.0.75,<10.0", "nccl": ">=2.27.7,<2.28"
    }  # fmt: skip
    assert script.brought(requires, "") == {"nccl": ">=2.27.7,<2.28"}
    assert script.brought(["cuda-toolkit[cudart]==13.0.2"], "") == {"cuda": ">=13.0.2,<13.1"}


def test_the_newest_driver_of_each_known_suite_counts(script):
    assert script.packaged(MADISON, {"trixie": "13"}) == {"13": "550.200.02"}
    assert script.packaged("", {"trixie": "13"}) == {}


def test_a_newer_driver_changes_the_rows_of_its_release_of_debian_alone(script):
    new = script.with_driver(DRIVERS, "13", "580.65.06", "2026-12-01")
    debian, ubuntu = script.blocks(new)[1:]
    assert 'branch = 580\nversion = "580.65.06"\ndate = 2026-12-01' in debian
    assert ubuntu == script.blocks(DRIVERS)[2]
    assert script.with_driver(DRIVERS, "13", "535.1", "2026-12-01") == DRIVERS


def test_the_difference_can_be_applied(script):
    new = script.with_driver(DRIVERS, "13", "580.65.06", "2026-12-01")
    said = script.difference("src/t.toml", DRIVERS, new)
    assert said.startswith("--- a/src/t.toml\n+++ b/src/t.toml\n@@ ")
    assert '-version = "550.163.01"\n' in said
    assert '+version = "580.65.06"\n' in said


def test_the_tables_that_ship_are_cut_into_their_rows(script):
    for table, array in (("frameworks", "release"), ("drivers", "driver")):
        text = (script.ROOT / script.TABLES / f"{table}.toml").read_text(encoding="utf-8")
        assert "".join(script.blocks(text)) == text
        rows = [row for row in script.blocks(text) if script.is_of(array, row)]
        assert rows
        assert all(script.value(row, "version") for row in rows)


def test_the_index_is_asked_for_the_wheel_of_the_newest_release(script):
    """By its first pin: PyTorch is called torch there, and CUDA is an extra of TensorFlow's."""
    text = (script.ROOT / script.TABLES / "frameworks.toml").read_text(encoding="utf-8")
    asked = script.wheels(text)
    assert asked["pytorch"] == ("torch", "")
    assert asked["tensorflow"] == ("tensorflow", "and-cuda")
    assert asked["horovod"] == ("horovod", "")


def test_a_new_release_brings_no_row_of_another_table_with_it(script):
    """What stands behind the last release of a framework is not copied."""
    text = FRAMEWORKS + '\n[[environment_size]]\nframework = "jax"\n'
    new = script.with_release(text, "jax", "0.11.0", {}, "2026-12-01")
    assert new.count("[[environment_size]]") == 1
    assert new.count("[[release]]") == text.count("[[release]]") + 1


def test_it_names_no_registry():
    assert "://" not in SCRIPT.read_text(encoding="utf-8")
