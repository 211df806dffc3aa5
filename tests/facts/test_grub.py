"""The laws of GRUB's default: what its own configuration boots, in each way it can be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpurig.facts.kernel.grub import default

CAPTURED = Path(__file__).parent.parent / "data/facts/Kernel/debian-13-older-kernel-chosen.txt"
UUID = "6d1f1a7e-0b52-4a5c-9a8e-2f1f6f0a1b11"
OLD, NEW = "6.12.100+deb13-amd64", "6.12.118+deb13-amd64"


def _menu(*told: str) -> list[str]:
    """The captured menu with another default."""
    lines = CAPTURED.read_text().splitlines()
    told_there = ("grub set default=", "grub env ")
    return [*told, *(line for line in lines if not line.startswith(told_there))]


@pytest.mark.parametrize(
    ("told", "release"),
    [
        ("0", NEW),
        ("1>2", OLD),
        ("1", NEW),
        (f"gnulinux-advanced-{UUID}>gnulinux-{OLD}-advanced-{UUID}", OLD),
        (f"Advanced options for GNU/Linux>GNU/Linux, with Linux {OLD}", OLD),
        ("an entry that was removed", NEW),
        (f"gnulinux-advanced-{UUID}>an entry that was removed", None),
        ("99", NEW),
    ],
)
def test_the_default_is_found_by_number_id_and_title(told: str, release: str | None) -> None:
    """GRUB takes ids, titles and numbers, and boots the first entry where it finds none."""
    assert default(_menu(f'grub set default="{told}"')) == release


@pytest.mark.parametrize(
    ("env", "release"),
    [
        ((), NEW),
        (("grub env saved_entry=1>2",), OLD),
        (("grub env saved_entry=1>2", "grub env next_entry=0"), NEW),
        (("grub env next_entry=1>2",), OLD),
        (("grub env saved_entry=",), NEW),
    ],
)
def test_what_was_saved_decides_where_grub_asks_for_it(env: tuple[str, ...], release: str) -> None:
    """A one-shot entry comes before a saved one, and neither counts where it is not asked for."""
    told = ('grub set default="${next_entry}"', 'grub set default="${saved_entry}"')

    assert default(_menu(*told, *env)) == release
    assert default(_menu('grub set default="0"', *env)) == NEW


def test_entries_in_files_of_their_own_are_named_by_machine_and_release() -> None:
    """Where grub.cfg has no entries (BLS), the saved name ends in the release."""
    told = ["grub found", "grub blscfg", 'grub set default="${saved_entry}"']
    saved = f"grub env saved_entry={'0a' * 16}-5.14.0-570.el9.x86_64"

    assert default([*told, saved]) == "5.14.0-570.el9.x86_64"
    assert default(told) is None
