"""Which track a submission is in: the limits on time and hardware bind records only.

The folder tells, since that is what a maintainer merges; submission.json is asked where the folder is of neither track, and
where it contradicts a folder of the record track the answer is UNCLEAR. Not covered: what prose says about the track.
"""

from __future__ import annotations

import re
from enum import StrEnum

from auditor.finding import NotApplicable
from auditor.submission.submission import Submission
from rules.limits import NON_RECORD_TRACK_FOLDER, RECORD_TRACK_FOLDER

_NON_RECORD = re.compile(r"non[\W_]*record|unlimited", re.IGNORECASE)
_RECORD = re.compile(r"10[\W_]*min", re.IGNORECASE)


class Track(StrEnum):
    """The two tracks of the contest, and a submission that does not tell its own."""

    RECORD = "record"
    NON_RECORD = "non-record"
    UNCLEAR = "unclear"


NOT_BOUND = NotApplicable(reason="limits on time and hardware do not bind the non-record track")


def track_of(submission: Submission) -> Track:
    """The track by the folder, else by submission.json."""
    declared = (submission.metadata.track if submission.metadata else None) or ""
    if NON_RECORD_TRACK_FOLDER.value in submission.path:
        return Track.NON_RECORD
    if RECORD_TRACK_FOLDER.value in submission.path:
        return Track.UNCLEAR if _NON_RECORD.search(declared) else Track.RECORD
    if _NON_RECORD.search(declared):
        return Track.NON_RECORD
    return Track.RECORD if _RECORD.search(declared) else Track.UNCLEAR
