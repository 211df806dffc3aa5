"""A program for an environment's own Python: its framework, what it computes on, what it loaded."""

from __future__ import annotations

from importlib.resources import files

# Arguments: the framework, what it stands on ("" where it computes alone), and what Keras calls
# what computes ("" where it does not know it). Whatever goes wrong is in "error", beside what was
# loaded until then: a foreign module is often the cause.
_PROGRAM = r"""
import json, os, pkgutil, sys, sysconfig

framework, base, backend = sys.argv[1:4]
# A product of ones, 64 x 64, and a 3 x 3 window of ones over 8 x 8: what probes compute.
told = {"error": "", "version": "", "cuda": False, "architectures": None, "gpus": [],
        "computed": {}, "wanted": float(64**3 + 6 * 6 * 9)}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if backend:
    os.environ["KERAS_BACKEND"] = backend

def look(name):
    space = {"__name__": name}
    exec(compile(PROBES[name], name, "exec"), space)
    return space["look"](told, base)

try:
    if base:
        look(base)
    told["version"] = look(framework)
except BaseException as error:
    told["error"] = f"{type(error).__name__}: {error}".strip().splitlines()[0]

def within(path, folders):
    return any(path.startswith(folder + "/") for folder in folders)

prefix = os.path.realpath(sys.prefix)
standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
own = [prefix, sys.prefix, *standard, *map(os.path.realpath, standard)]
told["prefix"] = prefix
told["libraries"] = sorted(
    {line.split(None, 5)[5].rstrip().removesuffix(" (deleted)")
     for line in open("/proc/self/maps") if ".so" in line})
told["brought"] = sorted(
    {name.partition(".so")[0] for _, _, names in os.walk(prefix) for name in names
     if name.endswith(".so") or ".so." in name})
names = {m.name for m in pkgutil.iter_modules([sysconfig.get_path("purelib"), *standard])}
told["modules"] = sorted(
    (name, module.__file__) for name, module in list(sys.modules.items())
    if name in names and getattr(module, "__file__", None)
    and not within(module.__file__, own) and not within(os.path.realpath(module.__file__), own)
    and module.__file__ != __file__)
print(json.dumps(told))
"""


def program() -> str:
    """The program, with the probes of all frameworks in it."""
    probes = {
        file.name.removesuffix(".py"): file.read_text(encoding="utf-8")
        for file in files("gpurig.proofs.probes").iterdir()
        if file.name.endswith(".py") and file.name != "__init__.py"
    }
    return f"PROBES = {probes!r}\n{_PROGRAM}"
