"""The toolkit's stand-in does what NVIDIA's programs did when they were recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from . import bases
from .lab import Lab
from .recordings import COMPARISONS, DOCKER
from .scratch import Scratch

pytestmark = pytest.mark.lab

OF_EACH_KIND = (
    "to stdout",
    "json",
    "one spec",
    "in place over a file of the user's",
    "auto, no spec, NVIDIA_VISIBLE_DEVICES all",
    "cdi, one spec, NVIDIA_VISIBLE_DEVICES all",
    "cut off after 300 bytes",
    "cut off after 600 bytes",
)


@pytest.fixture(scope="module")
def scratch(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """A base, whose perl has perl-base's modules and no others."""
    return Scratch.of(lab, "trixie", tmp_path_factory.mktemp("toolkit"))


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_programs_do_what_was_recorded(scratch: Scratch, name: str) -> None:
    """Exit, output, files, words looked for; a container's config.json; what runc is given."""
    assert COMPARISONS[name](scratch, name) == []


def test_the_older_perl_does_the_same(scratch: Scratch, lab: Lab) -> None:
    """Debian 12's perl runs the programs as Debian 13's does: one recording of each kind."""
    older = Scratch(bases.base(lab.disk, "bookworm"), scratch.layer)
    for name in (*OF_EACH_KIND, *DOCKER):
        assert COMPARISONS[name](older, name) == [], name


@dataclass(frozen=True)
class Mutation:
    """What is broken in the stand-in, and the recording that it no longer matches."""

    program: str
    text: str
    instead: str
    recording: str


CTK, RUNTIME = "nvidia-ctk", "nvidia-container-runtime"
ALL = "NVIDIA_VISIBLE_DEVICES all"
MUTATIONS = {
    "a device node has a type": Mutation(
        CTK, "permissions => 'rwm',", "permissions => 'rwm', type => 'c',", "to stdout"
    ),
    "a number is no string": Mutation(
        CTK, 'qq("$value") : $value;', "$value : $value;", "to stdout"
    ),
    "a spec without a GPU": Mutation(
        CTK, "if $spec->{devices}->@* == 1;", "if 0;", "no node of any GPU"
    ),
    "the spec is for its owner": Mutation(
        CTK, "chmod 0644", "chmod 0600", "over an existing file of mode 600"
    ),
    "the environment names no file": Mutation(
        CTK, "$ENV{NVIDIA_CTK_CDI_OUTPUT_FILE_PATH} //", "", "to a file by the environment"
    ),
    "quiet only from the end": Mutation(
        CTK, "$quiet = $flags{quiet} // $flags{q};", "", "what is said while quiet"
    ),
    "the list is not sorted": Mutation(
        CTK, "say for sort keys", "say for reverse sort keys", "one spec"
    ),
    "no conflict inside a folder": Mutation(
        CTK, "delete $devices{$name};", "$devices{$name} = $found[0];",
        "the same spec twice in one folder",
    ),
    "a cut spec is survived": Mutation(
        CTK, "crash() unless defined $each;", "next unless defined $each;",
        "cut off after 300 bytes",
    ),
    "generate does not read the folder": Mutation(
        CTK, "    registry(@FOLDERS, $folder);\n", "", "cut off after 300 bytes"
    ),
    "config forgets unknown tables": Mutation(
        CTK, "keys %$config, keys %COMMENTED;", "keys %COMMENTED;",
        "in place over a file of the user's",
    ),
    "links are relative": Mutation(
        CTK, "symlink $node->{path}, $link", 'symlink "..$node->{path}", $link',
        "create-dev-char-symlinks",
    ),
    "mode cdi reads no file": Mutation(
        RUNTIME, "{ from_files($oci, @wanted) if", "{ made_now($oci, @wanted) if",
        f"cdi, no spec, {ALL}",
    ),
    "mode auto reads files": Mutation(
        RUNTIME, "{ made_now($oci, @wanted) if", "{ from_files($oci, @wanted) if",
        "spec cut off, auto",
    ),
    "any mode will do": Mutation(
        RUNTIME, "else { fail(qq($CREATING: failed to construct OCI", "else { (qq(",
        f"nonsense, no spec, {ALL}",
    ),
    "every container gets GPUs": Mutation(
        RUNTIME, "($env{CUDA_VERSION} ? 'all' : '')", "'all'",
        "auto, no spec, NVIDIA_VISIBLE_DEVICES unset",
    ),
    "run is create": Mutation(
        RUNTIME, "$word eq 'create'", "$word =~ /^(?:create|run)$/",
        "not create: run --bundle /root/rec/bundle c1",
    ),
    "the bundle is where one is": Mutation(
        RUNTIME, "{ $bundle = $1 // shift @words }", "{ shift @words unless defined $1 }",
        "no bundle there",
    ),
    "nothing in the file of --log": Mutation(
        RUNTIME, "if (defined $error_file", "if (0", "mode nonsense, in Docker"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_the_recordings_catch_a_stand_in_that_does_otherwise(
    mutation: Mutation, lab: Lab, tmp_path: Path
) -> None:
    """A stand-in that lacks one behaviour of the real toolkit no longer matches its recording."""
    change = {mutation.program: (mutation.text, mutation.instead)}
    changed = Scratch.of(lab, "trixie", tmp_path, change)
    assert changed.run(f"perl -c /usr/bin/{mutation.program}").exit == 0
    assert COMPARISONS[mutation.recording](changed, mutation.recording) != []
