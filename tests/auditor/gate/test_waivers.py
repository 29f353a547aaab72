from __future__ import annotations

from datetime import date

import pytest

from auditor.gate.waivers import parse_waivers

RULES = {"PG201", "PG701"}
WHOLE = """# why we do this
[[waiver]]
rule = "PG201"
submission = "records/track_10min_16mb/2026-04-15_A/"
fingerprint = "0123456789abcdef"
reason = "announced before the cap was decimal"
by = "maintainer"
until = 2026-12-31
"""


def test_a_waiver_says_everything_and_where_it_stands() -> None:
    (waiver,) = parse_waivers(WHOLE, "waivers.toml", RULES)
    assert waiver.submission == "records/track_10min_16mb/2026-04-15_A"
    assert waiver.until == date(2026, 12, 31)
    assert waiver.where == "waivers.toml:2"
    assert str(waiver.suppression) == "waived by maintainer until 2026-12-31: announced before the cap was decimal"


def test_an_empty_file_waives_nothing() -> None:
    assert parse_waivers("", "waivers.toml", RULES) == ()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('rule = "PG201"', 'rule = "PG201', r"waivers\.toml: .*line 3"),
        ('rule = "PG201"', 'rule = "PG999"', r"waivers\.toml:2: no rule has the id 'PG999'"),
        ('rule = "PG201"', "rule = 201", r"waivers\.toml:2: rule = 201 is no text"),
        ('reason = "announced before the cap was decimal"', 'reason = " "', r"waivers\.toml:2: reason = ' ' is no text"),
        ('by = "maintainer"\n', "", r"waivers\.toml:2: the waiver has no by$"),
        ("0123456789abcdef", "0123", r"waivers\.toml:2: fingerprint = '0123' is not 16"),
        ("until = 2026-12-31", 'until = "2026-12-31"', r"waivers\.toml:2: until = '2026-12-31' is no day"),
        ("until = 2026-12-31", "until = 2026-12-31T00:00:00", r"waivers\.toml:2: until = .* is no day"),
        ("until = 2026-12-31", "until = 2026-12-31\nforever = true", r"waivers\.toml:2: unknown key 'forever'"),
        ("[[waiver]]", "[[waivers]]", r"waivers\.toml:2: unknown key 'waivers'"),
        ("[[waiver]]", "[waiver]", r"waivers\.toml:2: waivers are tables, each below \[\[waiver\]\]"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, complaint: str) -> None:
    assert old in WHOLE
    with pytest.raises(ValueError, match=complaint):
        parse_waivers(WHOLE.replace(old, new), "waivers.toml", RULES)


def test_the_second_waiver_is_named_by_its_own_line() -> None:
    broken = WHOLE.replace("[[waiver]]", "[[ waiver ]]").replace('by = "maintainer"\n', "")
    with pytest.raises(ValueError, match=r"waivers\.toml:10: the waiver has no by"):
        parse_waivers(f"{WHOLE}{broken}", "waivers.toml", RULES)


def test_a_waiver_in_an_inline_array_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"waivers\.toml: waiver 1: the waiver has no submission"):
        parse_waivers('waiver = [{rule = "PG201"}]', "waivers.toml", RULES)
