"""Runs a command and says how long it took: `timed.py SECONDS COMMAND...` prints `exit CODE after SECONDS s`.

A command that is not done in SECONDS is ended, and that it `still waits` is printed.
"""
import subprocess
import sys
import time

limit, *command = sys.argv[1:]
began = time.monotonic()
try:
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=float(limit))
except subprocess.TimeoutExpired:
    print(f"still waits after {limit} s")
else:
    took = time.monotonic() - began
    print(ended.stdout, end="" if ended.stdout.endswith("\n") or not ended.stdout else "\n")
    print(f"exit {ended.returncode} after {took:.3f} s")
