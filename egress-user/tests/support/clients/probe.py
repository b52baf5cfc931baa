"""Small attempts at the network. Each argument is one attempt; each prints `ATTEMPT => RESULT` on a line.

Results: `ok` with what came back, the name of an errno (EPERM, ...), `reset` (ECONNRESET or EPIPE after the connect),
`closed` (an end of file where an answer was due), `timeout` (10 s of silence), or a resolver's error. A refusal has to
come at once: one that took more than a tenth of that time is tried once more, as a wait that is part of it comes again
and that of a busy machine does not, and says so where it is late again. So does anything else that took half of the
time. PROBE_DEADLINE gives other seconds.
"""
import sys
import time

import associated
import datagrams
import others
import streams
from base import DEADLINE, word

ATTEMPTS = {**vars(streams), **vars(datagrams), **vars(associated), **vars(others)}
AT_ONCE = DEADLINE / 10


def tried(name, arguments):
    began = time.monotonic()
    try:
        result = ATTEMPTS[name.replace("-", "_")](*arguments)
    except OSError as error:
        result = word(error)
    return result, time.monotonic() - began


for attempt in sys.argv[1:]:
    name, *arguments = attempt.split()
    result, took = tried(name, arguments)
    limit = DEADLINE / 2
    if not result.startswith(("ok", "200", "timeout")):
        limit = AT_ONCE
        if took > limit:
            result, took = tried(name, arguments)
    late = f" after {took:.1f} s" if took > limit and result != "timeout" else ""
    print(f"{attempt} => {result}{late}", flush=True)
