"""What NVIDIA's programs of the toolkit did when they were recorded, compared with the stand-in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .scratch import LIBRARIES, RECORDED, Ran, Scratch

CONFIG = "/etc/nvidia-container-runtime/config.toml"
NVML_AGAIN = f"/{LIBRARIES}/libnvidia-ml.so.1"  # ours mounts NVML there; NVIDIA's has hooks instead


def recorded(name: str) -> Any:
    text = (RECORDED / name).read_text()
    return json.loads(text) if name.endswith(".json") else text


COMMANDS = {record["id"]: record for record in recorded("nvidia-ctk.json")}
BUNDLES = {record["id"]: record for record in recorded("bundles.json")["records"]}
BEFORE, RESULTS = (recorded("bundles.json")[key] for key in ("before", "results"))
DOCKER = {record["id"]: record for record in recorded("docker.json")}
CUTS = {f"cut off after {size} bytes": said for size, said in recorded("cut-off.json").items()}


def _text(recorded: str) -> str:
    """A recorded text; ``@FILE`` stands for what another file holds."""
    return (RECORDED / recorded[1:]).read_text() if recorded.startswith("@") else recorded


def _without_hooks(text: str) -> str:
    """A spec without what differs on purpose: their hooks, our second mount of NVML."""
    if text.startswith('{"cdiVersion"') and text.endswith(("}", "}\n")):
        spec = json.loads(text)
        edits = spec["containerEdits"]
        edits["mounts"] = [each for each in edits["mounts"] if each["containerPath"] != NVML_AGAIN]
        return json.dumps(spec, sort_keys=True)
    text = re.sub(r"    hooks:\n.*?(?=    mounts:)", "", text, flags=re.DOTALL)
    second = rf"        - hostPath: \S+\n          containerPath: {NVML_AGAIN}\n(          .*\n)+"
    return re.sub(second, "", text)


def command_differs(scratch: Scratch, name: str) -> list[str]:
    """What of a recorded command the stand-in does otherwise."""
    record = COMMANDS[name]
    files = record.get("files", {})
    silent = "--quiet" in record["command"] and record["exit"] == 0
    ran = scratch.run(record["command"], setup=record.get("setup", ""), kept=list(files))
    return [
        *_differs("exit", ran.exit, record["exit"]),
        *_differs("stdout", _without_hooks(ran.stdout), _without_hooks(_text(record["stdout"]))),
        *(f"not said: {each}" for each in record.get("stderr", []) if each not in _said(ran)),
        *_differs("stderr", ran.stderr if silent else "", ""),
        *(
            each
            for path, file in files.items()
            for each in _differs(path, ran.out.get(Path(path).name), _text(file["text"]))
        ),
    ]


def _said(ran: Ran) -> str:
    return re.sub(r"spec\.\d+\.tmp", "spec.NUMBER.tmp", ran.stderr)


def _differs(what: str, ours: Any, theirs: Any) -> list[str]:
    return [] if ours == theirs else [f"{what}: {ours!r} is not {theirs!r}"]


def bundle_differs(scratch: Scratch, name: str) -> list[str]:
    """What the runtime does otherwise to a recorded config.json, to runc, in its log."""
    record = BUNDLES[name]
    before = json.loads(json.dumps(BEFORE))
    before["process"]["env"] += record.get("env", [])
    before |= {key: record[key] for key in ("annotations",) if key in record}
    if "devices" in record:
        before["linux"]["devices"] = record["devices"]
    bundle = "/root/rec/bundle"
    # The mode first: what is done before may break the file.
    setup = f"mkdir -p {bundle}; cp /out/config.json {bundle}; {_mode(record['mode'])}"
    ran = scratch.run(
        f"cd {bundle} && {record['program']} {record['arguments']}",
        setup=f"{setup}; {record.get('setup', ':')}",
        kept=[f"{bundle}/config.json"],
        given={"config.json": json.dumps(before, indent=1)},
    )
    text = ran.out["config.json"]
    found = _differs("exit", ran.exit, record["exit"])
    given = ran.out.get("runc")
    passed = record["arguments"].split() if record["runc"] else None
    found += _differs("runc", given.split("\n")[:-1] if given is not None else None, passed)
    if "stdout" in record:
        found += _differs("stdout", ran.stdout, record["stdout"])
    if "error" in record and json.dumps(record["error"]) not in ran.stderr:
        found.append(f"said: {ran.stderr}")
    if not record["rewritten"]:
        return found + _differs("config.json", json.loads(text), before)
    found += _differs("lines of config.json", len(text.splitlines()), 1)
    added = _added(before, json.loads(text))
    return found + _differs("config.json", added, RESULTS[record["result"]])


def _mode(mode: str) -> str:
    return f"sed -i 's/^mode = .*/mode = \"{mode}\"/' {CONFIG}"


def docker_differs(scratch: Scratch, name: str) -> list[str]:
    """What is not in the place where Docker looks for the words that it was recorded to say."""
    record = DOCKER[name]
    if "mode" not in record:
        ran = scratch.run("nvidia-container-runtime-hook prestart")
        words = ran.stderr.rstrip()
    else:
        before = json.loads(json.dumps(BEFORE))
        before["process"]["env"] += record["env"]
        flags = "--root /run/x --log /out/log --log-format json --systemd-cgroup"
        ran = scratch.run(
            f"nvidia-container-runtime {flags} create --bundle /out --pid-file /out/pid c1",
            setup=_mode(record["mode"]),
            given={"config.json": json.dumps(before)},
        )
        lines = [json.loads(line) for line in ran.out.get("log", "").splitlines()]
        words = next((line["msg"] for line in lines if line["level"] == "error"), "nothing")
    found = _differs("exit", ran.exit, 1)
    return found + ([] if words in record["stderr"] else [f"Docker is told: {words}"])


def _added(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the runtime put into a config.json; of devices, all that are there afterwards."""

    def more(*keys: str) -> list[Any]:
        was, now = before, after
        for key in keys:
            was, now = was[key], now[key]
        return [each for each in list(now)[len(was) :]]

    mounts = more("mounts")
    edited = any(each["destination"] == NVML_AGAIN for each in mounts)
    found = {
        "hooks": after.get("hooks"),
        "linux.devices": after["linux"].get("devices"),
        "linux.resources.devices": more("linux", "resources", "devices"),
        "mounts": [each for each in mounts if each["destination"] != NVML_AGAIN],
        "process.env": more("process", "env"),
    }
    assert edited == bool(found["mounts"]), "NVML is where the loader looks"
    return {key: value for key, value in found.items() if value}


def cut_differs(scratch: Scratch, name: str) -> list[str]:
    """What is otherwise after the recorded spec was cut off at a recorded place."""
    size = name.split()[3]
    spec = (RECORDED / "spec-h100x2.yaml").read_text()
    ran = scratch.run(
        "nvidia-ctk cdi list >/dev/null 2>/root/e; echo list $?; head -1 /root/e | cut -c1-200;"
        " nvidia-ctk --quiet cdi generate --output=/run/cdi/nvidia.yaml 2>/root/e;"
        " echo generate --output $?; head -1 /root/e | cut -c1-200",
        setup=f"mkdir -p /run/cdi; head -c {size} /out/spec > /run/cdi/nvidia.yaml",
        given={"spec": spec},
    )
    return _differs("stdout", re.sub(r'time="\S+"', 'time="TIME"', ran.stdout), CUTS[name])


COMPARISONS: dict[str, Callable[[Scratch, str], list[str]]] = {
    **dict.fromkeys(COMMANDS, command_differs),
    **dict.fromkeys(BUNDLES, bundle_differs),
    **dict.fromkeys(CUTS, cut_differs),
    **dict.fromkeys(DOCKER, docker_differs),
}
