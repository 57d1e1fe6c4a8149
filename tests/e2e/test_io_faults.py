"""The k-th write, sync or rename of a program fails: what was acknowledged is kept, nothing is done twice or without its INTENT
on disk, and the program says so and goes on, or ends with a reason and works when it is started again."""
import concurrent.futures
import os
import signal

from farm import BIN, Agent, Farm, wait_until
from proofs import DONE, FAILED, INTENT, UNKNOWN, check_commands, check_reports, commands

LONG = bool(os.environ.get("CASFLEET_LONG"))
HOW = ("EIO", "ENOSPC", "short", "EIO:3", "ENOSPC:999999")  # the last: from then on nothing can be written
SAID = ("disk_full", "journal_failed", "outbox_failed", "commit_failed", "grant_refused", "act_failed")
# A start and an act make about so many calls of each kind, an orderly end few; the long run fails each of them once.
SPREAD = {"write": range(5, 201, 15), "sync": range(2, 39, 3), "name": range(1, 9, 2)}
END = {"write": range(1, 10, 3), "sync": range(1, 4, 2), "name": range(1, 4, 2)}
if LONG:
    SPREAD = {"write": range(1, 201), "sync": range(1, 201), "name": range(1, 61)}
    END = {"write": range(1, 31), "sync": range(1, 5), "name": range(1, 6)}
AT_A_TIME = 40  # agents of a farm
ROUNDS = 6 if LONG else 2
FARMS = 6       # at the same time
TIMES = 2       # recycles in the life of a controller


