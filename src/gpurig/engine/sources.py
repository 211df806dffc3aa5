"""Where packages and wheels of a plan come from, looked at by the host before any change."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gpurig.contract.finding import Finding, Verdict
from gpurig.contract.said import plain
from gpurig.errors import HostError
from gpurig.hosts.inventory import HostSpec
from gpurig.settings import pip
from gpurig.settings.options import Options
from gpurig.settings.table import Settings
from gpurig.stack.model import Repository, Stack
from gpurig.wheels.uv_compile import usual_index

ARCHIVE = "archive"  # in the place of an address: apt on the host knows where its own archive is

_CONNECT = re.compile(r"[cC]onnect to ([^\s()]+:\d+)")

SECONDS = 15  # without a byte of one place
ALL_SECONDS = 45  # for one place in all; they are looked at side by side

_INDEX = "set rig_pypi_index to an index that this host reaches, or rig_proxy"
_ARCHIVE = "check the host's network, its apt sources and its proxy for apt (Acquire::http::Proxy)"


@dataclass(frozen=True)
class Source:
    """
    One place that the host fetches from.

    + url: what is asked for, without user and password
    + do: what helps where it does not answer
    + by: what fetches it later, ``apt`` or ``uv``; each has proxies of its own
    + unless_told: whether it counts only where the host's pip and uv are told of no other index
    """

    url: str
    do: str
    by: str
    unless_told: bool = False


@dataclass(frozen=True)
class Origin:
    """
    Where the wheels of a host come from.

    + own: the indexes that pip of this machine is told of, where they count
    + handed: whether the control machine hands the wheels over
    """

    settings: Settings
    own: pip.Indexes
    handed: bool

    @classmethod
    def of(cls, spec: HostSpec, options: Options) -> Origin:
        """That of a host, by its settings and this machine's configuration."""
        handed = bool(spec.settings.cache or options.share_wheels)
        counts = not spec.settings.pypi_index and (handed or spec.transport == "local")
        return cls(spec.settings, pip.indexes() if counts else pip.Indexes(), handed)

    def notes(self, plan: Iterable[Finding]) -> list[str]:
        """What a person is told of it where a plan needs wheels."""
        if not self.own.shown or not any(one.startswith("environment") for one in _to_do(plan)):
            return []
        come = "come" if self.own.url else "also come"
        return [
            f"wheels {come} from {self.own.shown} ({self.own.origin}); rig_pypi_index replaces that"
        ]


def _to_do(plan: Iterable[Finding]) -> set[str]:
    return {f.id for f in plan if f.verdict in (Verdict.DRIFTED, Verdict.FOLLOWS)}


def needed(stack: Stack, origin: Origin, plan: Iterable[Finding]) -> list[Source]:
    """
    What a plan fetches on the host; nothing where it changes nothing that comes from elsewhere.

    Only where apt is, of which the host's own downloader is used.
    """
    to_do = _to_do(plan)
    if stack.package_manager != "apt":
        return []
    found = list(_repositories(stack, to_do))
    if any(_is_of_archive(promise) for promise in to_do):
        found.append(Source(ARCHIVE, _ARCHIVE, "apt"))
    if not origin.handed:
        found += _indexes(stack, origin, to_do)
    return list(dict.fromkeys(found))


def _is_of_archive(promise: str) -> bool:
    """Whether what keeps a promise installs packages of the distribution."""
    layer, _, name = promise.partition(".")
    return layer != "environment" and name in ("packages", "headers", "pinning", "source")


def _repositories(stack: Stack, to_do: set[str]) -> Iterator[Source]:
    """Those of vendors from which the plan takes something."""
    layers = {
        "driver": stack.driver and stack.driver.repository,
        "docker": stack.docker and stack.docker.repository,
        "container-toolkit": stack.container_toolkit and stack.container_toolkit.repository,
        "cuda": stack.cuda and stack.cuda.repository,
        "cudnn": stack.cudnn and stack.cudnn.repository,
    }
    for layer, repository in layers.items():
        if not repository:
            continue
        do = (
            f"set a mirror of it (rig_repositories, {repository.name}), or check the host's"
            " network and its proxy for apt"
        )
        if to_do & {f"{layer}.{name}" for name in ("repository", "packages", "source")}:
            yield Source(_release(repository), do, "apt")
        if f"{layer}.keyring" in to_do:
            yield Source(repository.key_url, do, "apt")


def _release(repository: Repository) -> str:
    root, suite = repository.uri.rstrip("/"), repository.suite
    if not suite.endswith("/"):
        return f"{root}/dists/{suite}/InRelease"
    return "/".join([root, *suite.strip("/").split("/"), "InRelease"]).replace("//InRe", "/InRe")


