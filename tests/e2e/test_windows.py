"""The Windows programs themselves, under Wine, on a server of doubles, with a native controller; tests/e2e/netns.sh starts it.

What Wine cannot show (PDH, the event log, recovery actions, rights, a true exhaustion of ports) is not claimed here: such a
source has to say why it has no value.
"""
import json
import re
import signal
import socket
import time

import pytest

from farm import BIN, TOP, Farm, wait_until
from proofs import DONE, INTENT, UNKNOWN, check_reports
from wine import AGENT, OURS, PROGRAM_FILES, WINDOWS, Server, Template, text_of

TIMES = ["--gap", "0s", "--settle", "0s", "--fixed-too", "--floor", "0"]
FAST = [*TIMES, "--drain", "0s", "--act", "5s", "--proof", "6s"]
PATIENT = [*TIMES, "--drain", "0s", "--act", "20s", "--proof", "20s"]  # where nothing hangs: a busy machine starts programs slowly
QUICK = {"sample": "1s", "report": "1s", "redial": "1s"}
ENDED = {"done", "halted", "ended"}
OWN_LEAST_KIB, OWN_MOST_KIB = 2048, 16 * 1024
PACKAGES = WINDOWS / "package"


def is_alone():
    return [name for _, name in socket.if_nameindex()] == ["lo"]


pytestmark = pytest.mark.skipif(not is_alone(), reason="NOT RUN: needs a network namespace of its own: tests/run_all.sh windows")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    made = Template(tmp_path_factory.mktemp("wine"))
    yield made
    made.close()


@pytest.fixture
def farm(tmp_path):
    made = Farm(tmp_path / "farm", tick="200ms").start()
    yield made
    made.close()


@pytest.fixture
def server(farm, template, bench):
    """A server of doubles; nothing of casfleet is on it yet. There is one server at a time: its ports are fixed."""
    bench.close()
    made = Server(farm, template)
    try:
        yield made.start_doubles()
    finally:
        made.close()


class Bench:
    """A server with an agent at its console, approved and heard; it serves one test after the other as long as it is sound."""

    def __init__(self, template, folder):
        self.template, self.folder, self.number, self.server = template, folder, 0, None

    def is_sound(self):
        server = self.server
        return server and server.process.is_alive() and server.is_up() and not server.shown()["maintenance"]

    def get(self):
        if not self.is_sound():
            self.close()
            self.number += 1
            farm = Farm(self.folder / f"farm{self.number}", tick="200ms").start()
            self.server = Server(farm, self.template)
            self.server.start_doubles().unpack()
            farm.casfleet("agent", "approve", self.server.name, "--agent-key", self.server.key(), "--site", self.server.site, expect=0)
            self.server.start().wait_up()
        for double in ("was", "appcmd", "health"):
            self.server.mode(double, "ok")
        return self.server

    def close(self):
        if self.server:
            self.server.close()
            self.server.farm.close()
            self.server = None


@pytest.fixture(scope="module")
def bench(template, tmp_path_factory):
    made = Bench(template, tmp_path_factory.mktemp("bench"))
    yield made
    made.close()


@pytest.fixture
def enrolled(bench):
    return bench.get()


def msi(version):
    return PACKAGES / f"casfleet-agent-{version}-x64.msi"


def recycle(farm, *more):
    """An ordered recycle, as soon as it can be planned; its id."""
    made = None

    def is_planned():
        nonlocal made
        made = farm.json("recycle", "plan", "LON-CAS01", *more)
        return made["refused"] is None

    wait_until(is_planned, 30, lambda: made["refused"] + farm.casfleet("why", "LON-CAS01").stdout)
    farm.casfleet("recycle", "run", made["id"], "--reason", "wine", expect=0)
    return made["id"]


def ended(server, made, seconds=60):
    """The rollout and its only step, once nothing moves any more."""
    def look():
        rollout = server.farm.rollout(made)
        return rollout if rollout["state"] in ENDED and not rollout["running"] else None

    rollout = wait_until(look, seconds, lambda: server.farm.casfleet("why", made).stdout + server.words())
    return rollout, rollout["items"][0]


