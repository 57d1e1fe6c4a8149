"""The words of casfleet-agent's command line: check against a real controller in each state, selftest on modelled servers."""
import os
import pathlib
import re
import socket
import time

import pytest

from farm import BIN, TOP, Agent, Farm, wait_until

AGENT = BIN / "agent/casfleet-agent"


def word(agent, *words, expect=None):
    return Farm.run(AGENT, *words, "--config", agent.folder / "agent.ini", expect=expect)


def files(folder):
    return {p: p.stat().st_mtime_ns for p in pathlib.Path(folder).rglob("*")}


def new_agent(farm, name="LON-CAS01"):
    """One nobody has let in yet."""
    added = Agent(farm, name, "LON")
    farm.agents.append(added)
    return added


def listening(farm):
    """A port that takes connections, and who may accept them."""
    taker = socket.create_server(("127.0.0.1", 0))
    return taker, f"tcp://127.0.0.1:{taker.getsockname()[1]}"


@pytest.mark.parametrize("name", ["install", "uninstall", "start", "stop"])
def test_words_of_windows_are_refused_here_in_one_sentence(name):
    done = Farm.run(AGENT, name, expect=2)
    assert done.stderr.count("\n") == 1 and name in done.stderr and "systemctl" in done.stderr and done.stdout == ""


def test_a_word_that_is_none_is_named():
    assert "frobnicate: no such word" in Farm.run(AGENT, "frobnicate", expect=2).stderr
    assert "takes options only" in Farm.run(AGENT, "check", "twice", expect=2).stderr


@pytest.mark.parametrize("name", ["run", "check", "selftest", "hold", "release", "install", "uninstall", "start", "stop"])
def test_each_word_has_its_help(name):
    text = Farm.run(AGENT, name, "--help", expect=0).stdout
    assert text.startswith(f"casfleet-agent {name}: ") and f"use: casfleet-agent {name}" in text
    assert f"  {name} " in Farm.run(AGENT, "--help", expect=0).stdout


# Why: a check that says "fine" to what the next start refuses is worse than none.
@pytest.mark.parametrize("endpoint", ["tcp://CTL", "tcp://0.0.0.0;127.0.0.1:5670", "tcp://0.0.0.0:567110;127.0.0.1:5670", "127.0.0.1:5670"])
def test_check_refuses_an_endpoint_the_agent_would_not_start_with(farm, endpoint):
    agent = new_agent(farm)
    for words in (["check"], ["--check"]):
        done = word(agent, *words, "--controller", endpoint, expect=2)
        assert "controller" in done.stderr and endpoint in done.stderr, done.stderr


# Why: the first thing done on a new server; it must leave no trace there, nor a stranger at the controller.
def test_check_before_the_first_start_reaches_the_port_and_makes_no_key(farm):
    agent = new_agent(farm)
    before = files(agent.folder)
    done = word(agent, "check", expect=1)
    assert "has none yet" in done.stdout and "start the agent once" in done.stdout
    assert files(agent.folder) == before
    assert farm.json("agent", "list", "--pending")["items"] == []


def test_check_of_a_key_nobody_approved_says_so(farm):
    agent = new_agent(farm)
    agent.key()
    done = word(agent, "check", expect=1)
    assert "keeps this key waiting" in done.stdout and "casfleet agent approve" in done.stdout
    assert agent.key() in done.stdout


