"""dpkg: which packages are installed, in which state, what is half done, what is held."""

from __future__ import annotations

import re
from typing import TypedDict

from pyinfra.api import StringCommand

from gpurig.contract.fact import Always, Fact, framed, words
from gpurig.contract.values import ABSENT, Absent, Unknown

# dpkg-query ends with 1 where it does not know one of the names, and says which. It ends with 2
# where it cannot read its own database: a power cut leaves such a one, or an empty one, which dpkg
# takes for a host without packages. The answer is in $known; without one the fact is Unknown.
QUERY = r"""query() {
    known=
    tool dpkg-query dpkg || return 0
    [ -s /var/lib/dpkg/status ] || [ ! -e /var/lib/dpkg/info/dpkg.list ] || broken \
        "/var/lib/dpkg/status is empty; /var/lib/dpkg/status-old may be whole"
    known=$({
        said=$(LC_ALL=C dpkg-query "$@" 2>&1 >&7 7>&-); status=$?
        case $status:$said in
            0:*|1:*' found matching '*) ;;
            *:) broken "dpkg-query ended with $status" ;;
            *) broken "$(printf '%s' "${said#dpkg-query: error: }" | tr -s ' \n' ' ')" ;;
        esac
    } 7>&1) || exit 9
}
broken() { unread ": dpkg cannot read its database: $1"; exit 9; }
"""


class Package(TypedDict):
    """
    One package that dpkg knows.

    + version: as dpkg writes it; state: ``installed``, ``unpacked``, ``half-configured`` …
    + held: whether it is on hold
    """

    version: str
    state: str
    held: bool


class Packages(Always[dict[str, Package]]):
    """
    Those of these packages that dpkg knows, by name; names it never heard of are not in it.

    + packages: names, separated by blanks

    ``{"docker.io": {"version": "26.1.5+dfsg1-9+b1", "state": "installed", "held": False}}``
    """

    def command(self, packages: str) -> StringCommand:
        form = r"${Package} ${Version} ${db:Status-Want} ${db:Status-Status}\n"
        return framed(
            f"command -v dpkg-query >/dev/null || exit 3; {QUERY}"
            f"query -W -f '{form}' {words(packages)}; printf '%s\\n' \"$known\""
        )

    def parse(self, lines: list[str], code: int) -> dict[str, Package] | Unknown:
        if code == 3:
            return Unknown("this distribution has no dpkg")
        found: dict[str, Package] = {}
        for line in lines:
            words = line.split(" ")
            if len(words) != 4:
                continue
            name, version, want, state = words
            if state == "not-installed" and want != "hold":
                continue
            found[name] = Package(version=version, state=state, held=want == "hold")
        return found


class HalfDone(Always[list[str]]):
    """
    What an interrupted dpkg left: packages that are not configured, journals that were not merged.

    ``["linux-image-6.12.117+deb13-amd64"]``, ``["(interrupted)"]`` for a journal; empty when whole.
    """

    def command(self) -> StringCommand:
        form = r"${db:Status-Status} ${Package}\n"
        return framed(
            f"command -v dpkg-query >/dev/null || exit 3; {QUERY}query -W -f '{form}';"
            " printf '%s\\n' \"$known\" | sed -E '/^((installed|config-files|not-installed) |$)/d';"
            " journals=$(ls /var/lib/dpkg/updates) || exit 4;"
            " [ -z \"$journals\" ] || echo 'updates there'"
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        if code == 3:
            return Unknown("this distribution has no dpkg")
        if code:
            return Unknown("/var/lib/dpkg/updates cannot be read")
        half = [line.split(" ", 1)[1] for line in lines if " " in line and "updates " not in line]
        return half + ["(interrupted)"] * any(line.startswith("updates ") for line in lines)


class Unmet(Always[list[str]]):
    """
    Dependencies of installed packages that nothing provides, as apt-get check words them.

    ``["nvidia-container-toolkit : Depends: libnvidia-container-tools but it is not installed"]``
    """

    def command(self) -> StringCommand:
        # Without its lock: reading must neither wait for another apt nor stop one.
        return framed(
            "command -v apt-get >/dev/null || exit 3;"
            " LC_ALL=C apt-get -q -o Debug::NoLocking=1 check 2>&1"
        )

    def parse(self, lines: list[str], code: int) -> list[str] | Unknown:
        if code == 3:
            return Unknown("this distribution has no apt")
        if code == 0:
            return []
        if code != 100:  # apt's status for "no"; any other means that it did not come to its end
            return Unknown(f"apt-get check ended with {code}")
        unmet = [line.strip() for line in lines if _DEPENDENCY.match(line)]
        if unmet:
            return unmet
        if any("Unmet dependencies" in line for line in lines):
            return ["unmet dependencies"]
        first = lines[0] if lines else "no output"
        error = next((line for line in lines if line.startswith("E:")), first)
        return Unknown(f"apt-get check: {error}")


_DEPENDENCY = re.compile("(?!E:).* : ")


class Holds(Fact[list[str]]):
    """The packages on hold, by name: ``["docker.io"]``."""

    def command(self) -> StringCommand:
        return framed("tool apt-mark apt || exit 3; apt-mark showhold")

    def parse(self, lines: list[str], code: int) -> list[str] | Absent | Unknown:
        if code == 3:
            return ABSENT
        return Unknown("apt-mark did not answer") if code else [line for line in lines if line]
