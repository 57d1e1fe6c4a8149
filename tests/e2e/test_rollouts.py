"""Rollouts as an operator drives them: watching, stopping, going on, and what is said when a server fails."""
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from farm import BIN, wait_until

CASFLEET = BIN / "controller/casfleet"
FAST = ["--gap", "0s", "--settle", "0s", "--drain", "1s", "--act", "4s", "--proof", "4s", "--fixed-too", "--floor", "50", "--no-canary"]


def site(farm, count, site="LON", **failures):
    """So many servers; failures by number. Who fails leaks too, which makes it the most urgent one."""
    for number in range(1, count + 1):
        failure = failures.get(f"n{number}", "")
        farm.agent(f"{site}-CAS{number:02}", site, failure=failure, leak_per_day=300 if failure else 0, speed=200)
    farm.wait_up()


def run(farm, *more):
    made = farm.json("recycle", "plan", *more)
    assert made["refused"] is None, made["refused"]
    farm.casfleet("recycle", "run", made["id"], "--reason", "weekly", expect=0)
    return made["id"]


def follow(farm, made, *more):
    """casfleet recycle watch as a process."""
    return subprocess.Popen([str(CASFLEET), "--controller", farm.endpoints["operators"], "--controller-keys", str(farm.public), "--key",
                             str(farm.folder / "ops.admin.key"), "recycle", "watch", made, "--every", "100ms", *more],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


# Why: what the operator watches must be what happens, once each, and end with the rollout's own exit code.
def test_watch_tells_each_step_once_and_ends_with_the_rollout(farm):
    site(farm, 3)
    made = run(farm, "-l", "site=LON", *FAST)
    out, err = follow(farm, made).communicate(timeout=60)
    assert err == "" and "\033" not in out
    lines = out.splitlines()
    proved = [line.split()[0] for line in lines if line.startswith("  ") and "healthy, proved" in line]
    assert sorted(proved) == ["LON-CAS01", "LON-CAS02", "LON-CAS03"]
    assert re.match(rf"{made} LON done  wave 3 of 3  #{{20}}  3 proved  0 running  0 failed  0 to go", lines[-1])
    assert len(lines) == len(set(lines)), "a line was told twice"
    assert follow(farm, made).wait(20) == 0
    farm.check_effects(1, proved)


# Why: Ctrl-C leaves the watch, never the rollout; it can be taken up again at any time.
def test_watch_can_be_left_and_taken_up_again(farm):
    site(farm, 3)
    made = run(farm, "-l", "site=LON", *FAST)
    watching = follow(farm, made)
    assert watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=10)
    assert watching.returncode == 0
    assert f"Left; the rollout goes on.  Come back:  casfleet recycle watch {made}" in err
    assert farm.rollout(made)["state"] == "running"
    again = follow(farm, made)
    assert "done" in again.communicate(timeout=60)[0].splitlines()[-1] and again.returncode == 0


def test_watch_survives_a_restart_of_the_controller(farm):
    site(farm, 2)
    made = run(farm, "-l", "site=LON", *FAST)
    watching = follow(farm, made, "--wait", "1s")
    assert watching.stdout.readline()
    farm.controller.kill()
    farm.start()
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0 and "2 proved" in out.splitlines()[-1], out + err


# Why: on a terminal the picture is drawn over itself, no wider than the terminal.
def test_watch_on_a_terminal_draws_over_what_stood_there(farm):
    site(farm, 2)
    made = run(farm, "-l", "site=LON", *FAST)
    ours, its = pty.openpty()
    watching = subprocess.Popen([str(CASFLEET), "--controller", farm.endpoints["operators"], "--controller-keys", str(farm.public), "--key",
                                 str(farm.folder / "ops.admin.key"), "recycle", "watch", made, "--every", "100ms"], stdout=its, stdin=its, stderr=its)
    os.close(its)
    text, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    assert watching.wait(10) == 0
    shown = text.decode()
    assert "\033[" in shown and "A\033[J" in shown
    drawn = re.sub(r"\033\[[0-9;]*[A-Za-z]", "", shown).replace("\r", "").split("\n")
    assert max(map(len, drawn)) <= 80


FAILURES = [("never-healthy", "not healthy in time", "answers 5"), ("unchanged", "failed", "the worker process is the same"),
            ("recycle-fails", "the agent failed to do it", "the recycle did not work"), ("hangs", "the agent does not know", "no answer")]


