"""How apt-get is called: it asks nothing, waits for its lock, and one bad source stops no other."""

from __future__ import annotations

from gpurig.facts.packages.locks import HOLDERS

# How long another apt or dpkg is waited for; unattended-upgrades takes minutes.
LOCK_SECONDS = 600

# The frontends of hooks that other packages bring ask questions, or stop apt where nobody answers.
ENVIRONMENT = (
    "DEBIAN_FRONTEND=noninteractive APT_LISTBUGS_FRONTEND=none APT_LISTCHANGES_FRONTEND=none"
    " NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1 LC_ALL=C"
)

APT = (
    f"apt-get -q -y -o DPkg::Lock::Timeout={LOCK_SECONDS} -o Dpkg::Use-Pty=0"
    " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)

# On the descriptor $tells: who has apt's lock, if apt has to wait for somebody.
WAITS = f"""{HOLDERS}
[ ! -e /proc/locks ] || holders | head -n 1 | tr -d : |
    sed 's/.*/counted:waiting for &:0:0:0:0/' >&"$tells"
"""

# The function `updated` of the shell. It never fails: apt says at the installation that follows
# whether the lists it has are enough. $unread has the sources that did not answer, each with its
# file and line and apt's reason, to go on the end of a sentence; it is empty without any. $tells
# may have the descriptor on which apt says how far it is.
UPDATED = rf"""
updated() {{
    lists=$({ENVIRONMENT} apt-get -q -o "APT::Status-Fd=${{tells:--1}}" \
        -o DPkg::Lock::Timeout={LOCK_SECONDS} update 2>&1) || :
    printf '%s\n' "$lists"
    unread=$(printf '%s\n' "$lists" |
        sed -n '/^Err:/{{s/^Err:[0-9]* \([^ ]*\).*/\1/;h;n;G;s/^ *//;s/\n/|/p;}}' |
        sort -u -t '|' -k 2 | head -n 3 | while IFS='|' read -r why uri; do
        at=$(grep -rnF -e "${{uri%/}}" /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
            grep -v '^[^:]*:[0-9]*: *#' | head -n 1 | cut -d : -f 1,2)
        printf '; apt does not get %s%s: %s' "$uri" "${{at:+ ($at)}}" "${{why%% '[IP:'*}}"
    done)
}}
"""
