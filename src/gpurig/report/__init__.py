"""What all people read: the screen, the run log, report.json, junit.xml and report.html."""

SCHEMA = 1  # of whatever JSON is printed or written
