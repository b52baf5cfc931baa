"""Small attempts at the network. Each argument is one attempt; each prints `ATTEMPT => RESULT` on a line.

Results: `ok` with what came back, the name of an errno (EPERM, ...), `reset` (ECONNRESET or EPIPE after the connect),
`closed` (an end of file where an answer was due), `timeout` (2 s of silence), or a resolver's error. A result that
took more than half of that time says so, since a refusal has to come at once. PROBE_DEADLINE gives other seconds.
"""
import sys
import time

import datagrams
import others
import streams
from base import DEADLINE, word

ATTEMPTS = {**vars(streams), **vars(datagrams), **vars(others)}

for attempt in sys.argv[1:]:
    name, *arguments = attempt.split()
    began = time.monotonic()
    try:
        result = ATTEMPTS[name.replace("-", "_")](*arguments)
    except OSError as error:
        result = word(error)
    took = time.monotonic() - began
    late = f" after {took:.1f} s" if took > DEADLINE / 2 and result != "timeout" else ""
    print(f"{attempt} => {result}{late}", flush=True)
