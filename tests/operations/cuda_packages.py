"""Packages with the names and the layout of NVIDIA's, and next to nothing in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

HOME = "/usr/local/cuda-12.8"
CUDNN = ("libcudnn9-cuda-12", "libcudnn9-dev-cuda-12")


def _deb(folder: Path, name: str, version: str, files: dict[str, bytes], **control: str) -> Path:
    """A package with files; those under bin/ can be run; `control` has fields and postinst."""
    root = folder / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    scripts = {key: control.pop(key) for key in ("postinst", "prerm") if key in control}
    fields = {"Package": name, "Version": version, "Architecture": "amd64", "Description": "x"}
    fields |= {"Maintainer": "gpurig lab <lab@example.org>", **control}
    (root / "DEBIAN/control").write_text("".join(f"{k}: {v}\n" for k, v in fields.items()))
    for script, text in scripts.items():
        (root / "DEBIAN" / script).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (root / "DEBIAN" / script).chmod(0o755)
    for path, data in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if "/bin/" in path else 0o644)
    built = folder / f"{name}_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", root, built], check=True, capture_output=True
    )
    return built


def _library(folder: Path, soname: str, source: str = "") -> bytes:
    """A shared library with this name and this C source."""
    folder.mkdir(exist_ok=True)
    (folder / "source.c").write_text(source)
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", folder / "library"]
    subprocess.run([*command, folder / "source.c"], check=True)
    return (folder / "library").read_bytes()


def stand_ins(folder: Path) -> list[Path]:
    """NVIDIA's toolkit with two files in its layout, and two versions of its cuDNN."""
    nvcc = b"#!/bin/sh\necho 'Cuda compilation tools, release 12.8, V12.8.93'\n"
    alternative = "update-alternatives --{} cuda {}"
    debs = [
        _deb(
            folder,
            "cuda-nvcc-12-8",
            "12.8.93-1",
            {
                f"{HOME}/bin/nvcc": nvcc,
                f"{HOME}/lib64/libcudart.so.12": _library(folder / "rt", "libcudart.so.12"),
            },
        ),
        _deb(
            folder,
            "cuda-toolkit-12-8",
            "12.8.1-1",
            {},
            Depends="cuda-nvcc-12-8",
            postinst=f"update-alternatives --install /usr/local/cuda cuda {HOME} 128",
            prerm=alternative.format("remove", HOME),
        ),
    ]
    place = "/usr/lib/x86_64-linux-gnu"
    for short, version in (("9.10.2", "9.10.2.21-1"), ("9.28.0", "9.28.0.51-1")):
        major, minor, patch = map(int, short.split("."))
        source = f"unsigned long cudnnGetVersion(void) {{ return {major}{minor:02}{patch:02}; }}"
        library = _library(folder / short, "libcudnn.so.9", source)
        header = b'extern "C" unsigned long cudnnGetVersion(void);\n'
        files = {f"{place}/libcudnn.so.{short}": library}
        debs.append(_deb(folder, CUDNN[0], version, files, postinst="ldconfig"))
        # A link in a package would need a link here; a linker script names the library as well.
        script = f"INPUT({place}/libcudnn.so.{short})\n".encode()
        files = {f"{place}/libcudnn.so": script, "/usr/include/cudnn.h": header}
        needs = f"{CUDNN[0]} (= {version})"
        debs.append(_deb(folder, CUDNN[1], version, files, Depends=needs))
    return debs