class Fault:
    """One call that fails: the number-th of its kind since the program's start, or since it is to act or to end."""

    def __init__(self, kind, number, phase, under, folder):
        how = HOW[(number + number // len(HOW)) % len(HOW)]
        self.is_lasting = how.endswith("999999")
        self.words, self.folder = f"{kind}:{number}:{how} of the {phase}", folder
        self.told = folder / "fault.told"
        self.env = {"LD_PRELOAD": str(BIN / "tests/libio_fault.so"), "IO_FAULT": f"{kind}:{number}:{how}",
                    "IO_FAULT_UNDER": f"{under}/", "IO_FAULT_TOLD": str(self.told)}
        if phase != "start":
            self.env["IO_FAULT_AFTER"] = str(folder / f"at.{phase}")

    def begin(self, phase):
        (self.folder / f"at.{phase}").touch()

    def times(self):
        return len(self.told.read_text().splitlines()) if self.told.exists() else 0

    def has_come(self):
        return self.times() > 0


def all_faults():
    return [(kind, number, phase) for phase, spread in (("start", SPREAD), ("act", SPREAD), ("end", END))
            for kind, numbers in spread.items() for number in numbers]


def check_end(process, words):
    """A program that ended by itself gave its reason: the file it could not use."""
    code = process.popen.wait(20)
    said = process.text().splitlines()[-1]
    assert code in (1, 2), f"{words}: ended by {code}: {said}"
    assert any(name in said for name in (".db", ".lock", "endpoints")), f"{words}: {said}"


def run_all(farm, faults, targets, verb="recycle"):
    """Each of them once, all at the same time; one that fails stops no other. What is held at the end is given up."""
    plan = farm.ask("recycle.plan", target=",".join(targets), verb=verb, floor="0", gap="0s", settle="0s", act="5s", proof="15s",
                    healthy="2", drain="1s", **{"at-once": "500", "stop-after": "500", "fixed-too": "", "no-canary": ""})
    assert not plan["refused"], plan["refused"]
    farm.ask("recycle.run", id=plan["id"], reason="faults")

    def is_over():
        start_again(farm.agents, faults)
        # An agent that finds its INTENT only when it starts again takes back a slot that was given up: it is given up again.
        for other in farm.ask("recycle.list", most="10")["items"]:
            if other["state"] == "ended":
                farm.try_ask("recycle.end", id=other["id"], force="")
        rollout = farm.rollout(plan["id"])
        is_done = rollout["state"] == "done" or rollout["state"] == "halted" and not rollout["running"]
        return rollout if is_done else None

    rollout = wait_until(is_over, 60, lambda: farm.casfleet("recycle", "show", plan["id"], "-o", "wide").stdout)
    if rollout["state"] != "done":
        farm.ask("recycle.end", id=plan["id"], force="")
        wait_until(lambda: farm.rollout(plan["id"])["state"] in ("ended", "done"), 30, "the rollout to end")
    return {s["server"]: s for s in rollout["items"]}


def has_said(process):
    return any(f" {name} " in process.text() for name in SAID)


def start_again(agents, faults):
    """Those that ended at their fault said why; those whose disk stays bad get a good one: both are started again."""
    again = 0
    for agent in agents:
        fault = faults[agent.name]
        is_ended = not agent.process.is_alive()
        if is_ended:
            assert fault.has_come(), f"{fault.words}: {agent.process.text()}"
            check_end(agent.process, fault.words)
        elif fault.is_lasting and fault.has_come() and has_said(agent.process):
            agent.process.kill()
        else:
            continue
        fault.is_lasting = False
        agent.start()
        again += 1
    return again


def check_journal(agent, fault):
    journal = commands(agent)
    acted = [effect["cmd_id"] for effect in agent.effects("recycle")]
    assert set(acted) <= set(journal), f"{fault.words}: acted without an INTENT: {acted} {journal}"
    assert INTENT not in journal.values() and all(journal[one] in (DONE, FAILED, UNKNOWN) for one in acted), fault.words


def put_back(farm, faults):
    """One that drained and lost the note of it leaves its server drained, on purpose: an operator puts it back."""
    def are_up():
        rows = farm.rows()
        drained = [name for name, row in rows.items() if row["state"] == "drained"]
        if drained:
            run_all(farm, faults, drained, verb="undrain")
        return not drained and up(farm) == set(faults)

    wait_until(are_up, 60, lambda: farm.casfleet("server", "list", "-o", "wide").stdout)


def recycle_again_and_again(farm, faults):
    """Who is not proved in a round met its fault in that round, and says so; when all faults are over all are proved."""
    for number in range(1, ROUNDS + 4):
        before = {name: fault.times() for name, fault in faults.items()}
        steps = run_all(farm, faults, faults)
        bad = {name: step for name, step in steps.items() if step["state"] != "proved"}
        for agent in farm.agents:
            fault = faults[agent.name]
            if agent.name in bad:
                assert fault.times() > before[agent.name], f"{fault.words}: {bad[agent.name]}: {agent.process.text()}"
                assert has_said(agent.process), f"{fault.words}: nothing is said"
        start_again(farm.agents, faults)
        put_back(farm, faults)
        if number >= ROUNDS and not bad:
            return
    raise AssertionError(f"not on good disks: {[(faults[name].words, step) for name, step in bad.items()]}")


def life_of_agents(farm, plans):
    """Agents, each with its fault: they start, act, and act again on good disks. Returns how many faults came."""
    faults = {}
    for number, plan in enumerate(plans, 1):
        agent = farm.agent(f"LON-CAS{number:03}", is_started=False, speed=200, worker_age="2d")
        agent.keep_state_in(agent.folder / "state")
        faults[agent.name] = Fault(*plan, agent.state, agent.folder)
        agent.start(env=faults[agent.name].env)
    wait_until(lambda: not start_again(farm.agents, faults) and up(farm) == set(faults), 60,
               lambda: farm.casfleet("server", "list", "-o", "wide").stdout)
    for fault in faults.values():
        fault.begin("act")
    recycle_again_and_again(farm, faults)
    for fault in faults.values():
        fault.begin("end")
    for agent in farm.agents:
        agent.process.signal(signal.SIGTERM)
    for agent in farm.agents:
        assert agent.process.popen.wait(20) in (0, 1, 2), f"{faults[agent.name].words}: {agent.process.text()}"
        agent.start()
    farm.wait_up(60)
    farm.end_all()
    for agent in farm.agents:
        check_journal(agent, faults[agent.name])
    assert check_commands(farm) == sum(len(a.effects("recycle")) for a in farm.agents) >= len(plans)
    assert check_reports(farm) > 0
    return sum(fault.has_come() for fault in faults.values())


def up(farm):
    return {name for name, row in farm.rows().items() if row["state"] == "up" and row["requests"] is not None}


# Why (I3, I5, I13): a disk may fail between any two steps of a command, and a write that failed may be there or not. How: the
# agents of a farm have a disk each whose k-th call fails; all are recycled at once, and once more when the disks are good.
def test_agents_whose_disk_fails_act_once_or_say_why_not(make_farm):
    plans, came = all_faults(), 0
    for at in range(0, len(plans), AT_A_TIME):
        farm = make_farm()
        came += life_of_agents(farm, plans[at:at + AT_A_TIME])
        farm.close()
    print(f"{came} faults of {len(plans)} agents")
    assert came > len(plans) * (0.3 if LONG else 0.7), "too few calls failed: has the library been loaded?"


class Operator:
    """Wants one server recycled, and asks again as long as the controller's disk refuses it."""

    def __init__(self, farm, fault):
        self.farm, self.fault, self.was_refused = farm, fault, False

    def refused(self):
        """A disk that stays bad is replaced when the controller has said so."""
        self.was_refused = True
        if self.fault.is_lasting and self.fault.has_come():
            wait_until(lambda: has_said(self.farm.controller), 20, self.fault.words)
            self.fault.is_lasting = False
            self.farm.controller.kill()
            self.farm.start()

    def approves(self, agent):
        done = self.farm.casfleet("agent", "approve", agent.name, "--agent-key", agent.key(), "--site", agent.site)
        is_approved = done.returncode == 0 or "approved with this key already" in done.stderr
        if not is_approved:
            assert "controller.db" in done.stderr, done.stderr
            self.refused()
        return is_approved

    def look(self):
        """True when it is done."""
        listed = self.farm.try_ask("recycle.list", most="10")
        if listed is None:
            return False
        for rollout in listed["items"]:
            if rollout["state"] == "halted" and not rollout["running"]:
                self.farm.try_ask("recycle.end", id=rollout["id"], force="")
        if any(r["state"] not in ("done", "ended") for r in listed["items"]):
            if self.fault.is_lasting and self.fault.has_come():
                self.refused()
            return False
        if sum(r["state"] == "done" for r in listed["items"]) >= TIMES:
            return True
        plan = self.farm.try_ask("recycle.plan", target="LON-CAS01", floor="0", gap="0s", settle="0s", act="5s", proof="15s",
                                 healthy="1", **{"fixed-too": "", "no-canary": "", "no-drain": ""})
        run = plan and not plan["refused"] and self.farm.try_ask("recycle.run", id=plan["id"], reason="faults")
        if not run:
            self.refused()
        return False


def life_of_controller(folder, kind, number, phase):
    """A controller with its fault: it starts, takes reports, has a server recycled. Returns whether the fault came, and
    how many records were acknowledged."""
    farm = Farm(folder)
    try:
        fault = Fault(kind, number, phase, farm.state, farm.folder)
        farm.start(env=fault.env, is_needed=False)
        if not farm.controller.is_alive():
            assert fault.has_come(), f"{fault.words}: {farm.controller.text()}"
            check_end(farm.controller, fault.words)
            fault.is_lasting = False
            farm.start()
        agent = Agent(farm, "LON-CAS01", "LON", speed=200, worker_age="2d")
        farm.agents.append(agent)
        operator = Operator(farm, fault)
        wait_until(lambda: operator.approves(agent), 20, lambda: f"{fault.words}: {farm.controller.text()}")
        agent.start()
        farm.wait_up(60)
        fault.begin("act")
        wait_until(operator.look, 60, lambda: f"{fault.words}: {farm.controller.text()}")
        assert farm.controller.is_alive(), f"{fault.words}: {farm.controller.text()}"
        if operator.was_refused:
            assert has_said(farm.controller), f"{fault.words}: nothing is said"
        fault.begin("end")
        farm.controller.signal(signal.SIGTERM)
        assert farm.controller.popen.wait(20) in (0, 1, 2), f"{fault.words}: {farm.controller.text()}"
        farm.start()
        farm.wait_up(60)
        farm.end_all()
        assert check_commands(farm) == TIMES == len(agent.effects("recycle")), fault.words
        return fault.has_come(), check_reports(farm)
    finally:
        farm.close()


# Why (I3, I5, R4): a commit that failed may be on the disk all the same; nothing may be ordered or acknowledged by it. How:
# many small farms, the disk of each controller fails at its k-th call, before it is up or from when it is to order.
def test_a_controller_whose_disk_fails_orders_once_and_acknowledges_what_it_has(tmp_path):
    plans = all_faults()[::1 if LONG else 2]
    with concurrent.futures.ThreadPoolExecutor(FARMS) as pool:
        lives = [pool.submit(life_of_controller, tmp_path / f"{kind}{number}{phase}", kind, number, phase)
                 for kind, number, phase in plans]
        came, acknowledged = (sum(each) for each in zip(*(life.result() for life in lives), strict=True))
    print(f"{came} faults of {len(plans)} controllers, {acknowledged} records acknowledged")
    assert acknowledged > 5 * len(plans)
    assert came > len(plans) * (0.3 if LONG else 0.6), "too few calls failed: has the library been loaded?"
