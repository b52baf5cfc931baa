"""Runs a command and says how it ended and when: `timed.py SECONDS COMMAND...` prints `exit CODE in time` or `late`."""
import subprocess
import sys
import time

limit, *command = sys.argv[1:]
began = time.monotonic()
ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
took = time.monotonic() - began
print(ended.stdout, end="" if ended.stdout.endswith("\n") or not ended.stdout else "\n")
print(f"exit {ended.returncode} " + ("in time" if took < float(limit) else f"late: {took:.1f} s"))
