"""Ways in which a set-up host breaks, each with the promise that names it."""

from __future__ import annotations

from typing import NamedTuple


class Drift(NamedTuple):
    """
    One break.

    + script: what is done to the host, as root
    + promise: the id under which the plan names it
    """

    name: str
    script: str
    promise: str


DRIFTS = (
    Drift(
        "daemon.json loses the runtime",
        "python3 - <<'E'\nimport json\np='/etc/docker/daemon.json'\nd=json.load(open(p))\n"
        "del d['runtimes']\njson.dump(d,open(p,'w'))\nE",
        "docker.daemon-config",
    ),
    Drift(
        "a package is removed",
        "dpkg --force-depends --remove libnvidia-container-tools",
        "container-toolkit.packages",
    ),
    Drift(
        "a service is disabled",
        "systemctl disable nvidia-persistenced.service",
        "driver.persistenced",
    ),
    Drift(
        "a wheel is deleted",
        "rm -r /opt/gpurig/venvs/tensorflow/lib/python3*/site-packages/h5py",
        "environment.tensorflow.packages",
    ),
    Drift(
        "the keyring is another",
        "echo broken > /usr/share/keyrings/nvidia-container-toolkit.gpg",
        "container-toolkit.keyring",
    ),
    Drift(
        "nouveau is no longer kept out",
        "rm /etc/modprobe.d/gpurig-nvidia.conf",
        "driver.nouveau-blacklist",
    ),
    Drift(
        "the module of the next kernel is gone",
        "rm /lib/modules/*/updates/dkms/nvidia-current*.ko* && depmod -a"
        " $(ls /boot | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1)",
        "driver.module-for-next-boot",
    ),
    Drift(
        "the CDI spec is of another driver",
        "for spec in /etc/cdi/nvidia.yaml /var/run/cdi/nvidia.yaml; do [ ! -e $spec ] ||"
        " sed -i 's/550[.]163[.]01/535.000.00/g' $spec; done",
        "container-toolkit.cdi",
    ),
    Drift("a user leaves the docker group", "gpasswd -d ann docker", "users.docker-group"),
    Drift(
        "headers will not follow the next kernel",
        "dpkg --remove linux-headers-amd64",
        "kernel.headers",
    ),
    Drift(
        "a workload is edited",
        "echo 'raise SystemExit(0)' > /opt/gpurig/workloads/matmul.py",
        "workloads.files",
    ),
    Drift(
        "the programs are closed to users", "chmod 700 /opt/gpurig/workloads", "workloads.folders"
    ),
    Drift(
        "apt's source is closed to users",
        "chmod 600 /etc/apt/sources.list.d/gpurig-nvidia-container-toolkit.sources",
        "files.access",
    ),
    Drift(
        "a file is edited at the same size",
        "sed -i 's/version/Version/' "
        "/opt/gpurig/venvs/tensorflow/lib/python3*/site-packages/numpy/version.py",
        "environment.tensorflow.packages",
    ),
    Drift(
        "a package is half installed",
        "cd /tmp && apt-get download -q nvidia-persistenced >/dev/null 2>&1 &&"
        " dpkg --unpack nvidia-persistenced_*.deb && rm -f nvidia-persistenced_*.deb",
        "packages.dpkg",
    ),
)
