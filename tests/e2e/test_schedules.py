"""Schedules as an operator types and reads them, over real processes; the exported calendar by another's parser."""
import json
import sqlite3
from datetime import datetime, timedelta, timezone

import icalendar
import pytest

from farm import Farm, wait_until


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    farm = Farm(tmp_path_factory.mktemp("calendar") / "farm").start()
    for number in (1, 2, 3):
        farm.agent(f"LON-CAS0{number}", "LON", speed=200)
    farm.agent("LON-CAS04", "LON", build="15.1.1591.10")  # it has the fix
    farm.agent("LON-CAS05", "LON", ram_bytes=1 << 30)  # two workers do not fit
    farm.operator("ops.viewer", "viewer")
    farm.wait_up()
    yield farm
    farm.close()


# Why: twice a year an hour is missing or comes twice; what then happens is read before it happens.
# How: the 2026 changes of Berlin, Cairo and Lord Howe, by a window nobody has stored.
@pytest.mark.parametrize("window,day,lines", [
    ("Sun 02:30-05:00 Europe/Berlin", "2026-03-28",
     ["Sun 29 Mar 2026 03:00 +02:00  Sun 29 Mar 2026 01:00 UTC", "the clocks leap over its start"]),
    ("Sun 02:30-05:00 Europe/Berlin", "2026-10-24",
     ["Sun 25 Oct 2026 02:30 +02:00  Sun 25 Oct 2026 00:30 UTC", "its start comes twice", "Sun 25 Oct 2026 05:00 +01:00"]),
    ("daily 00:30-02:00 Africa/Cairo", "2026-04-23",
     ["Fri 24 Apr 2026 01:00 +03:00  Thu 23 Apr 2026 22:00 UTC", "the clocks leap over its start"]),
    ("daily 23:30-02:00 Africa/Cairo", "2026-10-29",
     ["Thu 29 Oct 2026 23:30 +03:00  Thu 29 Oct 2026 20:30 UTC", "its start comes twice"]),
    ("Sun 02:15-04:00 Australia/Lord_Howe", "2026-10-03",
     ["Sun 04 Oct 2026 02:30 +11:00  Sat 03 Oct 2026 15:30 UTC", "the clocks leap over its start"]),
    ("Sun 01:45-04:00 Australia/Lord_Howe", "2026-04-04",
     ["Sun 05 Apr 2026 01:45 +11:00  Sat 04 Apr 2026 14:45 UTC", "its start comes twice"]),
    ("Sun 02:10-02:50 Europe/Berlin", "2026-03-28", ["the clocks leap over all of it: it does not take place"]),
])
def test_a_preview_over_the_2026_clock_changes_says_what_happens(site, window, day, lines):
    done = site.casfleet("schedule", "preview", "--window", window, "--from", day, "--most", "2", key="ops.viewer", expect=0)
    first = "\n".join(done.stdout.splitlines()[:3])
    for line in lines:
        assert line in first, done.stdout


# Why: scripts decide by exit code; a mistake in a window is named where it stands.
@pytest.mark.parametrize("code,words,arguments", [
    (2, "column 5, \"25:00\"", ["schedule", "add", "a", "all", "--window", "Sat 25:00"]),
    (2, "--window is missing", ["schedule", "add", "a", "all"]),
    (2, "name the servers", ["schedule", "add", "a", "--window", "daily"]),
    (2, "no name of a schedule", ["schedule", "add", "a b", "all", "--window", "daily"]),
    (2, "say which", ["schedule", "preview"]),
    (5, "no such schedule", ["schedule", "show", "nothing"]),
    (5, "no such schedule", ["schedule", "preview", "nothing"]),
    (5, "ROM-CAS01", ["schedule", "add", "a", "ROM-CAS01", "--window", "daily"]),
    (6, "not frozen", ["freeze", "off"]),
    (2, '--ram "lots": fit, known or any', ["schedule", "add", "a", "all", "--window", "daily", "--ram", "lots"]),
    (2, "--min-age: 401d is outside 0 s .. 400 d", ["schedule", "add", "a", "all", "--window", "daily", "--min-age", "401d"]),
    (2, "no-such.ics", ["schedule", "import-blackouts", "no-such.ics"]),
])
def test_what_cannot_be_is_refused_with_the_reason(site, code, words, arguments):
    done = site.casfleet(*arguments)
    assert done.returncode == code and words in done.stderr and done.stdout == "", done.stdout + done.stderr


