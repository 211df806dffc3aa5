"""
Install what locks name by uv, from where pip is configured to take it.

    .venv/bin/python -I scripts/uv_as_pip.py UV-LOCK ARGUMENT…

uv itself comes by the pip that Python brings, the rest by ``uv pip install ARGUMENT…``. uv reads
nothing of pip's configuration, so ``environment`` tells it: the one place where the two meet.
"""

from __future__ import annotations

import ast
import ensurepip
import os
import re
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "client-cert": "SSL_CLIENT_CERT",
}
# The options and variables that say from where. No other is for what is installed here: a target,
# constraints or a --user of somebody's would lead elsewhere.
PIP = (*NAMES, "cert", "proxy", "no-index", "cache-dir", "no-cache-dir", "keyring-provider")
UV = re.compile(
    "UV_(?!INDEX_STRATEGY)(.*INDEX.*|FIND_LINKS|INSECURE_HOST|HTTP_.*|.*CACHE.*|NATIVE_TLS"
    "|SYSTEM_CERTS|KEYRING_PROVIDER|OFFLINE)"
)
LISTS_ALL = {"PIP_USER": "0", "PIP_GLOBAL": "0", "PIP_SITE": "0"}  # not one level of files alone
SAYS_LESS = ("PIP_QUIET", "PIP_LOG", "PIP_VERBOSE")  # of what is listed, or more


def main(uv_lock: str, *arguments: str) -> None:
    """Become uv, which is installed first where it is missing."""
    uv = Path(sys.executable).with_name("uv")
    with TemporaryDirectory() as folder:  # unpacked, it compiles its modules once
        ZipFile(bundled_pip()).extractall(folder)
        pip = [sys.executable, "-I", f"{folder}/pip"]
        listed = subprocess.run(
            [*pip, "config", "list"], stdout=subprocess.PIPE, text=True, check=True,
            env={k: v for k, v in os.environ.items() if k not in SAYS_LESS} | LISTS_ALL,
        )  # fmt: skip
        options = configured(listed.stdout)
        if not uv.exists():
            install = [*pip, "install", "-q", "--disable-pip-version-check", "--no-compile"]
            subprocess.run(
                [*install, "--require-hashes", "-r", uv_lock],
                env=for_pip(options, os.environ), check=True,
            )  # fmt: skip
    command = [str(uv), "pip", "install", "--python", sys.executable, *arguments]
    if options.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t"):
        command.append("--no-index")  # no variable stands for it
    own = {k: v for k, v in os.environ.items() if not k.startswith("UV_") or UV.fullmatch(k)}
    told = {**own, **environment(options, os.environ)}
    os.chdir(Path(__file__).parents[1])  # the caller's folder may hold a uv.toml of another project
    if not writable(subprocess.check_output([uv, "cache", "dir"], text=True, env=told).strip()):
        command.append("--no-cache")  # pip does without a cache as well
    sys.stdout.flush()
    os.execve(uv, command, told)


def bundled_pip() -> Path:
    """The wheel of the pip that ``venv`` would install, which takes ten times as long."""
    bundled = Path(ensurepip.__file__).parent / "_bundled"
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), bundled, "/usr/share/python-wheels"]
    for folder in filter(None, folders):
        for wheel in sorted(Path(folder).glob("pip-*.whl")):
            return wheel
    sys.exit(f"ensurepip of {sys.executable} has no pip")


def configured(listed: str) -> dict[str, str]:
    """
    pip's options as ``pip install`` sees them.

    + listed: as ``pip config list`` prints it
    """
    found = {}
    for section in ("global", "install", ":env:"):  # the later one wins
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                found[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return found


def for_pip(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's environment: of its options those that say from where, and none from any file."""
    told = {k: v for k, v in environ.items() if not k.startswith("PIP_")}
    for option in set(PIP) & options.keys():
        told[f"PIP_{option.upper().replace('-', '_')}"] = " ".join(options[option].split())
    return {**told, "PIP_CONFIG_FILE": os.devnull}


def environment(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """
    What uv must be told so that it downloads as pip does with these options.

    + environ: as it is; what it tells uv by uv's own names counts
    """
    told = {}
    for option, name in NAMES.items():
        words = options.get(option, "").split()
        if option == "find-links":
            words = [w if "://" in w else os.path.abspath(w) for w in words]
        if words and name not in environ:
            told[name] = ("," if option == "find-links" else " ").join(words)
    if proxy := options.get("proxy"):
        told |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}
    # pip takes the best of all indexes. Every file is compared with its hash, wherever it is from.
    told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    bundles = (
        options.get("cert"),
        environ.get("REQUESTS_CA_BUNDLE"),
        environ.get("CURL_CA_BUNDLE"),
    )
    if bundle := next(filter(None, bundles), None):
        told["SSL_CERT_DIR" if os.path.isdir(bundle) else "SSL_CERT_FILE"] = bundle
    if system_certificates():
        told["UV_SYSTEM_CERTS"] = "1"
    return told


def system_certificates() -> bool:
    """Whether this machine has a store of its own; without one, uv's is as good as pip's."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or (paths.capath and os.listdir(paths.capath)))


def writable(folder: str) -> bool:
    """Whether the folder is there, or can be made, and written."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as error:  # what failed has said why
        sys.exit(error.returncode)
