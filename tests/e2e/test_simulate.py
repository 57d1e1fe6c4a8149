"""casfleet recycle simulate: a plan played against a record whose numbers are known, because this test wrote it."""
import sqlite3
import struct
import time
from datetime import datetime, timedelta, timezone

import msgpack
import pytest

from farm import POOL, Farm

MINUTE, DAY = 60 * 1000, 24 * 3600 * 1000
ENTRY_SAMPLE, ACTIVE_REQUESTS = 1, 1
FLEET_SERVERS = 12000
PACE = ["--gap", "10m", "--settle", "10m", "--drain", "30s", "--act", "30s", "--proof", "30s", "--floor", "0", "--no-canary", "--fixed-too"]
CARRIED = {"LON-CAS01": 300, "LON-CAS02": 240, "LON-CAS03": 100, "LON-CAS04": 130}


def rows_of(carried, from_ms, minutes):
    """A report a minute for each server, as the controller keeps them: when it came, by whom, its one sample."""
    for minute in range(minutes):
        at_ms = from_ms + minute * MINUTE
        for server, requests in carried.items():
            body = msgpack.packb({1: POOL, 2: [{1: ACTIVE_REQUESTS, 2: float(requests)}]})
            yield at_ms, server, struct.pack(">QqBH", minute + 1, at_ms, ENTRY_SAMPLE, len(body)) + body


def write_record(farm, rows):
    """Puts reports before all that are kept; their ids rise as they came."""
    farm.controller.stop()
    base = sqlite3.connect(farm.state / "controller.db")
    with base:
        ids = dict(base.execute("SELECT name, id FROM server"))
        base.execute("UPDATE report SET id = id + 1000000")
        base.execute("UPDATE spool SET sample_report = sample_report + 1000000 WHERE sample_report > 0")
        for number, (at_ms, server, body) in enumerate(sorted(rows), 1):
            base.execute("INSERT INTO report (id, server_id, spool_id, first_seq, last_seq, at_ms, body) VALUES (?, ?, ?, 1, 1, ?, ?)",
                         (number, ids[server], b"r" * 16, at_ms, body))
    base.close()
    farm.start()