# Why: a window by site time is another instant in each site; one reads it before it happens, in both clocks.
# How: refused until the site's clocks are known; then the two clock changes of March 2026, and a second site.
def test_a_window_by_site_time_follows_each_sites_clocks(site):
    add = ["schedule", "add", "by-site", "-l", "site=LON", "--window", "Sun 01:30-05:00 site"]
    done = site.casfleet(*add)
    assert done.returncode == 6 and "casfleet site zone LON Europe/London" in done.stderr, done.stderr
    assert "LON   -" in site.casfleet("site", "list", expect=0).stdout
    assert site.casfleet("site", "zone", "LON", "Europe/Lundon").returncode == 2
    assert site.casfleet("site", "zone", "LON", "Europe/London", key="ops.viewer").returncode == 4
    assert site.casfleet("site", "zone", "LON", "Europe/London", expect=0).stdout.startswith("LON goes by Europe/London, where")
    assert "by the time of each site" not in site.casfleet("schedule", "list", expect=0).stdout
    assert "(added)" in site.casfleet(*add, expect=0).stdout
    site.casfleet("server", "label", "LON-CAS03", "--site", "NYC", expect=0)
    site.casfleet("site", "zone", "NYC", "America/New_York", expect=0)
    try:
        done = site.casfleet("schedule", "preview", "--window", "Sun 02:30-05:00 site", "--from", "2026-03-07", "--most", "8",
                             key="ops.viewer", expect=0)
        lines = done.stdout.splitlines()
        assert "by the time of each site" in lines[0] and lines[1].split()[:2] == ["SITE", "LOCAL"]
        assert lines[2].split()[0] == "LON" and "Sun 08 Mar 2026 02:30 UTC" in lines[2]
        assert lines[3].split()[0] == "NYC" and "Sun 08 Mar 2026 03:00 -04:00" in lines[3] and "07:00 UTC" in lines[3]
        assert "the clocks leap over its start" in lines[3] and "leap" not in lines[2]
        assert "Sun 29 Mar 2026 02:30 +01:00  Sun 29 Mar 2026 01:30 UTC" in done.stdout
        only = site.casfleet("schedule", "preview", "--window", "daily 01:00 site", "-l", "site=NYC", "-o", "json", expect=0)
        assert {item["site"] for item in json.loads(only.stdout)["items"]} == {"NYC"}
        shown = site.casfleet("schedule", "show", "by-site", expect=0).stdout
        assert "next     LON  Sun" in shown and "NYC" not in shown, shown
        assert "Next by-site in LON: Sun" in site.casfleet("status").stdout
        assert "LON-CAS01   LON (Europe/London)" in site.casfleet("server", "show", "LON-CAS01", expect=0).stdout
        assert "on the clock of each site" in site.casfleet("why", "by-site").stdout
        calendar = icalendar.Calendar.from_ical(site.casfleet("schedule", "export", "by-site", expect=0).stdout)
        assert {str(event["SUMMARY"]) for event in calendar.walk("VEVENT")} == {"by-site LON: recycle"}
        assert site.casfleet("schedule", "preview", "by-site", "-l", "site=LON").returncode == 2
    finally:
        site.casfleet("schedule", "remove", "by-site", expect=0)
        site.casfleet("server", "label", "LON-CAS03", "--site", "LON", expect=0)


