"""What people write for a GPU, and which one gpurig takes it for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpurig.errors import InputError
from gpurig.stack.gpu_ids import first_release
from gpurig.stack.gpu_names import called, every_name
from gpurig.stack.gpu_words import gpus
from gpurig.stack.gpus import is_nvswitch, row_of
from gpurig.stack.versions import numbers

H100, SWITCH = "10de:2330", "10de:22a3"
LSPCI = """\
00:00.0 Host bridge [0600]: Intel Corporation Device [8086:0998] (rev 04)
02:00.0 VGA compatible controller [0300]: ASPEED Technology, Inc. ASPEED Graphics [1a03:2000]
17:00.0 3D controller [0302]: NVIDIA Corporation GH100 [H100 SXM5 80GB] [10de:2330] (rev a1)
\tSubsystem: NVIDIA Corporation Device [10de:16c1]
\tKernel driver in use: nvidia
2d:00.0 3D controller [0302]: NVIDIA Corporation GH100 [H100 SXM5 80GB] [10de:2330] (rev a1)
2d:00.1 Audio device [0403]: NVIDIA Corporation Device [10de:1aef] (rev a1)
07:00.0 Bridge [0680]: NVIDIA Corporation GH100 [H100 NVSwitch] [10de:22a3] (rev a1)
"""
SMI_Q = """\
==============NVSMI LOG==============
Driver Version                            : 535.183.01
Attached GPUs                             : 1
GPU 00000000:17:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    PCI
        Bus                               : 0x17
        Device Id                         : 0x233010DE
        Sub System Id                     : 0x16C110DE
"""
SMI_L = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0f1e2d3c)\r
  MIG 1g.10gb     Device  0: (UUID: MIG-0f1e2d3c)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-4b5a6978)
"""
SMI = """\
+-----------------------------------------+------------------------+----------------------+
| NVIDIA-SMI 580.65.06   Driver Version: 580.65.06      CUDA Version: 13.0                |
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:17:00.0 Off |                    0 |
| N/A   34C    P0             71W /  700W |       1MiB /  81559MiB |      0%      Default |
"""


SMI_CUT = """\
|   0  NVIDIA RTX 6000 Ada Gene...    On  |   00000000:17:00.0 Off |                    0 |
|   1  NVIDIA A100-SXM...  On   | 00000000:07:00.0 Off |                    0 |
"""
VGA = "01:00.0 VGA compatible controller: NVIDIA Corporation {} (rev a1)"


def _report(*machines: list[str]) -> str:
    hosts = {
        f"gpu{n}": {"facts": {"gpus": [{"id": pci_id} for pci_id in ids], "nvswitches": None}}
        for n, ids in enumerate(machines)
    }
    return json.dumps({"schema": 1, "command": "up", "hosts": hosts, "errors": []})


