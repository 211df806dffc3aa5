"""pip's indexes as pip itself reads them, from files and variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpurig.settings import pip
from gpurig.settings.redaction import Redaction, secrets_of
from gpurig.wheels.uv_compile import uv_compile

USER = ".config/pip/pip.conf"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare HOME without any word of indexes."""
    for name in ("INDEX_URL", "EXTRA_INDEX_URL", "TRUSTED_HOST", "CONFIG_FILE"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    for name in (*pip._UV, "UV_CONFIG_FILE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(pip, "ETC", tmp_path / "etc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "variables", "told"),
    [
        ({}, {"PIP_INDEX_URL": "https://a/s"}, ("https://a/s", (), (), "PIP_INDEX_URL")),
        ({USER: "[global]\nindex-url = https://b/s\n"}, {}, ("https://b/s", (), (), USER)),
        ({USER: "[global]\nindex_url = https://b/s\n"}, {}, ("https://b/s", (), (), USER)),
        ({USER: "[global]\nindex-url=https://b\n[install]\nindex-url=https://i\n"}, {},
         ("https://i", (), (), USER)),
        ({USER: "[global]\nindex-url = https://b/s\n"}, {"PIP_INDEX_URL": "https://a/s"},
         ("https://a/s", (), (), "PIP_INDEX_URL")),
        ({"etc/pip.conf": "[global]\nindex-url = https://all\nextra-index-url = https://more\n",
          USER: "[global]\nindex-url = https://mine\n"}, {},
         ("https://mine", ("https://more",), (), USER)),
        ({"etc/xdg/pip/pip.conf": "[global]\nindex-url = https://x\n"}, {},
         ("https://x", (), (), "etc/xdg/pip/pip.conf")),
        ({"etc/uv/uv.toml": ""}, {"PIP_INDEX_URL": "https://a"}, ("", (), (), "")),
        ({".pip/pip.conf": "[global]\nindex-url = https://old\n",
          USER: "[global]\nindex-url = https://new\n"}, {}, ("https://new", (), (), USER)),
        ({USER: "[global]\nextra-index-url =\n  https://a\n  https://b\ntrusted-host = h\n"}, {},
         ("", ("https://a", "https://b"), ("h",), USER)),
        ({"named.conf": "[global]\nindex-url = https://n\n"}, {"PIP_CONFIG_FILE": "named.conf"},
         ("https://n", (), (), "named.conf")),
        ({USER: "[global]\nindex-url = https://b/s\n"}, {"PIP_CONFIG_FILE": "/dev/null"},
         ("", (), (), "")),
        ({USER: "[download]\nindex-url = https://d\n[global]\nindex-url = %(x)s\n"}, {},
         ("%(x)s", (), (), USER)),
        ({USER: "index-url = no section\n"}, {}, ("", (), (), "")),
        ({USER: "[global]\nindex-url = https://b/s\n"}, {"UV_DEFAULT_INDEX": "https://u"},
         ("", (), (), "")),
        ({USER: "[global]\nindex-url = https://b\n", ".config/uv/uv.toml": ""}, {},
         ("", (), (), "")),
    ],
)  # fmt: skip
def test_the_last_word_counts(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    variables: dict[str, str],
    told: tuple[str, tuple[str, ...], tuple[str, ...], str],
) -> None:
    """Files before variables, uv's own words before all."""
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = pip.indexes()
    origin = found.origin.removeprefix(f"{home}/")
    assert (found.url, found.extra, found.trusted, origin) == told


def test_its_passwords_are_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a file as well, wherever uv or gpurig writes of them."""
    (home / USER).parent.mkdir(parents=True)
    (home / USER).write_text("[global]\nextra-index-url = https://ada:ge%2Fheim@b/s\n")
    assert Redaction(secrets_of([]))("x ge%2Fheim ge/heim y") == "x ***** ***** y"


def test_uv_asks_the_index_of_pip(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it resolves and no index is given; a given one is asked alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/of-pip")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for given, asked in ((None, "of-pip"), ("http://127.0.0.1:1/given", "given")):
        done = uv_compile("-", python="3.13", platform="x86_64-manylinux_2_28", index=given,
                          stdin="six\n")  # fmt: skip
        assert f"http://127.0.0.1:1/{asked}/six/" in done.stderr
