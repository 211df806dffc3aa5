"""The shell that compiles Horovod on a host, and takes away what that needed."""

from __future__ import annotations

import shlex

from gpurig.facts.environments.horovod import ADDED, FOLDER
from gpurig.operations.environments.uv import SECRETS
from gpurig.operations.shared.apt_get import APT, ENVIRONMENT, UPDATED
from gpurig.wheels import horovod
from gpurig.wheels.horovod import Build

# What a build needs beside the environment, and beside Python's headers (pythonX.Y-dev).
NEEDS = ("cmake", "g++", "make", "patch")

# Who compiles: nobody's account. Neither Debian nor systemd gives this number to anybody
# (systemd's UIDS-GIDS.md: 60706 to 61183 are unused).
BUILDER = 61000

_JOB = 1_500_000  # KiB of memory for one compiler; one over TensorFlow's headers takes 1.2 GB

# `cleared`: nothing of a build is left. Of what apt said it would add goes only what nobody has
# asked for since, and all of it stays if something else has come to need any. apt writes into a
# file: it goes on when the run is gone, see `attended`.
CLEARED = f"""
by_apt() {{
 {ENVIRONMENT} {APT} "$@" > {FOLDER}/apt 2>&1 || {{ cat {FOLDER}/apt >&2; return 1; }}
}}
without_needs() {{
 cd /
 set -- $(cat {ADDED} 2>/dev/null)
 [ $# = 0 ] || set -- $(apt-mark showauto "$@")
 if [ $# != 0 ]; then
  {ENVIRONMENT} {APT} --dry-run purge "$@" > {FOLDER}/plan || return 1
  while read -r what name rest; do
   case $what in Purg|Remv) echo "$name" ;; esac
  done < {FOLDER}/plan | grep -vxqFf {ADDED} || by_apt purge "$@" || return 1
 fi
 rm -f {ADDED}
}}
cleared() {{ without_needs && rm -rf {FOLDER}; }}
"""


def compiled(path: str, build: Build) -> str:
    """
    Shell that makes the wheel, as ``FOLDER/NAME.whl``; beside it are ``patches`` and ``source``.

    + path: the environment's folder

    What apt is going to add is written down before it is, so that nothing else is ever removed.
    Index and proxy are told to the download only; compilers know nothing of root's surroundings.
    """
    own = horovod.FRAMEWORKS[build.base]
    others = set(horovod.FRAMEWORKS.values()) - {own} | {"MXNET", "MPI"}
    words = [
        f"PYTHON={shlex.quote(path)}/bin/python", f"HOME={FOLDER}/work", f"TMPDIR={FOLDER}/work",
        "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOROVOD_WITH_GLOO=1", f"HOROVOD_WITH_{own}=1",
        *(f"HOROVOD_WITHOUT_{name}=1" for name in sorted(others)),
    ]  # fmt: skip
    builder = f"setpriv --reuid={BUILDER} --regid={BUILDER} --clear-groups --no-new-privs"
    pip = '"$PYTHON" -I -m pip --disable-pip-version-check --no-cache-dir'
    install = " ".join(("install", "--no-install-recommends", "--mark-auto"))
    needs = " ".join(NEEDS) + ' ${headers:+"$headers"}'
    include = "import sysconfig; print(sysconfig.get_path('include'))"
    return f"""{CLEARED}
failed() {{ echo "E: $1" >&2; exit 1; }}
trap 'code=$?; rm -f {SECRETS}.*; without_needs || code=1
 [ $code = 0 ] || [ -e {ADDED} ] || rm -rf {FOLDER}; exit $code' EXIT
cd {FOLDER}; chmod 644 patches source
include=$({shlex.quote(path)}/bin/python -I -c "{include}") || exit 1
headers=; [ -e "$include/Python.h" ] || headers=python{build.python}-dev
{UPDATED}
listed() {{
 {ENVIRONMENT} {APT} {install} --dry-run {needs} > plan && while read -r what name rest; do
  case "$what $rest" in "Inst ("*) echo "$name" ;; esac
 done < plan > {ADDED}
}}
installed() {{ [ ! -s {ADDED} ] || by_apt {install} {needs}; }}
{{ listed && installed; }} || {{ updated && listed && installed; }} ||
 {{ [ -z "$unread" ] || failed "${{unread#; }}"; exit 1; }}
mkdir work && chown {BUILDER}:{BUILDER} work && cd work
( . {SECRETS}.env; exec {builder} env {" ".join(words)} sh -c '
 {pip} download -q --no-deps --no-build-isolation --no-binary :all: --require-hashes \
  -r {FOLDER}/source
' ) || failed "the index does not give the source of Horovod {build.release}"
jobs=$(nproc); most=$(($(grep MemAvailable: /proc/meminfo | tr -dc 0-9) / {_JOB} + 1))
[ "$jobs" -le "$most" ] || jobs=$most
{builder} env -i {" ".join(words)} MAKEFLAGS=-j"$jobs" sh -ec '
 tar -xzf horovod-{build.release}.tar.gz; cd horovod-{build.release}
 patch -s -p1 --fuzz=0 < {FOLDER}/patches
 printf "%s\\n" "[egg_info]" "tag_build = +{build.label}" > setup.cfg
 {pip} wheel --no-index --no-deps --no-build-isolation -w .. .
' > {FOLDER}/log 2>&1 || {{
 cat {FOLDER}/log >&2
 failed "$(grep -m 1 -E 'error:|CMake Error|FAILED' {FOLDER}/log || tail -n 1 {FOLDER}/log)"
}}
install -m 600 {build.wheel} {FOLDER}/ && cd / && rm -rf {FOLDER}/work
"""
