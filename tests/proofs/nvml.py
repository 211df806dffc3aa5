"""A program for the environment's own Python: what NVML says, as JSON; exit 3 if nothing."""

NVML = """
import json, sys
import pynvml
try:
    pynvml.nvmlInit()
except pynvml.NVMLError as error:
    print(f"NVML: {error}", file=sys.stderr)
    sys.exit(3)
devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
ids = [pynvml.nvmlDeviceGetPciInfo(device).pciDeviceId for device in devices]
print(json.dumps({
    "driver": pynvml.nvmlSystemGetDriverVersion(),
    "gpus": [f"{i & 0xFFFF:04x}:{i >> 16:04x}" for i in ids],
    "names": [pynvml.nvmlDeviceGetName(device) for device in devices],
}))
"""
