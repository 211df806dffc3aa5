"""A lab host that dnf and rpm manage: Debian's packages of both, a repository of small rpms."""

from __future__ import annotations

from gpurig.stack.model import Repository

from .passes import Passes

SERVED, FOLDER = "http://127.0.0.1:8080", "/srv/repo"

# dnf, rpm and createrepo_c are Debian's, real ones. What belongs to Debian alone goes: the plugins
# that fail there, and apt, so that the host is one of dnf. Its os-release says Rocky Linux 9.
_DNF = r"""
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install --no-install-recommends dnf dnf-plugins-core rpm createrepo-c curl gpg \
    gpg-agent >/dev/null 2>&1
cd /etc/dnf/plugins && sed -i 's/^enabled.*/enabled = 0/' local.conf expired-pgp-keys.conf
rm /usr/lib/python3/dist-packages/dnf-plugins/system_upgrade.py
echo 9 > /etc/dnf/vars/releasever
mkdir /root/apt && mv /usr/bin/apt-get /usr/bin/dpkg-query /var/lib/dpkg/info /root/apt/
printf '%s\n' 'ID="rocky"' 'ID_LIKE="rhel centos fedora"' 'VERSION_ID="9.4"' > /usr/lib/os-release
"""

_BUILD = r"""
mkdir -p /srv/repo /srv/build && cd /srv/build
rpm_() {  # name, version, what else its spec says
    printf "Name: $1\nVersion: $2\nRelease: 1\nSummary: stand-in\nLicense: none\n" > $1.spec
    printf "BuildArch: noarch\n$3\n%%%%description\nempty\n%%%%files\n" >> $1.spec
    rpmbuild -bb --quiet --define '_topdir /srv/build' --define '_rpmdir /srv/repo' $1.spec
}
"""

_PUBLISH = r"""
cd /srv
[ -e key ] || gpg --batch --quiet --passphrase '' --quick-generate-key \
    'lab <lab@example.org>' rsa3072 sign never
fpr=$(gpg --list-keys --with-colons | sed -n 's/^fpr:*\([0-9A-F]*\):/\1/p' | head -n 1)
gpg --armor --export $fpr > key && cp key repo/key
gpg --batch --quiet --passphrase '' --quick-generate-key 'other <o@example.org>' rsa3072 sign never
gpg --armor --export other > repo/other
rpmsign --define "_gpg_name $fpr" --addsign repo/noarch/*.rpm
for s in 580-open 590-open; do
    printf -- '---\ndocument: modulemd\nversion: 2\ndata:\n  name: nvidia-driver\n'
    printf '  stream: "%s"\n  version: 1\n  context: 0000000a\n  arch: noarch\n' $s
    printf '  summary: stand-in\n  description: stand-in\n  license: {module: [MIT]}\n...\n'
done > modules.yaml
createrepo_c -q repo && modifyrepo_c --mdtype=modules modules.yaml repo/repodata
gpg --batch --yes -ab --local-user $fpr -o repo/repodata/repomd.xml.asc repo/repodata/repomd.xml
systemd-run -q --unit served python3 -m http.server -b 127.0.0.1 -d /srv/repo 8080
for n in 1 2 3 4 5 6 7 8 9; do curl -fs http://127.0.0.1:8080/key >/dev/null && break; sleep 1; done
"""

_DRIVER = "".join(
    f"rpm_ nvidia-driver {v} 'Epoch: 3\\nRequires: kmod-nvidia = 3:{v}'\n"
    f"rpm_ kmod-nvidia-open-dkms {v} 'Epoch: 3\\nProvides: kmod-nvidia = 3:{v}\\n"
    "Conflicts: kmod-nvidia-latest-dkms'\n"
    f"rpm_ kmod-nvidia-latest-dkms {v} 'Epoch: 3\\nProvides: kmod-nvidia = 3:{v}\\n"
    "Conflicts: kmod-nvidia-open-dkms'\n"
    for v in ("580.95.05", "590.48.01")
)
_PACKAGES = (
    "rpm_ small 1.0\nrpm_ small 2.0\nrpm_ extra 1.0\nrpm_ foreign 1.0\n"
    "rpm_ nvidia-container-toolkit 1.20.0\n"
    "rpm_ nvidia-open 580.95.05 'Epoch: 3\\nConflicts: foreign'\n"
)


def prepared(passes: Passes) -> Repository:
    """Make the host one of dnf, with its repository served on its own loopback; that one."""
    passes.shell(f"set -e; {_DNF}")
    passes.shell(f"set -e; {_BUILD}{_PACKAGES}{_DRIVER}")
    passes.shell(f"set -e; exec 2>&1; {_PUBLISH}")
    listed = passes.shell("gpg --list-keys --with-colons lab@example.org | grep ^fpr")
    fingerprint = listed.splitlines()[0].split(":")[9]
    return Repository("lab", SERVED, "", (), f"{SERVED}/key", fingerprint)
