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

import pytest

from gpurig.contract.promise import Finding, Verdict
from gpurig.engine import run
from gpurig.engine.result import HostResult, Proof, ProofVerdict
from gpurig.report import run_report
from gpurig.report.screen import plan_lines
from gpurig.report.summary import ending
from gpurig.settings.checks import validate
from gpurig.stack.described import Given, described
from gpurig.stack.model import Stack
from gpurig.stack.resolver import resolve
from gpurig.training import output
from gpurig.training.training import Outcome
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
    assert lines[head:changing] == plan_lines(result)
    assert {finding.id for finding in plan} <= {
        re.sub(r"environment\.NAME\.", "environment.tensorflow.", name) for name in promises()
    }
    wills = {finding.id: finding.will for finding in plan if finding.will}
    assert not _not_in_code(set(wills.values()))

    done = [re.fullmatch(r"done     (\S+): (.+) \(.+\)", line) for line in lines]
    assert wills.items() <= {one[1]: one[2] for one in done if one}.items()
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
        re.fullmatch(r"passed {9}(?:tensorflow: )?(.+?)(?:: .*)? \([^(]+\)", one) for one in lines
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
    outcome.nodes = [SimpleNamespace(name="gpu01"), SimpleNamespace(name="gpu02")]  # type: ignore
    assert output.ending(outcome) == lines


def test_the_json_on_its_page_has_the_fields_of_a_result() -> None:
    """docs/reference/json.md shows the frame with an empty host."""
    page = (ROOT / "docs/reference/json.md").read_text()
    shown = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    made = run_report.frame("plan", [HostResult("gpu01")])
    assert list(shown) == list(made)
    assert list(shown["hosts"]["gpu01"]) == list(made["hosts"]["gpu01"])
    explained = re.findall(r"^\| `(\w+)` \|", page.partition("## Error codes")[0], re.MULTILINE)
    assert explained == list(made["hosts"]["gpu01"])
