"""A script that knows of no launcher: it prints, and writes into the folder in which it runs."""

import math
import sys

estimate = 0.0
for n in range(200_000):
    estimate += (-1) ** n / (2 * n + 1)
with open("pi.txt", "w") as file:
    print(4 * estimate, file=file)
print("pi is about", 4 * estimate)
print("done", file=sys.stderr)
sys.exit(abs(4 * estimate - math.pi) > 0.001)
