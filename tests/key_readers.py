"""What gpg, gpgv, sqv and rpm read in the key files that gpurig accepts, against what it read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from key_files import DATA, PINNED

OWN = (PINNED, PINNED[-8:].lower(), "genuine")  # as gpg lists it, as rpm does, by its signature

# Run in a folder with the files of key_files.write and with what the two keys signed. A line for
# each file and reader: what it lists, or whose signature it takes. rpm's ids of keys are short.
READ = r"""
ask() { name=$1 reader=$2; shift 2; echo "$name $reader" $("$@" 2>/dev/null); }
lists() { gpg --homedir "$PWD/home" --batch --show-keys --with-colons "$1" |
    awk -F: '/^(pub|sec):/ {take = 1} /^fpr:/ && take {print $10; take = 0}'; }
takes() { file=$1; shift; for who in genuine attacker; do
    "$@" --keyring "$PWD/$file" $who.sig message >/dev/null 2>&1 && echo $who; done; }
imports() { rm -rf db; mkdir db; rpmkeys --dbpath "$PWD/db" --import "$1" >/dev/null;
    rpm --dbpath "$PWD/db" -q gpg-pubkey --qf '%{VERSION}\n' | grep '^[0-9a-f]'; }
mkdir -p -m 700 home
for f in *.file *.gpg *.asc; do
    case $f in *.asc) ;; *)
        ! command -v gpg >/dev/null || ask $f gpg lists $f
        ! command -v sqv >/dev/null || ask $f sqv takes $f sqv
        ! command -v gpgv >/dev/null || ask $f gpgv takes $f gpgv --homedir "$PWD/home" ;;
    esac
    case $f in *.gpg) ;; *) ! command -v rpmkeys >/dev/null || ask $f rpm imports $f ;; esac
done
"""


def put_signatures(folder: Path) -> None:
    """What `READ` needs beside the key files."""
    for name in ("message", "genuine.sig", "attacker.sig"):
        (folder / name).write_bytes((DATA / name).read_bytes())


def judged(answers: str) -> tuple[list[str], Counter[str]]:
    """
    The answers that break the law, and how many answers each reader gave, by outcome.

    No reader may find a key but the pinned one in anything that was accepted. In what gpurig hands
    over, with every packet as its owner wrote it, each reader has to find the pinned one. A packet
    that was damaged may cost the key its validity, so there a reader may find none.
    """
    wrong, outcomes = [], Counter[str]()
    for line in answers.splitlines():
        name, reader, *found = line.split()
        own = [one for one in found if one in OWN]
        foreign = len(own) < len(found)
        outcomes[f"{reader} {'another' if foreign else 'the key' if own else 'none'}"] += 1
        ours = name.startswith("whole") and not name.endswith(".file")
        if foreign or (ours and not own):
            wrong.append(line)
    return wrong, outcomes