def proved(server, *more):
    rollout, step = ended(server, recycle(server.farm, *more))
    assert rollout["state"] == "done" and step["state"] == "proved", server.farm.casfleet("why", rollout["id"]).stdout + server.words()
    return step


def check_once(server):
    """Each recycle the server made is one command's, each command made one at most; ended without a proof: none or one."""
    made = [(e["pid_before"], e["pid_after"]) for e in server.effects("recycle") if e["outcome"] in ("ok", "sick")]
    befores = [before for before, _ in made]
    assert len(befores) == len(set(befores)), made
    commands = server.ledger()
    for state, before, after in commands:
        assert befores.count(before) <= 1, commands
        assert state != DONE or (before, after) in made, f"done, but the server made {made}"
    nobodys = set(befores) - {before for _, before, _ in commands}
    assert len(nobodys) == server.by_hand, f"{made} of no command in {commands}"
    return len(made)


def stop_agent(server):
    """Ctrl-C at its console; it says goodbye, and its journals can be read."""
    server.process.signal(signal.SIGINT)
    assert server.process.popen.wait(30) == 0, server.words()
    assert " stop " in server.words().splitlines()[-1] or " stop " in server.process.text(), server.words()


# Why: this is how the agent gets onto servers. How: the package by a line an administrator types, then everything an
# operator does with the new server, with both programs.
def test_installed_as_a_service_approved_measured_and_recycled(server):
    farm = server.farm
    server.settings(**QUICK)
    server.install(msi("0.1.0"), *server.controller_properties(), "POOLS=MSExchangeSyncAppPool")
    for name in ("casfleet-agent.exe", "casfleet.exe", "LICENSE.txt", "THIRD-PARTY.txt", "agent.sample.ini"):
        assert (server.drive / PROGRAM_FILES / name).stat().st_size > 100, name
    assert server.service_state() == "RUNNING"
    key = server.approve_waiting()
    server.wait_up()
    assert farm.json("agent", "list")["items"][0]["key"] == key

    shown = wait_until(lambda: (lambda s: s if s["facts"] else None)(server.shown()), 40, server.words)
    facts = {f["key"]: f for f in shown["facts"]}
    assert shown["build"] == "15.0.1497.2" and facts["host.kind"]["value"] == "windows", facts
    symptoms = wait_until(lambda: (lambda s: s if s.get("close_wait", {}).get("value") == server.sockets else None)(server.symptoms()),
                          90, lambda: str(server.symptoms()))
    assert symptoms["workers"]["value"] == 1
    assert symptoms["private_bytes"]["value"] > server.megabytes * 2**20
    for absent in ("active_requests", "gc_time_pct"):
        assert symptoms[absent]["value"] is None and symptoms[absent]["reason"], symptoms[absent]

    before = server.effects()
    step = proved(server, *PATIENT)
    effect, = server.effects("recycle")
    assert (step["pid_before"], step["pid_after"]) == (effect["pid_before"], effect["pid_after"])
    assert [e["effect"] for e in server.effects()[len(before):]][0] == "recycle"
    wait_until(lambda: server.close_wait() < server.sockets, 10, "the old worker's sockets to be gone")
    wait_until(lambda: server.symptoms()["close_wait"]["value"] == 0, 90, lambda: str(server.symptoms()["close_wait"]))
    farm.check_effects(1, [server.name], agents=[server])

    casfleet = r"C:\Program Files\casfleet\casfleet.exe"
    public = server.wine(casfleet, "key", "new", r"C:\ops.key").split()[-1]
    farm.run(BIN / "controller/casfleet-controller", "operator", "add", "ops.windows", "admin", public, "--config", farm.config)
    farm.controller.signal(signal.SIGHUP)
    told = server.wine(casfleet, "--controller", farm.endpoints["operators"], "--controller-keys", f"Z:{farm.public}", "--key",
                       r"C:\ops.key", "status", "-o", "json", expect=None)
    assert steady(json.loads(told)) == steady(farm.json("status"))

    for more in ([], ["--state", r"C:\other"]):
        refused = server.wine(AGENT, "run", *more, expect=2)
        assert re.search(r"casfleet.agent.agent\.lock: process \d+ holds this lock", refused), refused
    assert server.service_state() == "RUNNING"
    # Each thread takes a megabyte here, and a busy system has one or two more for a while.
    wait_until(lambda: OWN_LEAST_KIB < server.own_memory("casfleet-agent.exe") <= OWN_MOST_KIB, 60,
               lambda: f"{server.own_memory('casfleet-agent.exe')} KiB are the agent's own, {OWN_MOST_KIB} may be")


