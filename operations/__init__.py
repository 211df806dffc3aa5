"""What changes a host: each operation keeps one promise."""
