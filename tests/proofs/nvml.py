"""A program for an environment's own Python: what NVML says, as JSON."""

SILENT, LACKING = 3, 5  # its exit codes: NVML says nothing; the environment has no pynvml

NVML = f"""
import json, sys
try:
    import pynvml
except ModuleNotFoundError as error:
    if error.name != "pynvml":
        raise
    sys.exit({LACKING})
try:
    pynvml.nvmlInit()
except pynvml.NVMLError as error:
    print(f"NVML: {{error}}", file=sys.stderr)
    sys.exit({SILENT})
devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
ids = [pynvml.nvmlDeviceGetPciInfo(device).pciDeviceId for device in devices]
print(json.dumps({{
    "driver": pynvml.nvmlSystemGetDriverVersion(),
    "gpus": [f"{{i & 0xFFFF:04x}}:{{i >> 16:04x}}" for i in ids],
    "names": [pynvml.nvmlDeviceGetName(device) for device in devices],
}}))
"""
