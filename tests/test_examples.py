"""Output of gpurig that a page shows is what gpurig prints now."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from gpurig.cli import main
from gpurig.contract.finding import Finding, Verdict
from gpurig.engine import run
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.hosts.inventory import load
from gpurig.report import plan as shown_plan
from gpurig.report.frame import of_run
from gpurig.report.summary import ending
from gpurig.settings.checks import parse_set, validate
from gpurig.settings.defaults import NAME, Defaults
from gpurig.stack.described import Given, described
from gpurig.stack.model import Stack
from gpurig.stack.resolver import resolve
from gpurig.training import output
from gpurig.training.wish import Outcome, Results
from test_docs import PAGES, ROOT, promises, titles
from test_sentences import script

GAP = "[…]"  # lines that an example leaves out


def _examples() -> Iterator[tuple[str, str, list[str]]]:
    """Page, command and output of each block that begins with a command behind a dollar."""
    for page in PAGES:
        for block in re.findall(r"^```\n\$ (.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            command, *lines = block.splitlines()
            yield str(page.relative_to(ROOT)), command, lines


EXAMPLES = {f"{page}: {command}": lines for page, command, lines in _examples()}
RUN = "README.md: ./gpurig up --set rig_data_mirror=/srv/mnist"
TRAIN = "docs/how-to/train-on-many-hosts.md: gpurig train --engine torchrun my-lab.py"
# What needs no host is run; of what was recorded on hosts the words are compared with the code.
RUNNABLE = [name for name in EXAMPLES if "gpurig resolve --os" in name]


def _blocks(kind: str) -> Iterator[tuple[str, str]]:
    """Page and text of each block of code of this language; empty: of none."""
    for page in PAGES:
        found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.M)
        for language, block in found:
            if language == kind:
                yield str(page.relative_to(ROOT)), block


def _lines() -> Iterator[tuple[str, str]]:
    """Page and line of each block for readers, without what a # explains."""
    for page, block in _blocks(""):
        if not block.startswith("$ ") and not page.startswith(("tests/", "benchmarks/")):
            for line in block.splitlines():
                yield page, re.split(r"  +#|(?<=\S) +# ", line)[0].strip()


_OURS = re.compile(r"(?:lspci -nn \| |uvx --from git\+REPOSITORY |\./)?gpurig (?!COMMAND)(.*)")
_TESTS = re.compile(r"(?:[A-Z_]+=\S+ )*\./gpurig test\b(.*)")
TYPED = sorted({line for _, line in _lines() if line})
OURS = [line for line in TYPED if _OURS.fullmatch(line) and not _TESTS.fullmatch(line)]
TESTS = [line for line in TYPED if _TESTS.fullmatch(line)]

