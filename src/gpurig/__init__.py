"""From a bare machine to a proven AI workstation."""

__version__ = "0.1.0"