def steady(document):
    """Without what changes from one moment to the next."""
    if isinstance(document, dict):
        return {key: steady(value) for key, value in document.items() if key != "at" and not key.endswith("_ms")}
    return [steady(item) for item in document] if isinstance(document, list) else document


def type_readme(server):
    """The lines README shows for a Windows server, as they stand there; its controller is ours."""
    (server.drive / "controller.pub").write_bytes(server.farm.public.read_bytes())
    lines = [line for block in re.findall(r"^```bat\n(.*?)^```", (TOP / "README.md").read_text(), re.S | re.M) for line in block.splitlines()]
    for line in lines:
        program, *words = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', line)]
        words = [re.sub(r"^CONTROLLER=.*", f"CONTROLLER={server.farm.endpoints['agents']}", word) for word in words]
        if program == "msiexec":
            assert words[0] == "/i" and words[2] == "/qn", line
            server.install(PACKAGES / words[1], *words[3:])
        else:
            done = server.run_raw("wine", program, *words)
            assert done.returncode in (0, 1), f"{line}: {done.returncode} {text_of(done.stdout)} {text_of(done.stderr)}"
            assert "casfleet" in line and len(done.stdout) > 100, line
    assert len(lines) >= 4, "README's lines for Windows stand in a block marked bat"


SERVICE_KEY = r"HKLM\SYSTEM\CurrentControlSet\Services\casfleet-agent"


