"""One user: their subordinate ids, the service of their own Docker, and who talks to it."""

from __future__ import annotations

from pyinfra.api import StringCommand

from gpurig.contract.known import ends_unknown, known
from gpurig.contract.promise import Commands, drift, due, follows, holds, keeps, unknown
from gpurig.contract.values import ABSENT
from gpurig.facts.docker.engine import DockerClient
from gpurig.facts.rootless import Owner, RootlessOwner, RootlessUnit, UserContexts, acting_as
from gpurig.operations.shared.words import those

IDS = 65536  # as many as an image may use; what Docker's documentation asks for


@keeps("rootless.{user}.ids")
def ids(user: str) -> Commands:
    """
    The user has subordinate ids, as which the users inside their containers run.

    + user: their name
    """
    owner = account(user)
    has = {"subuids": owner["subuids"], "subgids": owner["subgids"]}
    few = [name for name, number in has.items() if number < IDS]
    if not few:
        return holds(f"{user} has {owner['subuids']} subordinate ids")
    drift(
        actual=", ".join(f"{has[name]} {name}" for name in few),
        wanted=f"{IDS} of each",
        will=f"give {user} an unused range in /etc/subuid and /etc/subgid",
        leaves="all other ranges",
    )
    for name in few:
        # Several ranges are mapped one after the other, so that a second one completes a short one.
        yield StringCommand(
            acting_as(user),
            "f=$(cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: 'BEGIN { m = 100000 }",
            "$2 + $3 > m { m = $2 + $3 } END { print m }');",
            f'usermod --add-{name} "$f-$((f + {IDS - 1}))" -- "$u"',
        )


@keeps("rootless.{user}.service")
def service(user: str) -> Commands:
    """
    The user's own Docker runs, now and from every boot on, without a login.

    + user: their name
    """
    owner, text = account(user), known(RootlessUnit)
    if owner["load"] in ("", "not-found") and text is ABSENT:
        return follows("rootless.unit")
    if min(owner["subuids"], owner["subgids"]) < IDS:
        return follows(f"rootless.{user}.ids")
    if not owner["namespaces"]:
        return unknown(
            f"{user} cannot make a user namespace here; check the"
            " sysctls user.max_user_namespaces and"
            " kernel.unprivileged_userns_clone"
        )
    if owner["load"] == "masked":
        return due(
            f"{user} has masked docker.service; to unmask it, {user}"
            " runs systemctl --user unmask docker.service"
        )
    wrong = those(
        {
            f"lingering is off for {user}": not owner["lingers"],
            "docker.service is not enabled": owner["enabled"] != "enabled",
            f"it is {owner['active'] or 'not running'}": owner["active"] != "active",
            f"the systemd of {user} has an older unit": owner["stale"],
        }
    )
    if not wrong:
        return holds(f"the docker.service of {user} is enabled and active")
    drift(
        actual=", ".join(wrong),
        wanted=f"the docker.service of {user} is enabled and active",
        will="switch lingering on, reload systemd, enable and start the unit",
    )
    if not owner["lingers"]:
        yield StringCommand(acting_as(user), 'loginctl enable-linger "$u"')
    yield StringCommand(acting_as(user), _SYSTEMD_ANSWERS, "as_user systemctl --user daemon-reload")
    if owner["enabled"] != "enabled":
        yield StringCommand(acting_as(user), "as_user systemctl --user enable docker.service")
    if owner["active"] != "active":
        yield StringCommand(
            acting_as(user), "as_user systemctl --user reset-failed docker.service 2>/dev/null;",
            "as_user systemctl --user start docker.service ||",
            f'{{ echo "E: the Docker of $u does not start: {_WHY}" >&2; exit 1; }}',
        )  # fmt: skip


_WHY = "journalctl _UID=$i --unit=user@$i.service"

# enable-linger comes back before the user's systemd can be asked.
_SYSTEMD_ANSWERS = (
    "n=0; until as_user systemctl --user show-environment >/dev/null 2>&1; do n=$((n + 1));"
    ' [ $n -lt 100 ] || { echo "E: the systemd of $u does not answer" >&2; exit 1; };'
    " sleep 0.2; done;"
)


@keeps("rootless.{user}.context")
def context(user: str) -> Commands:
    """
    The user's command ``docker`` talks to their own daemon, unless they chose another context.

    + user: their name
    """
    account(user)
    found, client = known(UserContexts, user=user), known(DockerClient)
    if client is ABSENT or found is ABSENT:
        return follows("docker.packages")
    if found["current"] != "default":
        return holds(f"{user} uses the context {found['current']}")
    drift(
        actual=f"the docker command of {user} uses the system's daemon",
        wanted="it uses their own daemon",
        will="make the context rootless and use it",
        leaves="their other contexts",
    )
    if "rootless" not in found["endpoints"]:
        yield StringCommand(
            acting_as(user), "as_user docker context create rootless --description",
            "'Rootless mode' --docker \"host=unix:///run/user/$i/docker.sock\" >/dev/null",
        )  # fmt: skip
    yield StringCommand(acting_as(user), "as_user docker context use rootless >/dev/null")


def account(user: str) -> Owner:
    """What the user has for a Docker of their own; without such a user the operation ends."""
    owner = known(RootlessOwner, user=user)
    if owner is ABSENT:
        ends_unknown(
            f"user {user} does not exist; make the user first, or remove it from rig_users"
        )
    return owner
