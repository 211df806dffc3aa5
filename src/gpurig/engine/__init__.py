"""One run over the hosts: read, resolve, change, read again, prove."""