# Why: an upgrade of a hundred servers must not need a hundred approvals; what is removed must be gone, the rest kept. A
# service that is deleted while somebody looks at it cannot be made again. How: the first version comes as README says. Wine
# does not tell the old version that it is being upgraded, so the two steps of an upgrade are made by hand as well; a value
# planted below the service's key is gone if the service is deleted on the way.
def test_upgraded_keeps_key_and_settings_and_removed_leaves_no_service(server):
    server.settings(redial="1s")
    type_readme(server)
    key = server.approve_waiting()
    server.wait_up()
    server.wine(AGENT, "stop")
    server.settings(sample="3s")
    before = (server.state / "agent.ini").read_bytes()
    server.install(msi("0.1.1"))
    assert server.service_state() == "RUNNING", server.words()
    assert (server.state / "agent.ini").read_bytes() == before
    heard = time.time() * 1000
    wait_until(lambda: server.is_up() and server.farm.ask("agent.list")["items"][0].get("heard_ms", heard) is not None, 40, server.words)
    assert server.farm.json("agent", "list")["items"][0]["key"] == key
    assert not server.farm.ask("agent.list", pending="")["items"]

    server.wine("reg", "add", SERVICE_KEY, "/v", "Planted", "/d", "kept", "/f")
    server.msiexec("/x", f"Z:{msi('0.1.1')}", "UPGRADINGPRODUCTCODE={00000000-0000-0000-0000-000000000000}")
    assert server.service_state() == "STOPPED"
    server.install(msi("0.1.0"))
    assert server.service_state() == "RUNNING" and (server.state / "agent.ini").read_bytes() == before
    assert "kept" in server.wine("reg", "query", SERVICE_KEY, "/v", "Planted", expect=None)

    server.msiexec("/x", f"Z:{msi('0.1.0')}")
    assert server.service_state() is None
    assert "Planted" not in server.wine("reg", "query", SERVICE_KEY, expect=None)
    assert not (server.drive / PROGRAM_FILES / "casfleet-agent.exe").exists()
    assert (server.state / "agent.ini").exists() and (server.state / "agent.key").exists(), "state goes only when told"
    source = server.wine("reg", "query", r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application", "/s", expect=None)
    assert "casfleet" not in source

    server.install(msi("0.1.1"))
    server.drained()  # nobody would undrain it any more
    server.msiexec("/x", f"Z:{msi('0.1.1')}", "REMOVESTATE=1")
    assert server.state_get(OURS).startswith("1:1:")
    assert server.service_state() is None and not (server.state / "agent.key").exists() and not (server.state / "ledger.db").exists()


FILES = {
    "bom and crlf": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "utf-16, as Notepad's Unicode": lambda text: b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
}


# Why: settings are edited in Notepad. Read as they are meant, or refused with file and line; never half of them.
def test_settings_saved_by_notepad_are_read_or_refused_by_line(server):
    server.unpack(WINDOWS)
    ini = server.state / "agent.ini"
    good = ini.read_text()
    for words, encode in FILES.items():
        ini.write_bytes(encode(good))
        said = server.wine(AGENT, "--check", expect=None)
        assert re.search(r"^sample = 1s$", said, re.M) and "MSExchangeSyncAppPool" in said, f"{words}: {said}"
    ini.write_bytes(b"\xef\xbb\xbf" + (good + "smaple = 3s\n").encode())
    said = server.wine(AGENT, "--check", expect=2)
    assert f"agent.ini:{good.count(chr(10)) + 1}" in said and "smaple" in said, said


# Why: the first run on a new server, and what support is sent.
def test_selftest_names_every_source_and_what_is_missing(server):
    server.unpack(WINDOWS)
    said = server.wine(AGENT, "selftest", expect=None, seconds=90)
    assert re.search(r"build.*15\.0\.1497\.2", said), said
    assert re.search(r"^close_wait +ok +20 ", said, re.M) and re.search(r"^health.444 +ok +good ", said, re.M), said
    assert re.search(r"^active_requests +missing .*W3SVC_W3WP", said, re.M), said
    assert re.fullmatch(r"\d+ needed and missing", said.strip().splitlines()[-1]), said


# Why: the service manager starts one service at a time and refuses the others; a package laid on a busy server must not end
# with a stopped service. How: another one takes 8 s to start, longer than Wine lets anybody wait, which is 3 s.
def test_started_while_another_service_is_slow_to_start(server):
    server.install(msi("0.1.0"), *server.controller_properties())
    server.wine(AGENT, "stop")
    server.wine("sc", "create", "slow", "binPath=", r"C:\windows\system32\inetsrv\slow.exe 8")
    server.begin("slow", "sc", "start", "slow")
    wait_until(lambda: server.processes("slow.exe"), 20, "the slow service to start")
    assert "running, process" in server.wine(AGENT, "start")
    assert server.service_state() == "RUNNING", server.words()


# Why: a drained server must come back, and nobody else's maintenance may be ended. How: the registry is followed by the
# server's own double; a second requester takes the component out by hand.
def test_drained_under_our_name_and_another_ones_maintenance_is_left_alone(enrolled):
    server = enrolled
    seen = len(server.effects())
    step = proved(server, *TIMES, "--drain", "2s", "--act", "20s", "--proof", "20s")
    assert step["drained_ms"] is not None
    acts = [(e["effect"], e["outcome"]) for e in server.effects()[seen:] if e["effect"] != "in"]
    assert acts == [("drain", OURS), ("recycle", "ok"), ("undrain", OURS)], acts

    server.state_set("HealthAPI", False)
    wait_until(lambda: "HealthAPI" in (server.shown()["maintenance"] or ""), 20, lambda: str(server.shown()["maintenance"]))
    plan = server.farm.json("recycle", "plan", "LON-CAS01", *PATIENT)
    assert plan["refused"] is not None, plan
    server.state_set("HealthAPI", True)
    wait_until(lambda: not server.shown()["maintenance"], 20, lambda: str(server.shown()["maintenance"]))
    acts = [(e["effect"], e["outcome"]) for e in server.effects()[seen:] if e["effect"] != "in"]
    assert acts[3:] == [("drain", "HealthAPI"), ("undrain", "HealthAPI")], acts


# Failpoint, how often it is passed until the agent dies there (a recovery passes some too), what the journal says then.
POINTS = [
    ("agent.after_intent", 1, UNKNOWN),
    ("agent.after_act", 1, DONE),
    ("agent.after_outcome", 2, DONE),
    ("agent.before_result", 1, DONE),
]


def check_died(server, made, acted, point, expected):
    """The command is followed to its end: one effect at most, and none claimed that was not."""
    farm = server.farm
    rollout, step = ended(server, made)
    more = check_recycles(server) - acted
    assert more <= 1 and (more == 1 or step["state"] != "proved"), f"{point}: {more} recycles, {step['state']}"
    if expected is not None:
        assert server.ledger()[-1][0] == expected, f"{point}: {server.words()}"
    if rollout["state"] != "done":
        farm.casfleet("recycle", "end", made, "--force", expect=0)
    wait_until(server.is_up, 30, lambda: farm.casfleet("why", server.name).stdout)


# Why (I3, I13): an agent may die anywhere between OFFER and RESULT; nothing happens twice, nothing is claimed without
# evidence. How: it dies with the OFFER unread, at the same command again with the GRANT in hand, then at each point behind
# the INTENT in turn; each of these starts is armed for the next point.
def test_killed_at_every_point_of_a_command_it_acts_once_at_most(enrolled):
    server, farm = enrolled, enrolled.farm
    armed = [{"CASFLEET_FAILPOINT": f"{point}:{count}:kill"} for point, count, _ in POINTS] + [{}]
    server.process.signal(signal.SIGSTOP)
    acted = check_recycles(server)
    made = recycle(farm, *PATIENT)
    wait_until(lambda: farm.rollout(made)["running"], 20, lambda: farm.casfleet("why", made).stdout)
    server.restart({"CASFLEET_FAILPOINT": "agent.before_intent:1:kill"})
    wait_until(lambda: not server.process.is_alive(), 40, server.words)
    server.start()
    check_died(server, made, acted, "offered", None)
    server.restart(armed[0]).wait_up()
    for number, (point, _, expected) in enumerate(POINTS):
        acted = check_recycles(server)
        made = recycle(farm, *PATIENT)
        wait_until(lambda: not server.process.is_alive(), 30, lambda: f"{point}: {server.words()}")
        server.start(armed[number + 1])
        check_died(server, made, acted, point, expected)
    assert INTENT not in [state for state, *_ in server.ledger()]


# Why: who dies between drain and undrain must not leave the server out of service for good.
def test_killed_while_drained_it_undrains_what_it_drained(enrolled):
    server = enrolled
    seen = len(server.effects())
    server.restart({"CASFLEET_FAILPOINT": "agent.after_act:1:kill"}).wait_up()
    made = recycle(server.farm, *TIMES, "--drain", "2s", "--act", "20s", "--proof", "30s")
    wait_until(lambda: not server.process.is_alive(), 30, server.words)
    assert "ActiveSyncProxy" in (server.doubles / "pool.health").read_text()
    server.start().wait_up()
    rollout, step = ended(server, made)
    assert rollout["state"] == "done" and step["state"] == "proved", server.farm.casfleet("why", made).stdout
    acts = [(e["effect"], e["outcome"]) for e in server.effects()[seen:] if e["effect"] != "in"]
    assert acts == [("drain", OURS), ("recycle", "ok"), ("undrain", OURS)], acts


BEHAVIOURS = [
    # double, mode, step's state, recycles made, words in why
    ("appcmd", "german", "proved", 1, ""),
    ("appcmd", "silent", "proved", 1, ""),
    ("was", "slow", "proved", 1, ""),
    ("appcmd", "fail", "failed", 0, "Cannot find APPPOOL"),
    ("appcmd", "lie", "failed", 0, "the worker process is the same"),
    ("appcmd", "hang", "unknown", 0, "was killed; the recycle may still have happened"),
    ("appcmd", "flood", "unknown", 0, "was killed; the recycle may still have happened"),
    ("was", "refuse", "failed", 0, "not started"),
    ("was", "unchanged", "failed", 0, "the worker process is the same"),
    ("was", "sick", "failed", 1, "503"),
]


# Why: IIS' own tool hangs, floods, lies, is translated. What counts is the new worker, and the reason must be readable.
def test_whatever_appcmd_does_only_a_new_worker_is_a_recycle(enrolled):
    server, farm = enrolled, enrolled.farm
    for double, mode, state, recycles, words in BEHAVIOURS:
        acted = check_recycles(server)
        server.mode(double, mode)
        rollout, step = ended(server, recycle(farm, *(PATIENT if state == "proved" else FAST)))
        why = farm.casfleet("why", rollout["id"]).stdout
        server.mode(double, "ok")
        assert step["state"] == state, f"{double} {mode}: {step['state']}\n{why}\n{server.words()}"
        assert check_recycles(server) - acted == recycles, f"{double} {mode}: {server.effects()}"
        assert words in why, f"{double} {mode}: {why}"
        assert server.process.is_alive(), f"{double} {mode}: {server.words()}"
        if state != "proved":
            farm.casfleet("recycle", "end", rollout["id"], "--force", expect=0)
        if mode == "sick":
            server.by_hand += 1
            server.wine(r"C:\windows\system32\inetsrv\appcmd.exe", "recycle", "apppool", "/apppool.name:MSExchangeSyncAppPool")
        wait_until(server.is_up, 30, lambda: farm.casfleet("why", server.name).stdout)
    wait_until(lambda: not server.processes("appcmd.exe"), 10, "every appcmd to be ended with its act")


def check_recycles(server):
    return len([e for e in server.effects("recycle") if e["outcome"] in ("ok", "sick")])


# Why (I13): done is not healthy. How: the page turns bad at the moment of the act.
@pytest.mark.parametrize("mode,words", [("503", "503"), ("wrong-host", "OTHER-CAS99"), ("hang", "")])
def test_a_page_that_is_not_good_afterwards_is_no_proof(enrolled, mode, words):
    server, farm = enrolled, enrolled.farm
    acted = check_recycles(server)
    made = recycle(farm, *FAST)
    wait_until(lambda: check_recycles(server) > acted, 30, server.words)
    server.mode("health", mode)
    rollout, step = ended(server, made)
    why = farm.casfleet("why", made).stdout
    assert rollout["state"] == "halted" and step["state"] == "failed" and step["holds_slot"], why
    assert words in why, why
    server.mode("health", "ok")
    farm.casfleet("recycle", "end", made, "--force", expect=0)
    wait_until(server.is_up, 30, lambda: farm.casfleet("why", server.name).stdout)
    assert check_recycles(server) == acted + 1


# Why (I5): a controller may be away for days; what was read meanwhile comes later, once each.
def test_a_controller_that_was_away_is_found_again(enrolled):
    server, farm = enrolled, enrolled.farm
    farm.controller.kill()
    wait_until(lambda: "disconnected" in server.words(), 60, server.words)
    farm.start()
    server.wait_up()
    proved(server, *PATIENT)


# Why (I3, I5): after all of the tests above. How: from the agent's journal and outbox, the controller's database and the
# server's own effect log alone.
def test_after_all_of_it_journal_effects_and_reports_agree(enrolled):
    server = enrolled
    proved(server, *PATIENT)
    stop_agent(server)
    server.farm.controller.stop()
    assert check_once(server) >= 1
    assert check_reports(server.farm, [server]) > 3