@pytest.mark.parametrize(
    ("text", "ids"),
    {
        "10DE:2330": [H100],
        "10de:2330 x2": [H100] * 2,
        "RTX 5090": ["10de:2b85"],
        "rtx5090": ["10de:2b85"],
        "NVIDIA GeForce RTX 4090 D": ["10de:2685"],
        "NVIDIA H100 80GB HBM3 x8": [H100] * 8,
        "NVIDIA H100 80 GB HBM3": [H100],
        "2x NVIDIA A100-SXM4-80GB": ["10de:20b2"] * 2,
        "2xL40S": ["10de:26b9"] * 2,
        "gtx 1080 ti": ["10de:1b06"],
        "Tesla T4": ["10de:1eb8"],
        "1ae0:0062": ["1ae0:0062"],
        LSPCI: [H100, H100, SWITCH],
        LSPCI.splitlines()[2]: [H100],
        "17:00.0 0302: 10de:2330 (rev a1)": [H100],
        "01:00.0 VGA compatible controller: NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)": [
            "10de:2204"
        ],
        SMI_Q: [H100],
        "<pci_device_id>0x233010DE</pci_device_id>": [H100],
        SMI_L: [H100, H100],
        SMI: [H100],
        SMI_CUT: ["10de:26b1", "10de:20b0"],
        VGA.format("GK208B [GeForce GT 710]"): ["10de:1281"],
        VGA.format("GM107M [GeForce GTX 860M]"): ["10de:1392"],
        "name, memory.total [MiB]\nNVIDIA H100 80GB HBM3, 81559 MiB": [H100],
        _report([H100, H100]): [H100, H100],
        _report([H100], [H100]): [H100],
    }.items(),
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)  # fmt: skip
def test_ids_names_and_listings_are_read(text: str, ids: list[str]) -> None:
    """Each device once, in the order of the text; what is no GPU and no NVSwitch is passed over."""
    assert list(gpus(text).ids) == ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rtx 6000", ["Quadro RTX 6000 (10de:1e30)", "RTX 6000 Ada Generation (10de:26b1)"]),
        ("RTX", ["more; write more of its name"]),
        ("GH100", ["NVIDIA H100 NVL (10de:2321)", "more; write more of its name"]),
        ("Quadro 4000", ["no GPU in gpurig's tables"]),
        ("Quadro 5000", ["no GPU in gpurig's tables"]),
        ("Quadro 6000", ["no GPU in gpurig's tables"]),
        ("GeForce 510", ["no GPU in gpurig's tables"]),
        (VGA.format("GF100GL [Quadro 4000]"), ["no GPU in gpurig's tables"]),
        (VGA.format("GF119 [GeForce GT 710]"), ["no GPU in gpurig's tables"]),
        ("NVIDIA GeForce ...", ["more; nvidia-smi cut the name", "nvidia-smi -L", "lspci -nn"]),
        ("NVIDIA Voodoo ...", ["no GPU in gpurig's tables; nvidia-smi cut", "nvidia-smi -L"]),
        ("...", ["no GPU in gpurig's tables"]),
        ("AGX Orin", ["a Jetson, which has its own stack", "--kernel"]),
        ("GPU 0: Orin (nvgpu) (UUID: 0f1e)", ["a Jetson, which has its own stack"]),
        ("1002:744c", ["device of AMD"]),
        ("Radeon RX 7900 XTX", ["GPU of AMD"]),
        ("MI300X", ["GPU of AMD"]),
        ("8086:56a0", ["device of Intel"]),
        ("Intel Arc A770", ["GPU of Intel"]),
        (LSPCI.splitlines()[1], ["device of ASPEED"]),
        ("8087:0026", ["no PCI id of NVIDIA's"]),
        ("2330", ["no GPU in gpurig's tables", "10de:2330"]),
        ("Voodoo 5", ["no GPU in gpurig's tables"]),
        ("H100 PCIex4", ["no GPU in gpurig's tables"]),
        ("99x h100", ["99 GPUs", "1 to 64"]),
        ("0x h100", ["0 GPUs"]),
        ("", ["names no GPU"]),
        (" \n\n", ["names no GPU"]),
        ("h" * 5000, ["no GPU in gpurig's tables"]),
        ("{", ["no report.json"]),
        ('{"hosts": [1]}', ["no report.json"]),
        ('{"hosts": {"a": {"facts": {"gpus": [{"id": "$(id)"}]}}}}', ["no report.json"]),
        ('{"hosts": {"a": {"facts": {"gpus": {"unknown": "no /sys"}}}}}', ["no report.json"]),
        (_report([]), ["no host with a GPU", "CPU"]),
        (_report([H100], ["10de:20b2"]), ["2 hosts have different GPUs", "--facts"]),
        ("[" * 100_000, ["no GPU in gpurig's tables"]),
        ('{"hosts":' + "[" * 100_000, ["no report.json"]),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_names_no_single_gpu_is_one_short_sentence(text: str, words: list[str]) -> None:
    """Another maker's GPU is recognised as that; a name of several lists them."""
    with pytest.raises(InputError) as caught:
        gpus(text)
    said = str(caught.value)
    assert all(word in said for word in words), said
    assert "\n" not in said
    assert len(said) < 1000


def test_a_name_of_several_that_need_the_same_is_taken_and_noted() -> None:
    """The family of a data centre's GPU is one answer; a laptop's is another card."""
    found = gpus("2x h100")
    assert len(found.ids) == 2
    assert len(found.notes) == 1
    assert "NVIDIA H100 PCIe (10de:2331)" in found.notes[0]
    assert row_of(found.ids[0]) == row_of(H100)
    releases = [numbers(first_release(one) or "") for one, _ in called("h100", every_name())]
    assert numbers(first_release(found.ids[0])) == max(releases)
    assert gpus("RTX A2000 Laptop").ids == ("10de:25b8",)
    assert all("Laptop" not in name for _, name in called("A2000", every_name()))


@pytest.mark.parametrize(
    ("name", "newest"),
    [("H100", True), ("GH200", True), ("RTX 4090 Laptop", False), ("V100", False)],
)
def test_a_note_speaks_of_the_newest_driver_where_they_need_different_ones(
    name: str, newest: bool
) -> None:
    """Not where all candidates need the same one, and not where no list has them."""
    (note,) = gpus(name).notes
    assert ("needs the newest driver" in note) is newest


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("NVIDIA RTX 6000 Ada Gene...", {"10de:26b1"}),
        ("nvidia rtx pro 6000 blac...", {"10de:2bb1", "10de:2bb4", "10de:2bb5"}),
        ("RTX 2000 Ada Gene...", {"10de:28b0", "10de:28b8", "10de:28f8"}),
        ("NVIDIA A100-SXM...", {"10de:20b0", "10de:20b2", "10de:20b3"}),
        ("Tesla V100-SXM3...", {"10de:1db8"}),
    ],
)
def test_a_name_that_was_cut_is_any_that_begins_so(name: str, ids: set[str]) -> None:
    """With and without NVIDIA's name, and noted where several do."""
    assert {pci_id for pci_id, _ in called(name, every_name())} == ids
    found = gpus(name)
    assert set(found.ids) <= ids
    assert len(found.notes) == (len(ids) > 1)


