"""Auditor: opens a submission, establishes the facts and hands them to rules.

The package knows nothing about any particular rule: the engine is given a sequence of rules. It never imports ``rules``
or ``trainer``, and nothing in it needs torch; code that does (the run recorder) is imported only inside the audited child.
"""