# Why (I13, I17): "done" needs evidence; who fails keeps its slot, the rest is not touched, and why says what was seen.
@pytest.mark.parametrize("failure,words,seen", FAILURES, ids=[f[0] for f in FAILURES])
def test_a_server_that_fails_halts_the_rest_and_why_names_it(farm, failure, words, seen):
    site(farm, 4, n2=failure)
    made = run(farm, "LON-CAS[01-04]", *[word for word in FAST if word != "--no-canary"])
    halted = farm.wait_state(made, {"halted", "done"})
    steps = {s["server"]: s for s in halted["items"]}
    assert halted["state"] == "halted" and steps["LON-CAS02"]["state"] == ("unknown" if failure == "hangs" else "failed") and steps["LON-CAS02"]["holds_slot"]
    untouched = [name for name, s in steps.items() if s["state"] == "to go"]
    assert untouched and not any(a.effects("recycle") for a in farm.agents if a.name in untouched)
    why = farm.casfleet("why", made, expect=0).stdout
    assert re.search(rf'{made} LON HALTED \d\d:\d\d:\d\d, rule "stop after 1"', why)
    assert words in why and seen in why and "nothing is running" in why
    assert f"{len(untouched)} not touched" in why
    assert "Unlikely. 1 done against 2 not done, this minute: 0 and 0 not in service. Only LON-CAS02 differs." in why
    for command in (f"casfleet recycle retry {made} LON-CAS02", f"casfleet recycle resume {made} --skip LON-CAS02", f"casfleet recycle end {made}"):
        assert command in why
    assert "fits" in why
    assert "holds a slot for it" in farm.casfleet("why", "LON-CAS02", expect=0).stdout
    status = farm.casfleet("status", expect=1).stdout
    assert f"{made} {steps['LON-CAS02']['state']}, slot held" in status and f"casfleet why {made}" in status
    assert follow(farm, made).wait(20) == 1
    assert farm.casfleet("recycle", "show", made).returncode == 1


# Why: each way on from a halt does what it says, and no more.
def test_retry_goes_once_more_alone_and_then_waits(farm):
    site(farm, 3, n1="never-healthy")
    made = run(farm, "LON-CAS[01-03]", *FAST)
    first = farm.wait_state(made, {"halted"})
    bad = next(s["server"] for s in first["items"] if s["state"] == "failed")
    agent = next(a for a in farm.agents if a.name == bad)
    agent.process.stop()
    agent.server["failure"] = ""
    agent.write()
    agent.start()
    wait_until(lambda: agent.shown()["state"] not in ("silent",), 20, "the agent to be back")
    refused = farm.casfleet("recycle", "retry", made, "LON-CAS[01-03]")
    assert refused.returncode == 2 and "one server, not 3" in refused.stderr
    farm.casfleet("recycle", "retry", made, bad, expect=0)
    paused = farm.wait_state(made, {"paused"})
    steps = {s["server"]: s for s in paused["items"]}
    assert steps[bad]["state"] == "proved" and steps[bad]["attempt"] == 2
    assert len(agent.effects("recycle")) == 2, "an operator's retry is a new attempt"
    assert paused["to_go"] == sum(s["state"] == "to go" for s in steps.values()) > 0
    farm.casfleet("recycle", "resume", made, expect=0)
    done = farm.wait_state(made, {"done"})
    assert done["proved"] == 3


def test_resume_with_skip_leaves_the_failed_one_and_goes_on(farm):
    site(farm, 4, n1="recycle-fails")
    made = run(farm, "LON-CAS[01-04]", *FAST)
    assert farm.wait_state(made, {"halted"})["to_go"] == 3
    farm.casfleet("recycle", "resume", made, "--skip", "LON-CAS01", expect=0)
    ended = farm.wait_state(made, {"done"})
    steps = {s["server"]: s for s in ended["items"]}
    assert ended["proved"] == 3 and steps["LON-CAS01"]["holds_slot"], "its slot stays held: it may still be out"
    assert farm.casfleet("recycle", "resume", made).returncode == 6
    farm.casfleet("recycle", "end", made, "--force")
    assert not {s["server"]: s for s in farm.rollout(made)["items"]}["LON-CAS01"]["holds_slot"]