def test_a_name_that_was_cut_is_longer_than_what_is_left_of_it() -> None:
    """nvidia-smi has room for RTX 4070: what it cuts there goes on with Ti, SUPER or Laptop GPU."""
    names = {name for _, name in called("NVIDIA GeForce RTX 4070 ...", every_name())}
    assert {"NVIDIA GeForce RTX 4070 Ti", "NVIDIA GeForce RTX 4070 Laptop GPU"} <= names
    assert "NVIDIA GeForce RTX 4070" not in names
    assert gpus("NVIDIA GeForce RTX 4070 ...").notes


def test_each_name_of_the_tables_finds_its_own_id() -> None:
    """Whatever else has the name; none is another's alone, and all are GPUs."""
    pairs = list(every_name())
    for pci_id, name in pairs:
        assert pci_id in {found for found, _ in called(name, pairs)} or len(name.split()) == 1, name
        assert row_of(pci_id) is not None, name
        assert not is_nvswitch(pci_id)


def _resolve(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpurig.cli.main", "resolve", "--os", "debian:13", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)


def test_a_listing_comes_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    """A file that is none of a listing is named in the sentence; nothing is printed then."""
    (tmp_path / "pci.txt").write_text(LSPCI)
    (tmp_path / "notes.txt").write_text("milk\neggs\n")
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    of_file = _resolve("--gpu", str(tmp_path / "pci.txt"), "--json")
    of_stdin = _resolve("--gpu", "-", "--json", stdin=LSPCI)
    assert of_file.returncode == of_stdin.returncode == 0, of_file.stderr
    stack = json.loads(of_file.stdout)["hosts"]["given"]["stack"]
    assert stack == json.loads(of_stdin.stdout)["hosts"]["given"]["stack"]
    assert [gpu["id"] for gpu in stack["gpus"]] == [H100, H100]
    assert stack["driver"]["fabric_manager"]
    for file in ("notes.txt", "noise"):
        wrong = _resolve("--gpu", str(tmp_path / file))
        assert wrong.returncode == 2
        assert wrong.stderr.startswith(f"gpurig: {tmp_path / file}: ")
        assert wrong.stderr.count("\n") == 1
        assert not wrong.stdout


def test_a_driver_that_is_there_decides_what_runs_under_it() -> None:
    """It stays; frameworks come with a CUDA that it runs; a GPU that it does not drive refuses."""
    wishes = ("--set", "rig_frameworks=pytorch", "--json")
    done = _resolve("--gpu", "NVIDIA H100 80GB HBM3", "--driver", "535.183.01", *wishes)
    stack = json.loads(done.stdout)["hosts"]["given"]["stack"]
    assert done.returncode == 0
    assert stack["driver"]["minimum_version"] == "535.183.01"
    assert stack["driver"]["packages"] == []
    assert stack["cuda"]["version"].startswith(">=12")
    refused = _resolve("--gpu", "RTX 5090", "--driver", "535.183.01")
    assert refused.returncode == 2
    assert "the installed driver 535.183.01" in refused.stdout


@pytest.mark.parametrize("words", [("535",), ("newest",), ("535.183.01-1ubuntu1",), ()], ids=str)
def test_a_wrong_driver_is_one_sentence(words: tuple[str, ...]) -> None:
    """Neither a branch nor a package's version; and a driver without a GPU drives nothing."""
    given = ("--gpu", "T4", "--driver", *words) if words else ("--driver", "535.183.01")
    done = _resolve(*given)
    assert done.returncode == 2
    assert done.stderr.startswith("gpurig: --driver: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("10de:2330,10de:2331", ("10de:2330", "10de:2331")),
        ("2x 10de:2330, 10de:2684", ("10de:2330", "10de:2330", "10de:2684")),
        ("name, memory.total [MiB]\nNVIDIA GeForce RTX 5090, 32607 MiB", ("10de:2b85",)),
    ],
)
def test_a_comma_drops_no_gpu(word: str, ids: tuple[str, ...]) -> None:
    """It parts words; only in a table of nvidia-smi's what follows it is no GPU."""
    assert gpus(word, "--gpu").ids == ids
