"""What runs inside the audited child: stand-ins for the contest's machine, and the recorder.

Files here are executed by the child's Python, which has torch; the auditor itself never imports them. They are loaded under
a name of their own (`boot`), so that no import of the audited script can meet them.
"""