def test_pause_lists_what_is_under_way_and_nothing_more_begins(farm):
    site(farm, 4)
    made = run(farm, "LON-CAS[01-04]", *FAST)
    wait_until(lambda: farm.effects(), 20, "the first act")
    paused = farm.casfleet("recycle", "pause", made, expect=0)
    assert "PAUSED" in paused.stdout
    begun = [s["server"] for s in farm.rollout(made)["items"] if s["state"] not in ("to go", "skipped")]
    assert all(name in paused.stdout for name in begun)
    settled = wait_until(lambda: (lambda r: r if r["running"] == 0 else None)(farm.rollout(made)), 30, "what was under way")
    acted = {e["server"] for e in farm.effects() if e["effect"] == "recycle"}
    assert acted <= set(begun) and settled["to_go"] == 4 - len(begun) > 0
    assert farm.casfleet("recycle", "pause", made).returncode == 6
    assert follow(farm, made).wait(20) == 7
    farm.casfleet("recycle", "resume", made, expect=0)
    assert farm.wait_state(made, {"done"})["proved"] == 4
    farm.check_effects(1, [a.name for a in farm.agents])


def test_end_leaves_the_rest_untouched_for_good(farm):
    site(farm, 4)
    made = run(farm, "LON-CAS[01-04]", *FAST)
    wait_until(lambda: farm.effects(), 20, "the first act")
    farm.casfleet("recycle", "end", made, expect=0)
    ended = farm.wait_state(made, {"ended"})
    acted = {e["server"] for e in farm.effects() if e["effect"] == "recycle"}
    assert {s["server"] for s in ended["items"] if s["state"] == "skipped"} == {a.name for a in farm.agents} - acted
    assert farm.casfleet("recycle", "resume", made).returncode == 6
    assert farm.casfleet("recycle", "run", made).returncode == 6


# Why (I1): the floor is one for all rollouts of a site together.
def test_two_rollouts_share_one_floor(farm):
    site(farm, 4)
    fast = [word if word != "50" else "75" for word in FAST]
    first, second = run(farm, "LON-CAS[01-02]", *fast), run(farm, "LON-CAS[03-04]", *fast)
    held = wait_until(lambda: [r for r in (farm.rollout(first), farm.rollout(second)) if r["hold"] and "floor" in r["hold"]["words"]], 20,
                      "one of them to be held by the floor")
    assert "LON" in held[0]["hold"]["words"] or "floor" in held[0]["hold"]["words"]
    for made in (first, second):
        farm.wait_state(made, {"done"}, 90)
    farm.check_effects(1, [a.name for a in farm.agents])


# Why (R12, I2): a silent server is out, whoever made it silent; nothing more may go out beside it.
def test_a_silent_server_counts_as_out(farm):
    site(farm, 4)
    farm.agents[3].process.signal(signal.SIGSTOP)
    wait_until(lambda: farm.rows()["LON-CAS04"]["state"] == "silent", 40, "it to count as silent")
    made = run(farm, "LON-CAS[01-02]", *[word if word != "50" else "75" for word in FAST])
    wait_until(lambda: (farm.rollout(made)["hold"] or {"words": ""})["words"].count("LON"), 20, lambda: str(farm.rollout(made)["hold"]))
    assert farm.effects() == []
    farm.agents[3].process.signal(signal.SIGCONT)
    assert farm.wait_state(made, {"done"}, 60)["proved"] == 2
    farm.check_effects(1, ["LON-CAS01", "LON-CAS02"])


def test_a_plan_is_good_once_and_unchanged(farm):
    site(farm, 4)
    made = farm.json("recycle", "plan", "LON-CAS01", *FAST)["id"]
    farm.casfleet("recycle", "run", made, expect=0)
    again = farm.casfleet("recycle", "run", made)
    assert again.returncode == 6 and "has run already" in again.stderr
    unknown = farm.casfleet("recycle", "run", "r-0999")
    assert unknown.returncode == 5 and "r-0999" in unknown.stderr
    farm.wait_state(made, {"done"})


def test_drain_and_undrain_are_rollouts_too(farm):
    site(farm, 2)
    made = run(farm, "LON-CAS01", "--verb", "drain", *FAST)
    assert farm.wait_state(made, {"done"})["proved"] == 1
    assert farm.rows()["LON-CAS01"]["state"] == "drained"
    assert "drained by casfleet" in farm.casfleet("status").stdout
    refused = farm.casfleet("recycle", "plan", "LON-CAS02", *FAST)
    assert "1 out now" in refused.stdout or refused.returncode == 6
    made = run(farm, "LON-CAS01", "--verb", "undrain", *FAST)
    assert farm.wait_state(made, {"done"})["proved"] == 1
    assert farm.rows()["LON-CAS01"]["state"] == "up"
    assert [e["effect"] for e in farm.agents[0].effects() if e["effect"] in ("drain", "undrain", "recycle")] == ["drain", "undrain"]
