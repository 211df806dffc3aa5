"""What facts and operations are written against."""
