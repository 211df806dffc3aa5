"""Facts about apt, dnf, dpkg and rpm."""
