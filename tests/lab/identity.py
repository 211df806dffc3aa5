"""What makes a copied file system a host of its own: name, address, keys, accounts."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from .commands import run
from .hosts import Host
from .network import GATEWAY
from .services import APT_PROXY

# The hardware address follows from the address: neighbours remember it from host to host.
NETWORK = """\
[Match]
Name=host0
[Link]
MACAddress=02:00:{hardware}
[Network]
Address={address}/24
LinkLocalAddressing=no
"""
HOSTS = "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def personalise(host: Host, authorized: str, user: str = "", password: str = "") -> str:
    """
    Give a host that is not running its identity; returns its public host key.

    + authorized: the public key that may log in as root, and as the user
    + user, password: an account that may use sudo with this password
    """
    etc = host.root / "etc"
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "hosts").write_text(HOSTS.format(name=host.name))
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    dbus = host.root / "var/lib/dbus/machine-id"
    dbus.unlink(missing_ok=True)
    dbus.symlink_to("/etc/machine-id")
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").write_text("# the lab has no name server\n")
    (etc / "apt/apt.conf.d/01proxy").write_text(_apt_settings())
    (etc / "dpkg/dpkg.cfg.d/lab").write_text("force-unsafe-io\n")  # no host outlives a power cut
    initramfs = etc / "initramfs-tools/conf.d/lab"  # each driver and kernel makes a few images
    initramfs.parent.mkdir(parents=True, exist_ok=True)
    initramfs.write_text("COMPRESSLEVEL=1\n")
    network = etc / "systemd/network/10-lab.network"
    network.parent.mkdir(parents=True, exist_ok=True)
    hardware = ":".join(f"{int(part):02x}" for part in host.address.split("."))
    network.write_text(NETWORK.format(address=host.address, hardware=hardware))
    run("systemctl", "--root", host.root, "--quiet", "enable", "systemd-networkd.service")
    shutil.rmtree(host.root / "root/.ssh", ignore_errors=True)
    _authorize(host.root / "root", authorized, 0, 0)
    if user:
        _add_user(host.root, user, password, authorized)
    return _host_keys(etc / "ssh")


def _apt_settings() -> str:
    """The apt cache, and whatever this machine's apt says about the age of its archive."""
    lines = [f'Acquire::http::Proxy "{APT_PROXY}";', f'Acquire::http::Proxy::{GATEWAY} "DIRECT";']
    for name in ("Acquire::Check-Valid-Until", "Acquire::Check-Date"):
        said = run("apt-config", "shell", "VALUE", name).partition("=")[2].strip("'\"\n")
        if said:
            lines.append(f'{name} "{said}";')
    return "\n".join(lines) + "\n"


def _host_keys(folder: Path) -> str:
    for old in folder.glob("ssh_host_*"):
        old.unlink()
    key = folder / "ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key)
    kind, text, *_ = key.with_suffix(".pub").read_text().split()
    return f"{kind} {text}"


def _add_user(root: Path, user: str, password: str, authorized: str) -> None:
    run("chroot", root, "useradd", "-m", "-s", "/bin/bash", "-G", "sudo", user,
        what=f"add the user {user}")  # fmt: skip
    if password:
        run("chroot", root, "chpasswd", stdin=f"{user}:{password}\n", what="set a password")
    home = root / "home" / user
    _authorize(home, authorized, home.stat().st_uid, home.stat().st_gid)


def _authorize(home: Path, authorized: str, uid: int, gid: int) -> None:
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "authorized_keys").write_text(authorized)
    (folder / "authorized_keys").chmod(0o600)
    for path in (folder, folder / "authorized_keys"):
        os.chown(path, uid, gid)
