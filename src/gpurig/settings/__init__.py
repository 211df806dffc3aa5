"""What a user may set: the table, its kinds, and what is checked before a host is asked."""
