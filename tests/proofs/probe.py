"""A program for an environment's own Python: its framework, what it computes on, what it loaded."""

# Arguments: the framework, and what it stands on ("" where it is a framework of its own). Whatever
# goes wrong is in "error", beside what was loaded until then: a foreign module is often the cause.
PROBE = r"""
import json, os, pkgutil, sys, sysconfig

framework, base = sys.argv[1:3]
told = {"error": "", "version": "", "cuda": False, "architectures": None, "gpus": [],
        "computed": {}}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

def gpu(name, capability):
    told["gpus"].append({"name": str(name), "capability": [int(n) for n in capability]})

def tensorflow():
    import tensorflow as tf
    told["cuda"] = bool(tf.test.is_built_with_cuda())
    built = tf.sysconfig.get_build_info()
    if told["cuda"]:
        told["architectures"] = list(built.get("cuda_compute_capabilities", []))
    for device in tf.config.list_physical_devices("GPU"):
        found = tf.config.experimental.get_device_details(device)
        gpu(found.get("device_name"), found.get("compute_capability", ()))
    for device in tf.config.list_logical_devices():
        if device.device_type in ("CPU", "GPU"):
            with tf.device(device.name):
                product = tf.linalg.matmul(tf.ones((64, 64)), tf.ones((64, 64)))
                image = tf.nn.conv2d(tf.ones((1, 8, 8, 1)), tf.ones((3, 3, 1, 1)), 1, "VALID")
                total = tf.reduce_sum(product) + tf.reduce_sum(image)
            told["computed"][device.name] = float(total)
    return tf.__version__

def pytorch():
    import torch
    told["cuda"] = torch.version.cuda is not None
    if told["cuda"]:
        told["architectures"] = torch.cuda.get_arch_list()
    count = torch.cuda.device_count()
    for index in range(count):
        gpu(torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index))
    for device in ["cpu"] + [f"cuda:{index}" for index in range(count)]:
        product = torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)
        image = torch.nn.functional.conv2d(
            torch.ones(1, 1, 8, 8, device=device), torch.ones(1, 1, 3, 3, device=device))
        told["computed"][device] = float(product.sum() + image.sum())
    return torch.__version__

def jax():
    import jax
    import jax.numpy as np
    told["cuda"] = any(m.name.startswith("jax_cuda") for m in pkgutil.iter_modules())
    found = [device for device in jax.devices() if device.platform != "cpu"]
    for device in found:
        gpu(device.device_kind, str(getattr(device, "compute_capability", "")).split("."))
    for device in jax.devices("cpu") + found:
        with jax.default_device(device):
            image = jax.lax.conv(np.ones((1, 1, 8, 8)), np.ones((1, 1, 3, 3)), (1, 1), "VALID")
            total = (np.ones((64, 64)) @ np.ones((64, 64))).sum() + image.sum()
        told["computed"][str(device)] = float(total)
    return jax.__version__

def keras():
    os.environ["KERAS_BACKEND"] = {"pytorch": "torch"}.get(base, base)
    globals()[base]()
    import keras
    image = keras.ops.conv(keras.ops.ones((1, 8, 8, 1)), keras.ops.ones((3, 3, 1, 1)))
    product = keras.ops.matmul(keras.ops.ones((64, 64)), keras.ops.ones((64, 64)))
    total = keras.ops.sum(product) + keras.ops.sum(image)
    told["computed"]["keras on " + keras.backend.backend()] = float(total)
    return keras.__version__

def horovod():
    globals()[base]()
    import horovod
    if base == "pytorch":
        import horovod.torch as hvd
        from torch import full
    else:
        import horovod.tensorflow as hvd
        from tensorflow import fill as full
    hvd.init()
    total = hvd.allreduce(full((1,), 262468.0), name="gpurig", op=hvd.Sum)
    told["computed"]["horovod"] = float(total[0])
    return horovod.__version__

try:
    told["version"] = globals()[framework]()
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

COMPUTED = 64**3 + 6 * 6 * 9  # ones @ ones of 64 x 64, and a 3 x 3 window of ones over 8 x 8
