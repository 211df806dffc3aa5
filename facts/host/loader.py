"""The loader's cache: what programs find by a library's name."""

from __future__ import annotations

_LDCONFIG = r"""
PATH=$PATH:/sbin:/usr/sbin
command -v ldconfig >/dev/null || { unread ': the host has no ldconfig'; exit 8; }
"""
# The cache's list is in $loaded; $cache is "gone" where there is none. Then the loader finds
# nothing, and ldconfig repairs that.
LISTED = rf"""{_LDCONFIG}
cache=
loaded=$(LC_ALL=C may ldconfig -p) || cache=gone
"""
# Where libraries are what matters: a host without a cache is not a host without them.
LOADED = rf"""{_LDCONFIG}
loaded=$(LC_ALL=C ldconfig -p 2>&1) || {{
    unread ": $(printf '%s\n' "$loaded" | head -n 1); run ldconfig"
    exit 8
}}
"""
