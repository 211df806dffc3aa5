"""All that people read, and the JSON of it."""

SCHEMA = 1  # of whatever JSON is printed or written
