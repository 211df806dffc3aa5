"""Rows of tables as the indexes and repositories of today have them; what is read is only data."""
