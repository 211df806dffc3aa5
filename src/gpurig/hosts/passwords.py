"""The sudo password of this machine, asked for once where somebody is there to type it."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from dataclasses import replace

from gpurig.hosts.inventory import HostSpec


def with_sudo_password(spec: HostSpec, person: bool) -> HostSpec:
    """
    The host with the password that sudo wants, if it is this machine and sudo wants one.

    + person: whether somebody is at a terminal; without, sudo's own refusal is told

    It goes to sudo's standard input and nowhere else.
    """
    needed = spec.transport == "local" and os.geteuid() != 0 and "_sudo_password" not in spec.data
    if not needed or not person or shutil.which("sudo") is None:
        return spec
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return spec
    password = getpass.getpass(f"sudo password of {getpass.getuser()}: ")
    return replace(spec, data={**spec.data, "_sudo_password": password})