def _indexes(stack: Stack, origin: Origin, to_do: set[str]) -> Iterator[Source]:
    """The indexes of the environments that are made or repaired, of each a small page."""
    if origin.settings.proxy:  # it may have a password, which no command line may have
        return
    names = [
        one
        for one in stack.environments
        if to_do & {f"environment.{one.name}.{part}" for part in ("interpreter", "packages")}
    ]
    if names or "environments.tools" in to_do:
        index = origin.settings.pypi_index or origin.own.url
        url = pip.without_password(index or usual_index())
        if url.startswith(("http:", "https:")):
            yield Source(f"{url.rstrip('/')}/six/", _INDEX, "uv", unless_told=not index)
    for one in names:
        if one.index:
            do = "set a mirror of it (rig_repositories, pytorch), or rig_proxy"
            yield Source(f"{one.index.rstrip('/')}/{one.base or one.framework}/", do, "uv")
        if one.python_mirror:
            do = "set rig_repositories, python to a mirror that this host reaches"
            yield Source(one.python_mirror, do, "uv")


# apt's own downloader is on every host that has apt. For wheels it is told nothing of apt's
# proxies, so that it goes the way of uv: by the environment's variables. Certificates cannot be
# compared before the host has any. A place that wants a password, or a page of an index that it
# has not, is a place that answers.
_SCRIPT = """
export LC_ALL=C
folder=$(mktemp -d) || exit 1
chmod 755 "$folder"; cd "$folder" || exit 1
printf 'Dir::Etc::main "/dev/null";\\nDir::Etc::parts "/dev/null";\\n' > uv.conf
verify=true
[ -e /etc/ssl/certs/ca-certificates.crt ] || verify=false
fetch() {{
  timeout {all} /usr/lib/apt/apt-helper -o Acquire::Retries=0 -o APT::Sandbox::User=root \
    -o Acquire::http::Timeout={seconds} -o Acquire::https::Timeout={seconds} \
    -o Acquire::https::Verify-Peer=$verify download-file "$2" "$1.page" > "$1.said" 2>&1
  code=$?
  [ $code != 124 ] || echo "E: Failed to fetch" "$2 " "timed out" >> "$1.said"
  [ $code = 0 ] || sed -n "s/^[WE]: Failed to fetch /$1 /p" "$1.said" | head -n 1
}}
told() {{
  for file in /etc/pip.conf /etc/xdg/pip/pip.conf "$HOME/.pip/pip.conf" \
    "$HOME/.config/pip/pip.conf" /etc/uv/uv.toml "$HOME/.config/uv/uv.toml"; do
    [ ! -e "$file" ] || return 0
  done
  env | grep -qE '^(PIP|UV)_.*INDEX'
}}
archive() {{
  all=$(apt-get -q --print-uris update 2>/dev/null |
    sed -n "s#^'\\(https\\{{0,1\\}}://[^']*/dists/$2/InRelease\\)'.*#\\1#p" | sort -u)
  left=
  for place in $all; do
    left=$(fetch "$1" "$place")
    [ -n "$left" ] || return 0
  done
  [ -z "$left" ] || printf '%s\\n' "$left"
}}
{looks}
wait
cat ./*.out
cd /; rm -rf "$folder"
"""


def script(sources: Sequence[Source], codename: str) -> str:
    """
    What the host's shell runs to look at them: a line for each that does not answer.

    + codename: of the suite that the distribution's own packages come from

    Each line has its number, the address and the reason, as `unreached` reads them.
    """
    looks = [_look(number, source, codename) for number, source in enumerate(sources)]
    return _SCRIPT.format(looks="\n".join(looks), seconds=SECONDS, all=ALL_SECONDS).strip()


def _look(number: int, source: Source, codename: str) -> str:
    if source.url == ARCHIVE:
        return shlex.join(["archive", str(number), codename]) + f" >{number}.out &"
    way = "APT_CONFIG=$folder/uv.conf; export APT_CONFIG; " if source.by == "uv" else ""
    look = f"{way}fetch {number} {shlex.quote(source.url)}"
    return f"( {'told || ' * source.unless_told}{{ {look}; }} ) > {number}.out &"


def unreached(host: str, sources: Sequence[Source], lines: Iterable[str]) -> list[HostError]:
    """One sentence for each place that does not answer, by what the host's shell printed."""
    errors = []
    for line in lines:
        number, _, told = line.partition(" ")
        url, _, reason = told.partition("  ")
        if not number.isdigit() or int(number) >= len(sources) or not reason:
            continue
        source = sources[int(number)]
        if source.by == "uv" and _answers(reason):
            continue
        place = f"{url}{_through(url, reason)}"
        what = f"this host cannot fetch {place} ({plain(reason)}); nothing was changed"
        errors.append(HostError("source-unreachable", what, host, source.do, host))
    return errors


def _through(url: str, reason: str) -> str:
    """The proxy that is named in the place of a server."""
    to = _CONNECT.search(reason)
    return f" through {to[1]}" if to and f"{urlsplit(f'//{to[1]}').hostname}" not in url else ""


def _answers(reason: str) -> bool:
    """Whether the server of an index is there: it wants a password, or lacks this page."""
    return reason.split()[:1] in (["401"], ["403"], ["404"])
