"""What is there: each fact reads one thing of a host and changes nothing."""
