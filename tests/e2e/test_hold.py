"""The veto of a server's own people, with real processes: held at the server, seen everywhere, obeyed, released."""
import getpass
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from farm import BIN, Farm, wait_until

AGENT = BIN / "agent/casfleet-agent"
FAST = ["--gap", "0s", "--settle", "0s", "--drain", "1s", "--act", "4s", "--proof", "20s", "--fixed-too", "--floor", "50", "--no-canary"]


def word(agent, *words, expect=None):
    return Farm.run(AGENT, *words, "--config", agent.folder / "agent.ini", expect=expect)


def held_of(agent):
    return agent.shown()["held"]


# Why: it beats every plan, is seen by everybody with who and why, and its end is enough for the plan to go on.
def test_a_held_server_is_left_alone_until_its_people_release_it(farm):
    for number in (1, 2):
        farm.agent(f"LON-CAS0{number}", speed=200)
    farm.wait_up()
    held, other = farm.agents
    said = word(held, "hold", "--reason", "replacing a fan", expect=0).stdout
    assert "held by " in said and "replacing a fan" in said and "casfleet-agent release" in said
    shown = wait_until(lambda: held_of(held), 10, "the controller to hear of it")
    assert shown["reason"] == "replacing a fan" and shown["by"].startswith(getpass.getuser()) and shown["age_ms"] < 60000

    status = farm.casfleet("status").stdout
    assert "1 held" in status and "LON-CAS01" in status and "replacing a fan" in status
    assert "HELD on the server by" in farm.casfleet("server", "show", "LON-CAS01", expect=0).stdout
    assert getpass.getuser() in farm.casfleet("server", "list", "LON-CAS01", expect=0).stdout
    why = farm.casfleet("why", "LON-CAS01", expect=0).stdout
    assert "held on the server by" in why and "casfleet-agent release" in why and "server.held" in why
    plan = farm.json("recycle", "plan", "LON-CAS[01-02]", *FAST)
    assert plan["planned"] == 1 and [s["server"] for s in plan["skip"]] == ["LON-CAS01"]
    assert "replacing a fan" in plan["skip"][0]["words"]

    # A plan made before; and the agent restarts meanwhile: the hold is the server's, not the process's.
    word(held, "release", expect=0)
    wait_until(lambda: not held_of(held), 10, "the release to be heard")
    made = farm.json("recycle", "plan", "LON-CAS[01-02]", *FAST)["id"]
    word(held, "hold", "--reason", "replacing another fan", expect=0)
    held.process.kill()
    held.start()
    farm.wait_up()
    farm.casfleet("recycle", "run", made, "--reason", "weekly", expect=0)
    shown = wait_until(lambda: (lambda r: r if r["hold"] and "replacing another fan" in r["hold"]["words"] else None)(farm.rollout(made)), 30,
                       lambda: farm.casfleet("recycle", "show", made).stdout)
    assert shown["state"] == "running" and shown["failed"] == 0 and held.effects("recycle") == []
    assert "replacing another fan" in farm.casfleet("why", made, expect=0).stdout

    word(held, "release", expect=0)
    assert farm.wait_state(made, {"done", "halted"})["state"] == "done"
    farm.check_effects(1, ["LON-CAS01", "LON-CAS02"])
    assert held_of(held) is None and "server.released" in farm.casfleet("why", "LON-CAS01").stdout
    assert other.effects("recycle")


# Why: two people at one server must not end each other's hold unknowingly; saying the same twice is harmless.
def test_hold_and_release_again(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    assert "is not held" in word(agent, "release", expect=0).stdout
    word(agent, "hold", "--reason", "fan", expect=0)
    assert "is already held" in word(agent, "hold", "--reason", "fan", expect=0).stdout
    other = word(agent, "hold", "--reason", "disk", expect=1)
    assert "is already held by" in other.stderr and "fan" in other.stderr and "release" in other.stderr
    assert "released; was held by" in word(agent, "release", expect=0).stdout
    word(agent, "hold", "--reason", "disk", expect=0)


BAD = [([], "reason: missing"), (["--reason", ""], "reason: missing"), (["--reason", "  "], "reason: missing"),
       (["--reason", "x" * 128], "reason: 128 bytes, 1 to 127"), (["--reason", "x" * 300], "reason"),
       (["--reason", "a\nb"], "text"), (["--reason", "\x1b[31mred"], "text"),]


@pytest.mark.parametrize("words,says", BAD)
def test_a_hold_without_good_words_is_refused(farm, words, says):
    agent = farm.agent("LON-CAS01", is_started=False)
    done = word(agent, "hold", *words, expect=2)
    assert says in done.stderr and "Traceback" not in done.stderr and not (agent.folder / "hold").exists()


def test_a_state_folder_that_is_not_there_is_named(farm, tmp_path):
    agent = farm.agent("LON-CAS01", is_started=False)
    done = word(agent, "hold", "--reason", "fan", "--state", tmp_path / "nowhere", expect=2)
    assert "nowhere" in done.stderr and "no such folder" in done.stderr


# Why: who may not write the folder cannot hold, nor end another's hold. How: as nobody, with a copy of the program where
# nobody may run it.
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_who_may_not_write_the_state_folder_is_told_so():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        program = shutil.copy(AGENT, place)
        Farm.run(AGENT, "hold", "--reason", "fan", "--state", folder, expect=0)
        for mode in (0o755, 0o700):
            os.chmod(folder, mode)
            for words in (["hold", "--reason", "mine"], ["release"]):
                done = subprocess.run([program, *words, "--state", folder], capture_output=True, text=True, timeout=20, check=False,
                                      stdin=subprocess.DEVNULL, user=65534, group=65534, extra_groups=[], cwd="/")
                is_refused = done.returncode == 4 or (done.returncode == 1 and "is already held by" in done.stderr)
                assert is_refused and done.stdout == "", done
                assert "fan" in pathlib.Path(folder, "hold").read_text()


# Why: a veto does not end by an accident. How: the file is spoilt; the agent says held, and by what.
def test_a_spoilt_file_counts_as_held(farm):
    agent = farm.agent("LON-CAS01", speed=200)
    farm.wait_up()
    (agent.folder / "hold").write_text("nonsense\n")
    shown = wait_until(lambda: held_of(agent), 10, "held")
    assert shown["reason"].startswith("not a hold file") and shown["by"] == "casfleet-agent" and shown["since_ms"] is None
    word(agent, "release", expect=0)
    wait_until(lambda: not held_of(agent), 10, "released")