def test_check_of_an_approved_agent_is_fine(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    done = word(agent, "check", expect=0)
    assert "lets it in" in done.stdout and f"controller = {farm.endpoints['agents']}" in done.stdout


# Why: people check a server whose service runs; its lock, its journal and its connection must not feel it.
def test_check_beside_a_running_agent_disturbs_nothing(farm):
    agent = farm.agent("LON-CAS01")
    farm.wait_up()
    assert "lets it in" in word(agent, "check", expect=0).stdout
    assert agent.process.is_alive() and "handshake_refused" not in agent.process.text()
    assert "key_twice" not in farm.controller.text()
    wait_until(agent.is_up, 20, "the agent to be up")
    assert agent.process.text().count(" connected ") == 1


def test_check_of_a_revoked_key_says_so(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    farm.casfleet("agent", "revoke", "LON-CAS01", expect=0)
    done = word(agent, "check", expect=4)
    assert "revoked" in done.stdout


# Why: the file controller.pub of another farm looks the same.
def test_check_with_the_keys_of_another_controller_says_so(farm, tmp_path):
    agent = farm.agent("LON-CAS01", is_started=False)
    other = tmp_path / "other"
    Farm.run(BIN / "controller/casfleet-controller", "init", "--state", other, "--agents", "tcp://127.0.0.1:*",
             "--operators", "tcp://127.0.0.1:*")
    done = word(agent, "check", "--controller-keys", other / "controller.pub", expect=2)
    assert "has not the keys in controller_keys" in done.stdout


def test_check_tells_a_wrong_name_a_closed_port_and_a_silent_one_apart(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    done = word(agent, "check", "--controller", "tcp://no-such-host.invalid:5670", expect=3)
    assert "the name has no address" in done.stdout
    taker, endpoint = listening(farm)
    taker.close()
    done = word(agent, "check", "--controller", endpoint, expect=3)
    assert "nobody takes the connection" in done.stdout
    taker, endpoint = listening(farm)
    done = word(agent, "check", "--controller", endpoint, "--deadline", "1s", expect=3)
    assert "does not answer in time" in done.stdout
    taker.close()


# Why: a script waits for it.
def test_check_keeps_its_deadline(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    taker, endpoint = listening(farm)
    begun = time.monotonic()
    word(agent, "check", "--controller", endpoint, "--deadline", "500ms", expect=3)
    assert 0.4 < time.monotonic() - begun < 5
    taker.close()


# Why: the service holds its fixed source port; the look beside it must not need it.
def test_check_leaves_the_fixed_source_port_alone(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    holder, endpoint = listening(farm)
    source = endpoint.rsplit(":", 1)[1]
    there = farm.endpoints["agents"].removeprefix("tcp://")
    done = word(agent, "check", "--controller", f"tcp://127.0.0.1:{source};{there}", expect=0)
    assert f"tcp://{there}: " in done.stdout
    holder.close()


def test_check_of_a_bad_file_says_where_and_goes_nowhere(farm):
    agent = farm.agent("LON-CAS01", is_started=False)
    (agent.folder / "agent.ini").write_bytes("controller = tcp://x\r\nsampel = 1s\r\n".encode("utf-16"))
    done = word(agent, "check", expect=2)
    assert "agent.ini:2: sampel: no such option" in done.stderr and done.stdout == ""


# ---- selftest ----

def lines_of(done):
    rows = {}
    for line in done.stdout.splitlines():
        match = re.match(r"(\S+) +(ok|missing) +(.*?) +(\d+) ms(.*)$", line)
        if match:
            rows[match[1]] = (match[2], match[3], match[5])
    return rows


def test_selftest_names_every_source_once_with_what_it_answered(farm):
    agent = new_agent(farm)
    before = files(agent.folder)
    done = word(agent, "selftest", expect=0)
    rows = lines_of(done)
    for name in ("host.name", "exchange.build", "pool.health", "pool.workers", "events", "close_wait", "private_bytes", "cpu_pct"):
        assert rows[name][0] == "ok", name
    assert rows["host.name"][1] == "LON-CAS01" and "every needed source answers" in done.stdout
    assert not {p for p in files(agent.folder) if p.name in ("agent.key", "ledger.db", "agent.lock")} - set(before)
    assert agent.effects() == []


def test_selftest_can_be_redacted(farm):
    done = word(new_agent(farm), "selftest", "--redact", expect=0)
    assert "LON-CAS01" not in done.stdout and lines_of(done)["host.name"][1] == "host-1"
    assert lines_of(done)["exchange.build"][1] == "15.0.1497.48"


# Why: a source that cannot be read must be seen before the fleet relies on it.
def test_selftest_of_a_capture_names_what_is_missing_and_needed(farm):
    agent = new_agent(farm)
    agent.options.update(host="replay", host_settings=TOP / "tests/data/capture-leaking")
    agent.write()
    done = word(agent, "selftest", "--deadline", "1500ms")
    rows = lines_of(done)
    lacking = [name for name, row in rows.items() if row[0] == "missing" and row[2].startswith("  needed")]
    assert done.returncode == (1 if lacking else 0)
    assert all(rows[name][2].strip() for name, row in rows.items() if row[0] == "missing"), rows
    empty = agent.folder / "empty"
    os.mkdir(empty)
    done = word(agent, "selftest", "--host-settings", empty, "--deadline", "300ms")
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
