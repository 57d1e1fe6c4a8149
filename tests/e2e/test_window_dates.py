"""Windows on the calendar, against another implementation: python-dateutil for the recurrence, Python's zoneinfo for
the clock changes. The rules of missing and doubled local times are worked out here a second time, quarter by quarter."""

import os
import random
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from dateutil import rrule

BIN = Path(os.environ.get("CASFLEET_BIN", Path(__file__).resolve().parents[2] / "build" / "failpoints"))
ZONES = (
    "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe", "Europe/London", "America/New_York", "America/Sao_Paulo",
    "Asia/Kolkata", "Pacific/Auckland", "America/St_Johns", "Asia/Tehran", "Pacific/Apia", "UTC",
)
FIRST = datetime(2024, 1, 1)
CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
AS_SAID, AFTER_GAP, FIRST_OF_TWO, LEAPT_OVER = range(4)


def first_instant(local, zone):
    """The first instant whose local time is this one; where there is none, the first one after the leap."""
    found = [
        at
        for at in (local.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
        if at.astimezone(zone).replace(tzinfo=None) == local
    ]
    if found:
        return min(found), FIRST_OF_TWO if len(set(found)) == 2 else AS_SAID
    at = local.replace(tzinfo=timezone.utc) - timedelta(hours=26)
    at -= timedelta(minutes=at.minute % 15)  # clocks are changed at quarters of an hour
    while at.astimezone(zone).replace(tzinfo=None) < local:
        at += timedelta(minutes=15)
    return at, AFTER_GAP


def expected(rule, start_min, length_min, zone_name, after, count):
    zone = ZoneInfo(zone_name)
    windows = []
    for day in rule:
        if day < after.replace(tzinfo=None) - timedelta(days=3):
            continue
        start, shift = first_instant(day + timedelta(minutes=start_min), zone)
        if start <= after:
            continue
        end, _ = first_instant(day + timedelta(minutes=start_min + length_min), zone)
        if end <= start:
            end, shift = start, LEAPT_OVER
        stamp = [int(at.timestamp() * 1000) for at in (start, end)]
        windows.append((*stamp, int(day.strftime("%Y%m%d")), shift))
        if len(windows) == count:
            break
    return windows


def clock(minutes):
    return "%02d:%02d" % (minutes // 60 % 24, minutes % 60)


def patch(day):
    return {1: 7}.get(day, (day - 1) % 7)


def some_rule(dice):
    """A window's days as typed, and as dateutil takes them."""
    kind = dice.randrange(7)
    day = dice.randrange(7)
    if kind == 0:
        return "daily", "FREQ=DAILY", FIRST
    if kind == 1:
        days = sorted(dice.sample(range(7), dice.randrange(1, 5)))
        return ",".join(NAMES[d] for d in days), "FREQ=WEEKLY;BYDAY=" + ",".join(CODES[d] for d in days), FIRST
    if kind == 2:
        days = [(day + i) % 7 for i in range(dice.randrange(2, 6))]
        return "%s-%s" % (NAMES[days[0]], NAMES[days[-1]]), "FREQ=WEEKLY;BYDAY=" + ",".join(CODES[d] for d in days), FIRST
    if kind == 3:
        # As people say it: the second Tuesday, and so many days on.
        return "%s after patch Tuesday" % NAMES[day], ("patch", patch(day)), FIRST
    if kind == 4:
        nth = dice.choice((1, 2, 3, 4, -1))
        text = "FREQ=MONTHLY;BYDAY=%d%s" % (nth, CODES[day])
        return "RRULE:" + text, text, FIRST
    if kind == 5:
        text = "FREQ=YEARLY;BYMONTH=%d;BYMONTHDAY=%d" % (dice.randrange(1, 13), dice.randrange(1, 32))
        return (text, text, FIRST) if not text.endswith(("=29", "=30", "=31")) else ("daily", "FREQ=DAILY", FIRST)
    first = FIRST + timedelta(days=dice.randrange(700))
    text = "FREQ=WEEKLY;INTERVAL=%d;BYDAY=%s" % (dice.randrange(2, 5), CODES[day])
    text += dice.choice(("", ";COUNT=%d" % dice.randrange(1, 200), ";WKST=SU"))
    return "%s from %s" % (text, first.strftime("%Y-%m-%d")), text, first


def days_of(recurrence, first):
    if recurrence[0] == "patch":
        tuesdays = rrule.rrulestr("FREQ=MONTHLY;BYDAY=2TU", dtstart=first)
        return (tuesday + timedelta(days=recurrence[1]) for tuesday in tuesdays)
    return rrule.rrulestr(recurrence, dtstart=first)


def known(windows):
    """libical knows no clock changes from 2038 on."""
    return [window for window in windows if window[2] < 20370101]


def ask(questions):
    text = "".join("%d\t%d\t%s\n" % question for question in questions)
    program = BIN / "tests" / "window_print"
    done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=300, check=True)
    answers, now = [], []
    for line in done.stdout.splitlines():
        if line == "." or line.startswith("!"):
            answers.append(now if line == "." else line)
            now = []
        else:
            now.append(tuple(int(word) for word in line.split()))
    return answers


def test_thousands_of_windows_are_where_dateutil_has_them():
    dice = random.Random(20261122)
    questions, wanted = [], []
    for _ in range(600):
        days, recurrence, first = some_rule(dice)
        zone = dice.choice(ZONES)
        # Half of them at night, where the clocks change.
        start = dice.randrange(0, 270, 5) if dice.randrange(2) else dice.randrange(1440)
        length = dice.randrange(5, 1440, 5)
        after = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=dice.randrange(2 * 365 * 1440))
        count = dice.randrange(1, 40)
        text = "%s %s-%s %s" % (days, clock(start), clock(start + length), zone)
        # "from" stands behind the days.
        questions.append((int(after.timestamp() * 1000), count, text))
        wanted.append(expected(days_of(recurrence, first), start, length, zone, after, count))
    answers = ask(questions)
    assert sum(len(answer) for answer in wanted) > 5000
    for question, answer, want in zip(questions, answers, wanted):
        assert known(answer) == known(want), question


def test_every_night_of_the_2026_clock_changes():
    """Each quarter of an hour of the nights around each change, as start and as end."""
    changes = {
        "Europe/Berlin": ((3, 28), (10, 24)),
        "Africa/Cairo": ((4, 23), (10, 29)),
        "Australia/Lord_Howe": ((4, 4), (10, 3)),
    }
    questions, wanted, shifts = [], [], set()
    for zone, nights in changes.items():
        for month, day in nights:
            after = datetime(2026, month, day, tzinfo=timezone.utc) - timedelta(hours=24)
            first = after.replace(tzinfo=None) - timedelta(days=3)
            for start in range(0, 1440, 15):
                for length in (15, 30, 60, 240):
                    text = "daily %s-%s %s" % (clock(start), clock(start + length), zone)
                    questions.append((int(after.timestamp() * 1000), 4, text))
                    wanted.append(expected(days_of("FREQ=DAILY", first), start, length, zone, after, 4))
                    shifts.update(window[3] for window in wanted[-1])
    for question, answer, want in zip(questions, ask(questions), wanted):
        assert answer == want, question
    assert shifts == {AS_SAID, AFTER_GAP, FIRST_OF_TWO, LEAPT_OVER}
