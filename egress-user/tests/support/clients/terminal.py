"""A command at a terminal of its own, as the first process of a session, and somebody who types.

    terminal.py STEP... -- COMMAND...

Steps, in this order, with escapes as in Python: `wait TEXT` until the terminal has shown it (behind what was waited for
before), `type TEXT`. Then everything that the terminal showed is printed, and the exit code is the command's.
"""

import os
import pty
import select
import sys
import time

DEADLINE = time.monotonic() + 6 * float(os.environ.get("PROBE_DEADLINE", "10"))


def main():
    words = sys.argv[1:]
    steps, command = words[: words.index("--")], words[words.index("--") + 1 :]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    shown, seen = b"", 0

    def more():
        nonlocal shown
        if time.monotonic() > DEADLINE:
            sys.stdout.write(shown.decode(errors="replace"))
            sys.exit("too late: " + repr(shown[seen:]))
        if not select.select([terminal], [], [], 0.2)[0]:
            return True
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        shown += part
        return bool(part)

    for step in steps:
        verb, _, text = step.partition(" ")
        text = text.encode().decode("unicode_escape").encode()
        if verb == "wait":
            while (at := shown.find(text, seen)) < 0:
                if not more():
                    sys.stdout.write(shown.decode(errors="replace"))
                    sys.exit("ended before it showed " + repr(text))
            seen = at + len(text)
        elif verb == "type":
            os.write(terminal, text)
        else:
            sys.exit("no such step: " + step)
    while more():
        pass
    sys.stdout.write(shown.decode(errors="replace"))
    sys.stdout.flush()
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) % 256)


main()