# What else stands in blocks, and why nothing here runs it.
UNTRIED = {
    "git clone REPOSITORY gpurig": "REPOSITORY is for the reader to fill in",
    "cd gpurig": "follows it",
    "inventory -> facts -> resolver -> operations -> facts again -> proofs -> report": "a picture",
    "gpurig COMMAND [INVENTORY|@local|HOST…] [OPTIONS]": "the form of all commands",
    ".venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy src/gpurig":
        "tests/test_style.py runs them",
    ".venv/bin/python scripts/release": "tests/test_release.py runs it, step by step",
    "uvx pip-audit --disable-pip --require-hashes -r requirements.lock": "asks the internet",
    "tests/lab/lab up trixie gpu01 --gpu h100": "tests/lab/test_lab.py runs the lab",
    "tests/lab/lab enter gpu01 'apt-get update'": "tests/lab/test_lab.py runs the lab",
    "tests/lab/lab list": "tests/lab/test_lab.py runs the lab",
    "tests/lab/lab down gpu01": "tests/lab/test_lab.py runs the lab",
    "for v in 1.19.1-1 1.20.0-1; do apt-get download"
    " {nvidia-container-toolkit{,-base},libnvidia-container{-tools,1}}=$v; done": "NVIDIA's",
    "docker import - lab-python:trixie < debian-with-python.tar": "the reader's own file",
    ". /opt/gpurig/venvs/horovod/bin/activate": "tests/system/test_train_horovod.py trains so",
    "horovodrun -np 2 --gloo python my_train.py": "the reader's own program",
    "virtualenv ~/jupyter": "tests/system/test_remove.py does it with XGBoost",
    "virtualenv --python /opt/gpurig/venvs/tensorflow/bin/python ~/mine": "as above",
    "echo /opt/gpurig/venvs/tensorflow/lib/python3.13/site-packages"
    " > ~/mine/lib/python3.13/site-packages/gpurig.pth": "as above",
    "~/mine/bin/pip install NAME": "NAME is for the reader to fill in",
    "~/mine/bin/python -m ipykernel install --user --name mine": "Jupyter's",
    "~/jupyter/bin/pip install jupyterlab": "Jupyter's, and hundreds of megabytes",
    "~/jupyter/bin/jupyter kernelspec list": "Jupyter's",
    "~/jupyter/bin/jupyter lab --no-browser": "Jupyter's, and does not end",
    "ssh -N -L 8888:localhost:8888 gpu01": "OpenSSH's, and does not end",
    ".venv/bin/pyinfra my-lab.py deploy/workstation.py": "tests/system runs plain pyinfra",
    "docker run --rm --device nvidia.com/gpu=all IMAGE nvidia-smi -L": "needs a GPU",
    "docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all IMAGE nvidia-smi -L":
        "needs a GPU",
    "podman run --rm --device nvidia.com/gpu=all IMAGE nvidia-smi -L": "needs a GPU",
    "nvidia-ctk cdi generate --feature-flags=no-additional-gids-for-device-nodes"
    " --output=/etc/cdi/nvidia.yaml": "needs a GPU",
}  # fmt: skip


def test_every_line_of_a_block_is_tried_or_has_a_reason() -> None:
    """No page shows a command that nothing here knows, and no reason is left over."""
    known = {*OURS, *TESTS}
    assert {line for line in TYPED if line not in known} == set(UNTRIED)
    languages = {
        kind for page in PAGES for kind in re.findall(r"^```(\w+)$", page.read_text(), re.M)
    }
    # test_house.py compares the mermaid, test_sentences.py the text.
    assert languages <= {"python", "json", "toml", "mermaid", "text"}


@pytest.mark.parametrize("line", OURS)
def test_a_command_of_a_page_is_one_that_gpurig_takes(line: str) -> None:
    """Its verb, its options and their values are read as gpurig reads them; nothing is run."""
    told = _OURS.fullmatch(line)
    assert told
    words = shlex.split(told[1].partition(" > ")[0])
    group: click.Command = main.gpurig
    name = "gpurig"
    while isinstance(group, click.Group) and words:
        name, *words = words
        group = group.commands[name]
    context = group.make_context(name, list(words))
    parse_set(context.params.get("wishes") or ())


@pytest.mark.parametrize("line", TESTS)
def test_a_command_that_runs_tests_names_files_that_there_are(line: str) -> None:
    """And is one of pytest's."""
    told = _TESTS.fullmatch(line)
    assert told
    words = shlex.split(told[1])
    assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))


PYTHON = [(page, text) for page, text in _blocks("python") if not page.startswith("tests/")]