# Why: the whole way: a window opens, a plan is made and runs, and the calendar shows it to other programs.
# How: a window at the next minute that is 20 s away; holidays from a file with folded lines; then the freeze.
def test_a_window_runs_its_plan_and_the_calendar_says_so(site, tmp_path):
    start = (datetime.now(timezone.utc) + timedelta(seconds=80)).replace(second=0, microsecond=0)
    window = start.strftime("daily %H:%M-") + (start + timedelta(hours=2)).strftime("%H:%M")
    done = site.casfleet("schedule", "add", "nightly", "-l", "site=LON", "--window", window, "--gap", "0s", "--settle", "0s",
                         "--no-drain", "--floor", "50", "--min-age", "1m", "--fixed-too", "--just-in-time", "--ram", "known", expect=0)
    gates = "gates    memory for two workers: known, worker at least 1 min old, just in time, those with the fix too"
    assert gates in done.stdout, done.stdout
    site.casfleet("schedule", "remove", "nightly", expect=0)
    done = site.casfleet("schedule", "add", "nightly", "-l", "site=LON", "--window", window, "--gap", "0s", "--settle", "0s",
                         "--no-drain", "--floor", "50", expect=0)
    assert "  gates    memory for two workers: fit\n" in done.stdout
    assert done.stdout.startswith("nightly  daily ") and "(added)" in done.stdout
    assert "next     " + start.strftime("%a %d %b %Y %H:%M UTC") in done.stdout
    assert site.casfleet("schedule", "add", "nightly", "all", "--window", "daily").returncode == 2

    assert "Now        nothing runs.  Next nightly: " + start.strftime("%a %d %b %Y") in site.casfleet("status").stdout
    end = start + timedelta(hours=2, milliseconds=-1)
    holiday = (start + timedelta(days=2)).strftime("%Y%m%d")
    black = [night for night in range(3) if holiday in {(at + timedelta(days=night)).strftime("%Y%m%d") for at in (start, end)}]
    file = tmp_path / "holidays.ics"
    file.write_bytes(f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:{holiday}\r\n"
                     "SUMMARY:A day\r\n  without work\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode())
    done = site.casfleet("schedule", "import-blackouts", str(file), expect=0)
    assert done.stdout.startswith("holidays: 1 blackout dates")
    rows = json.loads(site.casfleet("schedule", "preview", "nightly", "-o", "json", expect=0).stdout)["items"]
    assert [night for night in range(3) if rows[night]["note"] == 'skipped: blackout "A day without work" of holidays'] == black
    assert rows[0]["note"] is None and 2 in black, rows

    wait_until(lambda: site.json("schedule", "show", "nightly")["runs"], 180, lambda: site.casfleet("schedule", "list").stdout)
    run = site.json("schedule", "show", "nightly")["runs"][0]
    assert run["rollout"] and run["words"].startswith("began with 3 servers; left out LON-CAS04 (has the fix"), run
    assert "LON-CAS05 (two workers do not fit in memory" in run["words"], run
    for asked in (["schedule", "show", "nightly"], ["schedule", "list"], ["why", "nightly"]):
        shown = " ".join(site.casfleet(*asked).stdout.split())
        assert "left out LON-CAS04 (has the fix" in shown and "LON-CAS05 (two workers do not fit in memory" in shown, shown
    site.wait_state(run["rollout"], {"done"}, 120)
    assert "nightly" in site.casfleet("schedule", "list", "-o", "name", expect=0).stdout

    calendar = icalendar.Calendar.from_ical(site.casfleet("schedule", "export", expect=0).stdout)
    events = {str(event["SUMMARY"]): event for event in calendar.walk("VEVENT")}
    assert str(events["nightly: done"]["STATUS"]) == "CONFIRMED"
    assert abs(events["nightly: done"].decoded("DTSTART") - start) < timedelta(minutes=3)
    planned = [event for event in calendar.walk("VEVENT") if str(event["SUMMARY"]) == "nightly: recycle"]
    assert len(planned) > 50 and len({str(event["UID"]) for event in planned}) == len(planned)
    by_day = {event.decoded("DTSTART").strftime("%Y%m%d"): str(event["STATUS"]) for event in planned}
    cancelled = {(start + timedelta(days=night)).strftime("%Y%m%d") for night in black}
    assert {day for day, status in by_day.items() if status == "CANCELLED"} == cancelled, by_day
    assert list(by_day.values()).count("TENTATIVE") == len(planned) - len(black)

    assert site.casfleet("freeze", "on", "--reason", "audit", expect=0).stdout.startswith("Frozen: nothing new begins")
    for noun in (["schedule", "list"], ["status"]):
        assert "FROZEN since" in site.casfleet(*noun).stdout
    assert site.casfleet("freeze", "on").returncode == 6
    site.casfleet("freeze", "off", expect=0)
    assert "state" in site.casfleet("schedule", "list", "-o", "csv", expect=0).stdout
    assert site.casfleet("schedule", "remove", "nightly", key="ops.viewer").returncode == 4
    site.casfleet("schedule", "pause", "nightly", "--reason", "audit", expect=0)
    site.casfleet("schedule", "resume", "nightly", expect=0)
    assert site.casfleet("schedule", "remove", "nightly", expect=0).stdout.startswith("nightly is removed")
    assert site.casfleet("schedule", "list", expect=0).stdout.splitlines()[1] == "(none)"


# Why: dates that are imported and not looked at would be worse than those refused.
# How: an hour a day, 4,000 times; 97 of another calendar are one too many; those of the first are replaced by fewer.
def test_blackouts_beyond_the_limit_are_refused_with_the_numbers(site, tmp_path):
    def hours(name, count):
        file = tmp_path / f"{name}.ics"
        event = (f"BEGIN:VEVENT\r\nUID:1\r\nDTSTART:{first}T090000Z\r\nDTEND:{first}T100000Z\r\n"
                 f"RRULE:FREQ=DAILY;COUNT={count}\r\nEND:VEVENT\r\n")
        file.write_text("BEGIN:VCALENDAR\r\n" + (event if count else "") + "END:VCALENDAR\r\n")
        return site.casfleet("schedule", "import-blackouts", str(file))

    first = (datetime.now(timezone.utc) + timedelta(days=2)).strftime("%Y%m%d")
    for name in "abcd":
        assert hours(name, 1000).stdout.startswith(f"{name}: 1000 blackout dates")
    done = hours("e", 200)
    assert done.returncode == 2 and done.stdout == "", done.stdout
    assert "e: 200 blackout dates, with " in done.stderr and ": at most 4096 together" in done.stderr, done.stderr
    for name in "abcd":
        assert hours(name, 0).stdout.startswith(f"{name}: 0 blackout dates")
    assert hours("e", 200).returncode == 0 and hours("e", 0).returncode == 0


# Why: a clock that was ahead when a window was armed must not cost those until then.
# How: what such a clock leaves behind is written into the database of a stopped controller.
def test_a_clock_that_was_ahead_is_seen_at_the_start(site):
    start = (datetime.now(timezone.utc) + timedelta(hours=2)).replace(second=0, microsecond=0)
    day = 24 * 3600 * 1000
    site.casfleet("schedule", "add", "ahead", "all", "--window", start.strftime("daily %H:%M"), expect=0)
    site.controller.stop()
    base = sqlite3.connect(site.state / "controller.db")
    with base:
        base.execute("UPDATE schedule SET armed_ms = start_ms + ?, start_ms = start_ms + ?, end_ms = end_ms + ? WHERE name = 'ahead'",
                     (2 * day, 3 * day, 3 * day))
    base.close()
    site.start()
    wait_until(lambda: "the clock was set back: next is " + start.strftime("%a %d %b %Y %H:%M UTC")
               in site.casfleet("why", "ahead").stdout, 20, lambda: site.casfleet("why", "ahead").stdout)
    shown = site.casfleet("schedule", "show", "ahead", expect=0).stdout
    assert "next     " + start.strftime("%a %d %b %Y %H:%M UTC") in shown, shown
    assert site.json("schedule", "show", "ahead")["next_ms"] == start.timestamp() * 1000
    site.casfleet("schedule", "remove", "ahead", expect=0)
