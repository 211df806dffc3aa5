"""
How long a host that is right takes: gpurig, Ansible with the same state, and one SSH command.

    python benchmarks/noop.py [--runs 5]

Boots a Debian 13 without a GPU in the lab (see tests/lab/README.md), converges it, then runs the
four commands in turn and prints medians and ratios. Ansible comes from the package index into an
environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from machines import ROOT, Host, Lab, machine, seconds, side_by_side, ssh

ANSIBLE = "ansible-core==2.18.*"


def inventory(folder: Path, host: Host, lab: Lab) -> Path:
    """gpurig's inventory of the host."""
    data = host.ssh_data() | {
        "rig_pypi_index": lab.index_url,
        "rig_data_mirror": lab.mnist_url,
    }
    file = folder / "inventory.py"
    file.write_text(f"hosts = [({host.name!r}, {data!r})]\n")
    return file


def ansible(folder: Path, host: Host, lab: Lab) -> list[str]:
    """Ansible in its own environment, and the command that runs the playbook."""
    venv.create(folder / "ansible", with_pip=True)
    binaries = folder / "ansible" / "bin"
    subprocess.run([binaries / "pip", "install", "-q", ANSIBLE], check=True)
    hosts = {
        "ansible_host": host.address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(host.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={host.known_hosts}",
        "index": lab.index_url,
    }
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {host.name: hosts}}}))
    playbook = ROOT / "benchmarks" / "workstation.yml"
    return [str(binaries / "ansible-playbook"), "-i", str(folder / "hosts.json"), str(playbook)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    os.environ["ANSIBLE_PIPELINING"] = "True"  # its own advice for speed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HOME"] = name
        lab = Lab(owned=True).open()
        try:
            host = lab.boot("trixie", "noop")
            gpurig = [sys.executable, "-m", "gpurig.cli.main"]
            where = str(inventory(folder, host, lab))
            seconds([*gpurig, "up", where, "--prove", "never"])
            playbook = ansible(folder, host, lab)
            seconds(playbook)  # writes what only Ansible would have there
            seconds([*gpurig, "up", where, "--prove", "never"])
            took = side_by_side(
                {
                    "gpurig plan": [*gpurig, "plan", where],
                    "gpurig up --prove never": [*gpurig, "up", where, "--prove", "never"],
                    "ansible-playbook": playbook,
                    "ssh, one command": [*ssh(host), "true"],
                },
                runs,
            )
        finally:
            lab.close()
    print(f"{machine()}; medians of {runs} runs in turn")
    for what, median in took.items():
        print(f"{what:26} {median:6.2f} s   {took['ansible-playbook'] / median:5.1f} x Ansible")


if __name__ == "__main__":
    main()