@pytest.mark.parametrize(("page", "text"), PYTHON, ids=[page for page, _ in PYTHON])
def test_an_inventory_of_a_page_is_one_that_gpurig_reads(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hosts and settings are checked as in a run; a deploy file finds what it imports."""
    monkeypatch.setenv("SUDO_PASSWORD", "secret")
    file = tmp_path / "page.py"
    if "workstation(" in text:
        exec(text.rpartition("\n\n")[0], {})
        return
    file.write_text(text)
    assert load(str(file))


@pytest.mark.parametrize(("page", "text"), list(_blocks("toml")))
def test_a_gpurig_toml_of_a_page_is_one_that_gpurig_reads(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its settings is one that there is, with a value that it may have."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    (tmp_path / NAME).write_text(text)
    read = Defaults.of(tmp_path / "lab.py")
    assert read.files == (tmp_path / NAME,)
    assert read.data


def test_each_example_is_compared() -> None:
    """No page shows output that nothing here knows."""
    assert {RUN, TRAIN, *RUNNABLE} == set(EXAMPLES)
    assert RUNNABLE


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_output_is_that_of_the_command(name: str) -> None:
    """Each part of the example stands whole in the output, in this order."""
    words = shlex.split(name.partition(": ")[2])[1:]
    command = [sys.executable, "-m", "gpurig.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    rest = f"\n{done.stdout}"
    for part in filter(None, "\n".join(EXAMPLES[name]).strip().split(GAP)):
        assert part in rest
        rest = rest.partition(part.rstrip())[2]


def _findings(lines: list[str]) -> list[Finding]:
    """The findings of a plan as it is printed."""
    found = []
    for line in lines:
        name, _, told = line.strip().partition(": ")
        if told.startswith("follows: "):
            reason = told.removeprefix("follows: ")
            wanted = reason.removeprefix("known after ")
            found.append(Finding(name, Verdict.FOLLOWS, wanted=wanted, reason=reason))
            continue
        drift = re.fullmatch(r"(.+?) \((.+) -> (.+)\)", told)
        assert drift, line
        found.append(Finding(name, Verdict.DRIFTED, drift[2], drift[3], drift[1]))
    return found


def _not_in_code(wills: set[str]) -> list[str]:
    """Those that no text of the operations' code can have made."""
    code = chain.from_iterable(
        script.texts(script.ast.parse(file.read_text()))
        for file in (ROOT / "operations").rglob("*.py")
    )
    forms = [re.split(r"\{[^{}]*\}", text) for text in code if re.search(r"[a-z]{3}", text)]
    patterns = [".+".join(map(re.escape, form)) for form in forms if len(form[0]) > 3]
    return [will for will in wills if not any(re.fullmatch(one, will) for one in patterns)]


def test_the_run_in_the_readme_has_the_words_of_a_run() -> None:
    """Recorded on a host of the lab: stages, promises, what is done, proofs and the last lines."""
    lines = EXAMPLES[RUN]
    head = lines.index("What will change on @local")
    changing, proving = lines.index("changing"), lines.index("proving")
    plan = _findings(lines[head + 1 : changing])
    result = HostResult("@local", plan=plan, connected=True)
    assert lines[head:changing] == shown_plan.lines(result)
    assert {finding.id for finding in plan} <= {
        re.sub(r"environment\.NAME\.", "environment.tensorflow.", name) for name in promises()
    }
    wills = {finding.id: finding.will for finding in plan if finding.will}
    assert not _not_in_code(set(wills.values()))

    done = [re.fullmatch(r"done     (\S+): (.+) \(.+\)", line) for line in lines]
    did = {one[1]: one[2] for one in done if one}
    assert not _not_in_code(set(did.values()))
    # A folder that two layers share is made once.
    did |= {name: wills[name] for name in did if name.endswith(".folders")}
    assert wills.items() <= did.items()
    for line in lines[changing + 1 : proving]:
        if line.startswith("..."):
            assert any(line.startswith(f"...      {will}, ") for will in wills.values()), line
        else:
            assert line.startswith("done     ") or line == "reading again", line
    code = Path(run.__file__).read_text()
    stages = [line for line in lines if line and f'"{line}"' in code]
    assert stages == ["connecting", "reading facts", "changing", "reading again", "proving"]


def test_the_proofs_in_the_readme_have_the_titles_of_proofs() -> None:
    """In the order in which they run; each passed."""
    lines = EXAMPLES[RUN]
    lines = lines[lines.index("proving") + 1 : lines.index("")]
    shown = [
        re.fullmatch(r"passed {9}(?:tensorflow: )?(.+?)(?:: .*)? \([^(]+\)", one)
        or re.fullmatch(r"\.{3} {6}(?:tensorflow: )?(.+?), (?:\d+ min )?\d+ s: .+", one)
        for one in lines
    ]
    assert all(shown), lines
    known = [title.rstrip(".") for title in titles().values()]
    places = [known.index(one[1]) for one in shown if one]
    assert places == sorted(places)


def test_the_last_lines_in_the_readme_are_those_of_such_a_run() -> None:
    """The same counts, stack and proofs give the same lines."""
    lines = EXAMPLES[RUN]
    last = lines[lines.index("") + 1 : -1]
    told = dict(line.strip().split(": ", 1) for line in last)
    remark = next(line for line in last if line.startswith("  passed: ")).split(": ", 3)
    stack = resolve(validate({}, "here"), described(Given("debian:13")))
    assert isinstance(stack, Stack)
    changed = len(
        _findings(lines[lines.index("What will change on @local") + 1 : lines.index("changing")])
    )
    held = int(told["already right"])
    before = [Finding(f"a.{n}", Verdict.DRIFTED) for n in range(changed)]
    before += [Finding(f"b.{n}", Verdict.HOLDS) for n in range(held)]
    out = [Finding(item.component, Verdict.LEFT_OUT, reason=item.reason) for item in stack.left_out]
    final = [Finding(finding.id, Verdict.HOLDS) for finding in before]
    counts = re.fullmatch(r"(\d+) passed, (\d+) not-applicable", told["proofs"])
    assert counts
    proofs = [Proof("p", "", ProofVerdict.PASSED)] * (int(counts[1]) - 1)
    proofs += [Proof("p", "", ProofVerdict.NOT_APPLICABLE, "no")] * int(counts[2])
    proofs += [Proof("m", f"{remark[1]}: {remark[2]}", ProofVerdict.PASSED, remark[3])]
    result = HostResult("@local", {}, stack, before + out, final + out, proofs, connected=True)
    assert ending(result, validate({}, "here"), "up") == last
    assert re.fullmatch(r"report: /root/\.local/state/gpurig/runs/[\d-]+/report\.html", lines[-1])


def test_the_last_lines_of_a_training_are_those_of_such_a_training() -> None:
    """The figures are made up, the words are not."""
    lines = EXAMPLES[TRAIN][1:]
    ranks = [
        {"rank": n, "host": f"gpu0{n + 1}", "weights_sha256": "0c1a5e9bd3f06a77" * 4}
        for n in (0, 1)
    ]
    told = {"accuracy": 0.9812, "threshold": 0.97, "images_per_second": 21904.0, "ranks": ranks}
    outcome = Outcome(told=told, alone={"images_per_second": 11969.0}, seconds=96)
    nodes: Any = [SimpleNamespace(name="gpu01"), SimpleNamespace(name="gpu02")]
    outcome.nodes = nodes
    outcome.fetched = Results("gpu01", (), files=3, size=84_200)
    outcome.folder = "gpurig-train/20261130-101200"
    kept: Any = SimpleNamespace(cut="")
    screen = output.Lines(["gpu01"], kept, quiet=True)
    screen.noise = 12
    *told_in, report = lines
    assert output.ending(outcome) + screen.folded() == told_in
    assert re.fullmatch(r"report: /home/ada/\.local/state/gpurig/runs/[\d-]+/report\.html", report)


def test_the_json_on_its_page_has_the_fields_of_a_result() -> None:
    """docs/reference/json.md shows the frame with an empty host."""
    page = (ROOT / "docs/reference/json.md").read_text()
    shown = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    made = of_run("plan", [HostResult("gpu01")])
    assert list(shown) == list(made)
    assert list(shown["hosts"]["gpu01"]) == list(made["hosts"]["gpu01"])
    explained = re.findall(r"^\| `(\w+)` \|", page.partition("## Error codes")[0], re.MULTILINE)
    assert explained == list(made["hosts"]["gpu01"])
