"""NVIDIA's container toolkit for hosts without a GPU: its programs, its units, its packages."""