def write_servers(farm, names, site):
    """Approved and never heard of: copies of one that is there, each with a key of its own."""
    farm.controller.stop()
    base = sqlite3.connect(farm.state / "controller.db")
    with base:
        columns = [row[1] for row in base.execute("PRAGMA table_info(server)") if row[1] not in ("id", "name", "site", "curve_key")]
        first = base.execute("SELECT MAX(id) FROM server").fetchone()[0] + 1
        for number, name in enumerate(names, first):
            base.execute(f"INSERT INTO server (id, name, site, curve_key, {', '.join(columns)})"
                         f" SELECT ?, ?, ?, ?, {', '.join(columns)} FROM server WHERE name = 'LON-CAS05'",
                         (number, name, site, number.to_bytes(32, "big")))
        base.execute("UPDATE counter SET value = ? WHERE name = 'server'", (first + len(names),))
    base.close()
    farm.start()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A week ago LON carried CARRIED each minute; two days ago LON-CAS03 carried 500. LON-CAS05 and FRA have no record."""
    farm = Farm(tmp_path_factory.mktemp("simulate") / "farm").start()
    for name in CARRIED:
        farm.agent(name, "LON", speed=200)
    farm.agent("LON-CAS05", "LON", is_started=False)
    farm.agent("FRA-CAS01", "FRA", speed=200)
    farm.agent("FRA-CAS02", "FRA", speed=200)
    farm.agent("FRA-CAS03", "FRA", speed=200)
    farm.operator("ops.viewer", "viewer")
    farm.operator("ops.b", "operator")
    farm.wait_up()
    now = int(time.time() * 1000)
    write_record(farm, [*rows_of(CARRIED, now - 7 * DAY - 10 * MINUTE, 120), *rows_of({"LON-CAS03": 500}, now - 2 * DAY, 40)])
    farm.wait_up()
    yield farm
    farm.close()


# Why: the answer decides whether a night is safe: worst load, where and when, against what the group has carried before.
# How: while LON-CAS01 is out its 300 go to the three that have a record, 100 each: 240 + 100 on LON-CAS02, 68 % of 500.
#      While LON-CAS02 is out its 240 go there, 80 each: 300 + 80 on LON-CAS01, 76 % of 500: the worst.
def test_the_worst_load_on_the_rest_is_what_the_record_gives(site):
    made = site.json("recycle", "plan", "LON-CAS01", "LON-CAS02", *PACE)["id"]
    done = site.casfleet("recycle", "simulate", made, key="ops.b", expect=0)
    document = site.json("recycle", "simulate", made)
    assert document["kind"] == "Simulation" and document["pace"] == "limits" and document["weeks"] == 1
    assert document["wave_ms"] == 2 * MINUTE and document["rest_ms"] == 10 * MINUTE
    found = {item["servers"]: item for item in document["items"]}
    assert set(found) == {"LON-CAS01", "LON-CAS02"}
    for out, on, own, requests, pct in (("LON-CAS01", "LON-CAS02", 240, 340, 68), ("LON-CAS02", "LON-CAS01", 300, 380, 76)):
        item = found[out]
        assert (item["server"], item["was"], item["requests"], item["pct"]) == (on, own, requests, pct), item
        assert item["known"] and item["out"] == 1 and item["left"] == 4 and item["moments"] == 3 and item["unjudged"] == 0
        assert (item["peak"], item["peak_server"]) == (500, "LON-CAS03")
    assert document["worst"]["servers"] == "LON-CAS02"
    assert [m["server"] for m in document["missing"]] == ["LON-CAS05"]

    wave = document["worst"]["wave"]
    assert done.stdout.startswith(f"Plan {made}: recycle, 2 waves from ") and "1 week before." in done.stdout
    assert "a wave takes 2 min (the plan's own limits: too few turns so far to tell), then 10 min rest" in done.stdout
    assert "LON-CAS02 out, 4 of LON stay   380 on LON-CAS01 (its own 300) at " in done.stdout and ", 76 % of the peak" in done.stdout
    assert f"Worst     wave {wave}: 380 active requests on LON-CAS01 (LON), with the load of " in done.stdout
    assert "76 % of 500, the most one server of the site carried in the week (LON-CAS03, " in done.stdout
    assert "Not known LON-CAS05: no record of that time: it is taken as carrying nothing of what moves" in done.stdout


# Why: three of four out at once leave all of it to one: more than any server has carried is no "done".
def test_more_than_the_peak_needs_attention(site):
    made = site.json("recycle", "plan", "LON-CAS[01-03]", "--at-once", "3", *PACE)["id"]
    done = site.casfleet("recycle", "simulate", made, expect=1)
    assert "LON-CAS[01-03] out, 2 of LON stay   770 on LON-CAS04 (its own 130) at " in done.stdout and "154 % of the peak" in done.stdout


# Why: before a schedule is left to the nights, one looks at the next of them. How: in half an hour, the plan of the first test;
#      paused, none is next.
def test_the_next_run_of_a_schedule_is_played_by_its_name(site):
    start = datetime.now(timezone.utc) + timedelta(minutes=30)
    window = start.strftime("daily %H:%M-") + (start + timedelta(hours=2)).strftime("%H:%M")
    site.casfleet("schedule", "add", "nightly", "LON-CAS[01-02]", "--window", window, *PACE, expect=0)
    done = site.casfleet("recycle", "simulate", "nightly", key="ops.b", expect=0)
    assert done.stdout.startswith("Next run of nightly: recycle, 2 waves from ") and "1 week before." in done.stdout
    assert "LON-CAS02 out, 4 of LON stay   380 on LON-CAS01 (its own 300) at " in done.stdout and ", 76 % of the peak" in done.stdout
    document = site.json("recycle", "simulate", "nightly")
    assert document["id"] is None and document["schedule"] == "nightly"
    assert document["start_ms"] == site.json("schedule", "show", "nightly")["next_ms"]
    site.casfleet("schedule", "pause", "nightly", expect=0)
    done = site.casfleet("recycle", "simulate", "nightly")
    assert done.returncode == 6 and "nightly: no run is next, it is paused" in done.stderr
    site.casfleet("schedule", "remove", "nightly", expect=0)


# Why: what was not recorded is said, and is no number; nor is it fine.
def test_what_was_not_recorded_is_not_known(site):
    made = site.json("recycle", "plan", "FRA-CAS01", *PACE)["id"]
    done = site.casfleet("recycle", "simulate", made, expect=1)
    assert "FRA-CAS01 out, 2 of FRA stay   not known\n" in done.stdout
    assert "Worst     not known: no wave has both a record and a peak to hold against" in done.stdout
    assert "Not known FRA-CAS01: no record of that time: what it carried then is not known" in done.stdout
    assert "the oldest report kept is of " in done.stdout
    item = site.json("recycle", "simulate", made)["items"][0]
    assert item["requests"] is None and item["server"] is None and item["pct"] is None and item["known"] is False
    assert site.casfleet("recycle", "simulate", made, "-o", "csv").stdout.splitlines()[0].startswith("servers,wave,group,")


def test_what_cannot_be_played_is_refused_with_the_reason(site):
    def refused(code, words, *things, key="ops.admin"):
        done = site.casfleet("recycle", "simulate", *things, key=key)
        assert done.returncode == code and words in done.stderr and done.stdout == "", done.stdout + done.stderr

    drain = site.json("recycle", "plan", "LON-CAS01", "--verb", "drain", *PACE)["id"]
    refused(2, "drain: only a recycle is played", drain)
    refused(5, "r-9999", "r-9999")
    refused(2, "is no rollout", "nightly")
    refused(2, "ID|SCHEDULE is missing")
    refused(4, "recycle.simulate needs operator", drain, key="ops.viewer")
    ended = site.json("recycle", "plan", "FRA-CAS02", "--at", "tomorrow 01:00", *PACE)["id"]
    site.casfleet("recycle", "run", ended, "--reason", "test", expect=0)
    site.casfleet("recycle", "end", ended, expect=0)
    refused(6, f"casfleet why {ended} says what it came to", ended)


# Why: whoever asks holds up everybody else until the answer is there. How: in a farm as big as may be, two waves of LON are looked
#      at as closely as before and give the same numbers, read look by look; four when each begins; seven are refused.
def test_a_big_farm_is_looked_at_less_often_and_says_so(site):
    write_servers(site, [f"BIG-CAS{n:05}" for n in range(1, FLEET_SERVERS - 8 + 1)], "BIG")
    site.wait_up()

    def simulate(servers, code):
        made = site.json("recycle", "plan", servers, *PACE)["id"]
        began = time.monotonic()
        done = site.casfleet("recycle", "simulate", made, expect=code)
        assert time.monotonic() - began < 5, "nobody else is served meanwhile"
        return site.json("recycle", "simulate", made) if code != 6 else None, done

    document, done = simulate("LON-CAS[01-02]", 0)
    assert "looks   a wave is looked at every 1 min, and at its end" in done.stdout
    assert {i["servers"]: (i["requests"], i["moments"]) for i in document["items"]} == {"LON-CAS01": (340, 3), "LON-CAS02": (380, 3)}
    document, done = simulate("LON-CAS[01-04]", 0)
    assert "looks   a wave is looked at when it begins" in done.stdout
    assert {i["servers"]: (round(i["requests"]), i["moments"]) for i in document["items"]} == {
        "LON-CAS01": (340, 1), "LON-CAS02": (380, 1), "LON-CAS03": (333, 1), "LON-CAS04": (343, 1)}
    document, done = simulate("LON-CAS[01-04],FRA-CAS[01-03]", 6)
    assert f"7 waves in a farm of {FLEET_SERVERS} servers: only plans of up to 6 waves are played there" in done.stderr, done.stderr
