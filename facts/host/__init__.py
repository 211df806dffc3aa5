"""Facts about the machine and its operating system."""
