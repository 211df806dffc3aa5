"""What scripts/wheel-code reads in binaries that NVIDIA's own tools made."""

from __future__ import annotations

import struct
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from gpurig.stack.rows import BuildRow

SCRIPT = Path(__file__).parents[2] / "scripts" / "wheel-code"
DATA = Path(__file__).parents[1] / "data" / "fatbins"
SPECIFIC, PLAIN, FAMILY = ((DATA / f"{name}.fatbin").read_bytes()
                           for name in ("specific", "plain", "family"))  # fmt: skip
CUBINS = [f"{major}.0" for major in (5, 6, 7, 8, 9)]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    loader = SourceFileLoader("wheel_code", str(SCRIPT))
    module = module_from_spec(spec_from_loader("wheel_code", loader))
    sys.modules["wheel_code"] = module
    loader.exec_module(module)
    return module


def library(**sections: bytes) -> bytes:
    """An ELF file of these sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in sections) + b".names\0"
    bodies = [*sections.values(), names]
    table, place, body = [bytes(64)], 64, b""
    for name, held in zip([*sections, ".names"], bodies, strict=True):
        at = names.index(name.encode() + b"\0")
        table.append(struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, place, len(held), 0, 0, 8, 0))
        body += held + bytes(-len(held) % 8)
        place = 64 + len(body)
    numbers = (64, len(table), len(table) - 1)
    head = b"\x7fELF\2\1\1".ljust(0x28, b"\0") + struct.pack("<Q", place)
    return head.ljust(0x3A, b"\0") + struct.pack("<HHH", *numbers) + body + b"".join(table)


def wheel(folder: Path, **files: bytes) -> Path:
    """A wheel of these files."""
    path = folder / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, held in files.items():
            archive.writestr(f"some/{name}.so.2", held)
    return path


def test_targets_are_told_apart_whatever_packs_them(script: ModuleType) -> None:
    """LZ4, zstd or nothing; by the flags, and where these say nothing by the PTX itself."""
    data = library(nv_fatbin=SPECIFIC + PLAIN, rodata=FAMILY)
    assert [tuple(code) for code in script.fatbins(data)] == [
        (("8.0",), ("9.0a",)),
        ((), ("9.0",)),
        (("9.0a", "10.0f"), ("12.0f",)),
    ]


def test_code_that_no_program_loads_does_not_count(script: ModuleType) -> None:
    """What was linked into another fatbin stays in the file beside it."""
    data = library(nv_fatbin=SPECIFIC, __nv_relfatbin=PLAIN, rodata=PLAIN)
    assert len(list(script.fatbins(data))) == 2


def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(script: ModuleType) -> None:
    """Every length ends, and none raises."""
    data = library(nv_fatbin=SPECIFIC)
    at = data.index(script.MAGIC)
    for end in (at + 9, at + 40, at + 100, at + len(SPECIFIC) - 1):
        cut = data[:end].ljust(end + 64, b"\0")
        table = struct.pack("<Q", len(cut)) + cut[0x30:0x3A] + struct.pack("<HHH", 64, 0, 0)
        assert len(list(script.fatbins(cut[:0x28] + table + cut[0x40:]))) <= 1


def test_a_wheel_is_all_its_libraries_and_its_compiler(script: ModuleType, tmp_path: Path) -> None:
    """The newest target counts, plain ones only, and no list of a few names is a compiler."""
    names = b"".join(b"\0sm_%d" % n for n in (*range(50, 60), 120)) + b"\0sm_121a\0nosm_130\0"
    path = wheel(tmp_path, one=library(nv_fatbin=SPECIFIC), two=library(rodata=names))
    found = script.of_wheel(path, script.Found())
    assert (found.code.total(), found.compiler) == (1, "12.0")
    few = wheel(tmp_path, one=library(rodata=names[-30:]), text=b"no library")
    assert script.of_wheel(few, script.Found()).compiler is None


def found_in(script: ModuleType, **counts: int) -> object:
    """What a wheel would hold: fatbins for all, of attention, and for Hopper alone."""
    held = {
        "every": script.Code(tuple(CUBINS), ("9.0",)),
        "bound": script.Code(tuple(CUBINS[:-1]), ("9.0a",)),
        "attention": script.Code(("8.0", "8.6", "9.0"), ()),
        "hopper": script.Code(("9.0a",), ()),
    }
    return script.Found(script.Counter({held[name]: n for name, n in counts.items()}), "9.0")


def test_kernels_for_one_architecture_decide_nothing(script: ModuleType) -> None:
    """However many they are; what every GPU needs decides."""
    found = found_in(script, every=20, attention=10, hopper=500)
    assert [c for c in ("4.0", "5.2", "9.0", "12.0") if found.serves(c)] == ["5.2", "9.0", "12.0"]


def build(**columns: object) -> BuildRow:
    """A row of a build."""
    return BuildRow(accelerator="cuda", platforms=[], pins=[], **columns)


def test_where_row_and_wheel_differ_it_is_said(script: ModuleType) -> None:
    """A GPU that cannot compile a large part, a cubin that is not there, a compiler."""
    found = found_in(script, every=20, bound=80)
    right = build(capabilities=CUBINS, ptx=["9.0a"], compiler="9.0")
    assert list(script.differences(right, found)) == []
    wrong = build(capabilities=[*CUBINS, "12.0"], ptx=["9.0a"], compiler="12.0")
    said = "\n".join(script.differences(wrong, found))
    assert "the row runs on 12.0, its wheel does not run there" in said
    assert "a cubin for 12.0, its wheel has none" in said
    assert "compiler goes to 12.0, its wheel's to 9.0" in said


def test_a_requirement_names_the_wheels_that_hold_kernels(script: ModuleType) -> None:
    """JAX's are in the two plugins of the CUDA that is asked for."""
    jax = build()
    jax.pins.append("jax[cuda13]==0.10.2")
    assert script.wheels(jax) == ["jax-cuda13-pjrt==0.10.2", "jax-cuda13-plugin==0.10.2"]
