"""A machine of the tests on which a program may be interrupted."""

from __future__ import annotations


class Interruptible:
    """fail_at: (number of the change, "before" or "after"), or None. changes: the commands so far that change something."""

    def _or_interrupted(self, program):
        def answer(argv):
            number, when = self.fail_at or (None, "")
            now = bool(self.changes) and self.changes[-1] is argv and len(self.changes) - 1 == number
            if now and when == "before":
                return 5, "", f"{argv[0]} was interrupted"
            answered = program(argv)
            return (137, "", "") if now else answered

        return answer
