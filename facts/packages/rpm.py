"""rpm: which packages are installed, which of them are locked, which keys it trusts."""

from __future__ import annotations

from fnmatch import fnmatchcase

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed, words
from gpurig.contract.openpgp import fingerprints
from gpurig.contract.values import ABSENT, Absent, Unknown
from gpurig.facts.packages.dpkg import Package

# A name that is only provided (python3 by python36) counts as installed. With a database that it
# cannot open rpm says "error: …" and then that the package is not installed.
_FORM = r"package %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n"
_QUERY = r"""
ask() { LC_ALL=C rpm -q --qf 'FORM' "$@" 2>&1; }
for p in PACKAGES; do
    said=$(ask "$p") || said=$(ask --whatprovides "$p")
    case $?:$said in
        *error:*) printf '%s\n' "$said"; exit 4 ;;
        0:*|*' is not installed'*|*'no package provides '*) ;;
        *) exit 4 ;;
    esac
    printf '%s\n' "$said" | sed -n "s/^package \([0-9]*:[^ ]* [^ ]*\)$/package $p \1/p"
done
f=/etc/dnf/plugins/versionlock.list
[ ! -e $f ] || sed -n 's/^ *\([^# ].*\)/lock \1/p' $f
f=/etc/dnf/versionlock.toml
[ ! -e $f ] || sed -n 's/^ *name *= *"\(.*\)".*/lock \1/p' $f
:
""".replace("FORM", _FORM)

# owned FILE: whether a package brought it. rpm says so on standard output.
OWNED = r"""
owned() {
    said=$(LC_ALL=C rpm -qf "$1" 2>&1); status=$?
    case $status:$said in
        0:*) return 0 ;;
        1:*'is not owned by any package'*) return 1 ;;
    esac
    unread rpm "$status"
    return 1
}
"""


def query(packages: str) -> str:
    """Shell that lists these packages and the locks of dnf; ends with 4 without a database."""
    return _QUERY.replace("PACKAGES", words(packages)).strip()


def installed(lines: list[str]) -> dict[str, Package]:
    """The packages in what `query` printed; of one in several versions the newest installed."""
    rows = [line.split(" ") for line in lines if line.startswith("package ")]
    locks = [line.removeprefix("lock ") for line in lines if line.startswith("lock ")]
    found: dict[str, Package] = {}
    for row in rows:
        if len(row) != 4:
            continue
        _, name, version, architecture = row
        found[name] = Package(
            version=version.removeprefix("0:"),
            state="installed",
            held=any(_locks(lock, name, version, architecture) for lock in locks),
        )
    return found


def _locks(lock: str, name: str, version: str, architecture: str) -> bool:
    """Whether an entry of dnf's versionlock names this package (``!`` excludes, it locks none)."""
    plain = version.partition(":")[2]
    forms = [name, f"{name}.{architecture}"]
    for each in (version, plain, plain.rpartition("-")[0], version.rpartition("-")[0]):
        forms += [f"{name}-{each}", f"{name}-{each}.{architecture}"]
    return any(fnmatchcase(form, lock) for form in forms)


class RpmPackages(Always[dict[str, Package]]):
    """
    Those of these packages that rpm has, by the name they were asked for.

    + packages: names, separated by blanks

    ``{"nvidia-driver": {"version": "3:580.95.05-1.el9", "state": "installed", "held": True}}``;
    the epoch is told where it is not 0, held is what dnf's versionlock names.
    """

    def command(self, packages: str) -> StringCommand:
        return framed(f"command -v rpm >/dev/null || exit 3; {query(packages)}")

    def parse(self, lines: list[str], code: int) -> dict[str, Package] | Unknown:
        if code == 3:
            return Unknown("this distribution has no rpm")
        if code:
            return Unknown(f"rpm does not answer: {next(iter(lines), 'no output')}")
        return installed(lines)


class RpmKeys(Fact[dict[str, str]]):
    """
    The keys whose signatures rpm accepts, whatever repository a package comes from.

    ``{"610C7B14E068A878070DA4E99CD0A493D42D0685": "cudatools <cudatools@nvidia.com>"}``
    """

    def command(self) -> StringCommand:
        return framed(
            "command -v rpm >/dev/null || exit 3;"
            " keys=$(LC_ALL=C rpm -qa gpg-pubkey --qf 'key %{SUMMARY}\\n%{DESCRIPTION}\\n' 2>&1);"
            " s=$?; printf '%s\\n' \"$keys\"; case $s:$keys in *:error:*|[1-9]*) exit 4 ;; esac"
        )

    def parse(self, lines: list[str], code: int) -> dict[str, str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        if code:
            return Unknown(f"rpm does not answer: {next(iter(lines), 'no output')}")
        found: dict[str, str] = {}
        summary, armour = "", [""]
        for line in [*lines, "key "]:
            if not line.startswith("key "):
                armour.append(line)
                continue
            if summary:
                for key in fingerprints("\n".join(armour).strip().encode()):
                    found[key] = summary
            summary, armour = line.removeprefix("key ").removesuffix(" public key"), []
        return found
