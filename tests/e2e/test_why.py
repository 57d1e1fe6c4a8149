"""casfleet why: what an operator reads of a plan, a step, a schedule or a refusal, rule by rule."""
import re
from datetime import datetime, timedelta, timezone

import pytest

from farm import Farm, wait_until

FAST = ["--drain", "1s", "--act", "4s", "--proof", "4s", "--fixed-too", "--floor", "50", "--no-canary"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Four servers; the second never gets healthy after a recycle, and leaks, which makes it the most urgent one."""
    farm = Farm(tmp_path_factory.mktemp("why") / "farm").start()
    for number in (1, 2, 3, 4):
        is_sick = number == 2
        farm.agent(f"LON-CAS0{number}", "LON", speed=200, failure="never-healthy" if is_sick else "", leak_per_day=300 if is_sick else 0)
    farm.operator("ops.viewer", "viewer")
    farm.wait_up()
    yield farm
    farm.close()


def why(farm, *things, expect=0, key="ops.admin"):
    return farm.casfleet("why", *things, key=key, expect=expect).stdout


def rules(farm, *things):
    return {item["rule"]: item for item in farm.json("why", *things)["items"] if "rule" in item}


# Why: an operator asks of one server in one plan; every rule answers with its numbers, the one it waits for first.
def test_a_step_that_waits_says_for_which_rule_and_what_the_others_say(site):
    made = site.json("recycle", "plan", "LON-CAS03", "LON-CAS04", "--gap", "10m", "--settle", "25m", *FAST)["id"]
    shown = why(site, made)
    assert shown.startswith(f"{made} is a plan nobody has run: nothing is scheduled\n")
    assert "rule: a plan runs as it was shown or not at all: it can be run for another 2" in shown
    assert f"casfleet recycle run {made} --reason TEXT" in shown
    site.casfleet("recycle", "run", made, "--reason", "weekly", expect=0)
    first = wait_until(lambda: [s for s in site.rollout(made)["items"] if s["state"] == "proved"], 60, made)[0]["server"]
    other = "LON-CAS03" if first == "LON-CAS04" else "LON-CAS04"

    shown = why(site, made, other)
    assert re.match(rf"{made} {other} is to go, wave 2: waits, rest: rested \d+ (ms|s|min) of 10 min after wave 1\n", shown), shown
    found = rules(site, made, other)
    assert list(found) == ["plan", "window", "wave", "rest", "at once", "server", "slot", "memory", "floor"]
    assert found["rest"]["verdict"] == "waits" and found["wave"]["verdict"] == "holds"
    assert found["floor"]["words"] == "LON: 0 of 4 out, 2 may be (floor 50 %)"
    assert f"casfleet why {made}" in shown and f"casfleet why {other}" in shown

    shown = why(site, made, first)
    assert shown.startswith(f"{made} {first} is proved, wave 1\n") and "3 good probes in a row after the act prove it" in shown
    assert "step.proved" in shown and "step.granted" in shown

    shown = why(site, made, "LON-CAS01")
    assert shown.startswith(f"{made} LON-CAS01 is no step: the plan does not touch it\n") and "a plan made now" in shown
    assert site.casfleet("recycle", "pause", made).returncode == 0
    assert rules(site, made, other)["plan"]["words"] == "paused: paused by an operator"
    site.casfleet("recycle", "resume", made, "--skip", other, expect=0)
    site.wait_state(made, {"done"}, 30)
    assert why(site, made, other).startswith(f"{made} {other} is skipped, wave 2: an operator's decision\n")


# Why: what failed says by which rule, with its numbers, what is sure and what is not, and what can be done.
def test_a_step_that_failed_says_by_which_rule(site):
    made = site.json("recycle", "plan", "LON-CAS01", "LON-CAS02", "--gap", "0s", "--settle", "0s", *FAST)["id"]
    site.casfleet("recycle", "run", made, "--reason", "weekly", expect=0)
    site.wait_state(made, {"halted"}, 60)
    shown = why(site, made, "LON-CAS02")
    assert shown.startswith(f"{made} LON-CAS02 is failed, wave 1: not healthy in time\n"), shown
    assert re.search(r"rule: 3 good probes in a row within 4 s of the agent's answer; got \d; last seen: ", shown)
    assert re.search(r"slot       held, never freed by a clock: proof frees it, now or later: 3 good probes in a row of worker \d+ or a later one; \d so far", shown)
    assert f"Else a retry that is proved, or recycle end {made} --force" in shown
    assert "rule: halt at 1 failed; 1 failed, 0 of them forgiven by a resume: the plan is halted" in shown
    assert "known      LON-CAS02: ordered" in shown and "not known  whether it got healthy by it" in shown
    assert f"casfleet recycle retry {made} LON-CAS02" in shown
    assert rules(site, made, "LON-CAS01")["plan"]["words"] == "halted: stop rule, 1 failed (0 forgiven by a resume), limit 1"
    site.casfleet("recycle", "end", made, "--force", expect=0)


# Why: when does it begin next, why not before, and what became of the last windows.
# How: tomorrow is a holiday; then it is paused, and the farm frozen.
def test_a_schedule_says_when_it_begins_next_and_why_then(site, tmp_path):
    start = (datetime.now(timezone.utc) + timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
    window = start.strftime("daily %H:%M-") + (start + timedelta(hours=2)).strftime("%H:%M")
    site.casfleet("schedule", "add", "nightly", "-l", "site=LON", "--window", window, expect=0)
    first = start.strftime("%a %d %b %Y %H:%M UTC")
    shown = why(site, "nightly")
    assert shown.startswith(f"nightly is on: next {first}\n"), shown
    assert f"rule: {window} means FREQ=DAILY on the clock of UTC, by ops.admin" in shown
    assert f"next: {first} until " in shown and "the first of the rule from now on" in shown
    assert "at its time: recycle on -l site=LON" in shown and "last: no window has come yet" in shown
    assert "casfleet schedule preview nightly" in shown and "schedule.add" in shown

    file = tmp_path / "holidays.ics"
    file.write_bytes(f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:{start:%Y%m%d}\r\n"
                     "SUMMARY:Day off\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode())
    site.casfleet("schedule", "import-blackouts", str(file), expect=0)
    second = (start + timedelta(days=1)).strftime("%a %d %b %Y %H:%M UTC")
    shown = why(site, "nightly")
    assert shown.startswith(f"nightly is on: next {second}\n"), shown
    assert f'passed over: {first}, skipped: blackout "Day off" of holidays' in shown
    assert "the first nothing stands against" in shown

    site.casfleet("schedule", "pause", "nightly", "--reason", "audit", expect=0)
    site.casfleet("freeze", "on", "--reason", "quarter end", expect=0)
    shown = why(site, "nightly")
    assert shown.startswith("nightly is paused, but the farm is frozen\n") and "rule: paused: audit, by ops.admin: nothing of it begins until it is resumed" in shown
    assert "rule: the farm is frozen by ops.admin, quarter end: every window is skipped as long as it is" in shown
    assert "casfleet schedule resume nightly" in shown and "casfleet freeze off" in shown
    made = site.json("recycle", "plan", "LON-CAS04", *FAST)["id"]
    assert "rule: the farm is frozen by ops.admin, quarter end: run would be refused now" in why(site, made)
    site.casfleet("freeze", "off", expect=0)
    document = site.json("why", "nightly")
    assert document["kind"] == "Why" and document["what"] == "schedule" and document["schedule"]["state"] == "paused"
    site.casfleet("schedule", "remove", "nightly", expect=0)
    assert site.casfleet("why", "nightly").returncode == 5


# Why: who was refused wants to know by which rule, and so does the one who answers for it.
def test_a_refusal_says_which_role_it_needs_and_is_on_record(site):
    assert site.casfleet("freeze", "on", key="ops.viewer").returncode == 4
    shown = why(site, "freeze", "on", key="ops.viewer")
    assert shown.startswith("freeze.on is refused to you\n") and "rule: it needs operator, you are viewer" in shown
    assert "ops.viewer is viewer: freeze.on needs operator" in shown
    assert why(site, "freeze.on").startswith("freeze.on is allowed to you\n")


@pytest.mark.parametrize("code,things,words", [
    (2, [], "SERVER|SCHEDULE|ID [SERVER] is missing"), (2, ["a", "b", "c"], "c: one too many"),
    (2, ["LON-CAS01", "LON-CAS02"], "LON-CAS01 is a server, and only a plan takes a server behind it"),
    (5, ["nobody"], '"nobody" is no server, plan (r-0412), step (r-0412 SERVER), schedule or verb (recycle run)'),
    (5, ["r-9999"], "r-9999: no such rollout"), (5, ["r-9999", "LON-CAS01"], "r-9999: no such rollout"),
    (5, ["r-0001", "ROM-CAS01"], "is no server"),
])
def test_what_cannot_be_explained_is_refused_with_the_reason(site, code, things, words):
    done = site.casfleet("why", *things)
    assert done.returncode == code and words in done.stderr and done.stdout == "", done.stdout + done.stderr
