"""kill -9 at random and at the worst points: what was acknowledged is kept, nothing is done twice, it goes on by itself."""
import os
import random
import time

import pytest

from farm import wait_until
from proofs import DONE, INTENT, UNKNOWN, check_commands, check_reports, commands

KILLS = 500 if os.environ.get("CASFLEET_LONG") else 100
OPEN = {"scheduled", "running", "paused", "halted"}


def farm_of(make_farm, sites, servers):
    farm = make_farm(tick="200ms")
    for site in sites:
        for number in range(1, servers + 1):
            farm.agent(f"{site}-CAS{number:02}", site, speed=200, worker_age="2d")
    farm.wait_up()
    return farm


class Roller:
    """An operator who keeps a rollout running on each site, whatever happens to the answers."""

    def __init__(self, farm, sites, at_once, floor):
        self.farm, self.sites, self.at_once, self.floor = farm, sites, at_once, floor
        self.is_rolling, self.plans = True, 0

    def run(self, **arguments):
        plan = self.farm.try_ask("recycle.plan", gap="0s", settle="0s", act="5s", proof="20s", floor=self.floor, **arguments,
                                 **{"at-once": self.at_once, "fixed-too": "", "no-canary": ""})
        if plan and not plan["refused"]:
            self.farm.try_ask("recycle.run", id=plan["id"], reason="kills")

    def undrain(self, open_sites):
        """An agent that died between drain and undrain leaves its server drained, on purpose. Returns the sites that have one."""
        rows = (self.farm.try_ask("server.list") or {"items": []})["items"]
        drained = [row for row in rows if row["state"] == "drained" and row["site"] not in open_sites]
        for row in drained:
            self.run(target=row["name"], verb="undrain")
        return {row["site"] for row in drained}

    def look(self):
        """One look at every site; rollouts that halted are ended, their slots given up after a look at the server."""
        listed = self.farm.try_ask("recycle.list", most="1000")
        if not listed:
            return None
        items = listed["items"]
        for rollout in items:
            if rollout["state"] == "halted" and rollout["running"] == 0:
                self.farm.try_ask("recycle.end", id=rollout["id"], force="")
        open_sites = {r["group"] for r in items if r["state"] in OPEN}
        if any(r["state"] == "ended" for r in items):
            open_sites |= self.undrain(open_sites)
        for site in set(self.sites) - open_sites if self.is_rolling else ():
            self.plans += 1
            self.run(selector=f"site={site}", **({"drain": "1s"} if self.plans % 2 else {"no-drain": ""}))
        return items

    def finish(self, seconds):
        self.is_rolling = False

        def is_quiet():
            items = self.look()
            return items is not None and not [r for r in items if r["state"] in OPEN] and items

        return wait_until(is_quiet, seconds, lambda: self.farm.casfleet("recycle", "list", "-o", "wide").stdout)


def steps_of(farm, items):
    return [(s["server"], s["state"], s["attempt"]) for r in items if r["state"] == "running"
            for s in farm.ask("recycle.show", id=r["id"])["items"]]


def check_resumes(farm, roller, began):
    """Within 10 s of its start all agents are heard, and a step has moved on."""
    before = None

    def has_moved():
        nonlocal before
        items = roller.look()
        if items is None or any(row["state"] not in ("up", "drained") for row in farm.rows().values()):
            return False
        now = steps_of(farm, items)
        before = before or now
        return now != before

    wait_until(has_moved, began + 10 - time.monotonic(), lambda: farm.casfleet("server", "list").stdout)


# Why (K1, I1, I3, I5, I9): the controller may die at any instant. How: rollouts run on two sites without rest; half of the
# deaths come at a commit, just before or just after it, half at a random time; each time it starts again on its own state.
def test_a_controller_killed_again_and_again_repeats_and_loses_nothing(make_farm):
    chance = random.Random(4711)
    sites = ("LON", "FRA")
    farm = farm_of(make_farm, sites, 4)
    roller = Roller(farm, sites, at_once="2", floor="50")
    for number in range(KILLS):
        env, life = {}, chance.uniform(0.02, 1.0)
        if number % 2:
            point = chance.choice(["store.commit", "store.committed"])
            env, life = {"CASFLEET_FAILPOINT": f"{point}:{chance.randrange(2, 14)}:kill"}, 1.6
        farm.controller.kill()
        began = time.monotonic()
        farm.start(env=env, is_needed=not env)
        if number % 20 == 0:
            check_resumes(farm, roller, began)
        while farm.controller.is_alive() and time.monotonic() < began + life:
            roller.look()
            time.sleep(0.03)
    farm.controller.kill()
    farm.start()
    check_resumes(farm, roller, time.monotonic())
    items = roller.finish(90)
    assert len(items) >= 2 and all(r["state"] == "done" and not r["failed"] and not r["unknown"] for r in items), items
    farm.end_all()
    for site in sites:
        farm.check_effects(2, is_exact=False, agents=[a for a in farm.agents if a.site == site])
    assert check_commands(farm) == sum(r["proved"] for r in items) >= 8
    assert check_reports(farm) > KILLS


POINTS = ["agent.before_intent", "agent.after_intent", "agent.after_act", "agent.after_outcome", "agent.before_result"]


class Deaths:
    """Lets agents die at chosen points and starts them again; knows what each journal must end with."""

    def __init__(self, farm, chance, wanted):
        self.farm, self.chance, self.wanted = farm, chance, wanted
        self.count, self.expected, self.point, self.due = 0, {}, {}, {}

    def arm(self, agent):
        """Starts an agent that will die at a point of its next command, or at a random time."""
        env, self.due[agent.name] = {}, None
        self.point[agent.name] = "none"
        if self.count < self.wanted:
            self.point[agent.name] = self.chance.choice([*POINTS, "random"])
            if self.point[agent.name] == "random":
                self.due[agent.name] = time.monotonic() + self.chance.uniform(0.1, 4)
            else:
                env = {"CASFLEET_FAILPOINT": f"{self.point[agent.name]}:1:kill"}
        agent.start(env=env)

    def look(self):
        for agent in self.farm.agents:
            due = self.due.get(agent.name)
            if due and time.monotonic() > due:
                agent.process.kill()
            if not agent.process.is_alive():
                agent.process.popen.wait(20)
                self.count += 1
                self.note(agent)
                self.arm(agent)

    def note(self, agent):
        """A command with an INTENT and no outcome comes out as DONE if the server shows its effect, else as UNKNOWN."""
        acted = {effect["cmd_id"] for effect in agent.effects("recycle")}
        for cmd_id, state in commands(agent).items():
            if state == INTENT:
                self.expected[cmd_id] = DONE if cmd_id in acted else UNKNOWN


# Why (K2, I3, I13): an agent may die between INTENT, act, outcome and answer, and again while it looks what came of it.
# How: six sites, one server of each out at a time; each agent dies at the next point chosen for it and starts again.
def test_agents_killed_again_and_again_act_once_and_say_unknown_only_without_evidence(make_farm):
    chance = random.Random(815)
    sites = ("LON", "FRA", "NYC", "ROM", "OSL", "BER")
    farm = farm_of(make_farm, sites, 2)
    roller = Roller(farm, sites, at_once="1", floor="50")
    deaths = Deaths(farm, chance, KILLS)
    for agent in farm.agents:
        agent.process.kill()
        deaths.arm(agent)
    end = time.monotonic() + 6 * KILLS
    while deaths.count < KILLS:
        assert time.monotonic() < end, f"{deaths.count} kills of {KILLS}; {farm.casfleet('recycle', 'list', '-o', 'wide').stdout}"
        deaths.look()
        roller.look()
        time.sleep(0.03)
    for agent in farm.agents:  # those still armed go on without
        agent.process.kill()
        deaths.note(agent)
        deaths.arm(agent)
    wait_until(lambda: all(row["state"] in ("up", "drained") for row in farm.rows().values()), 10, "all to be heard again")
    roller.finish(120)
    farm.end_all()
    for site in sites:
        farm.check_effects(1, is_exact=False, agents=[a for a in farm.agents if a.site == site])
    assert check_commands(farm) > 0
    assert check_reports(farm) > 0
    journals = {cmd_id: state for agent in farm.agents for cmd_id, state in commands(agent).items()}
    assert {cmd_id: journals[cmd_id] for cmd_id in deaths.expected} == deaths.expected
    unknown = {cmd_id for cmd_id, state in journals.items() if state == UNKNOWN}
    assert unknown == {cmd_id for cmd_id, state in deaths.expected.items() if state == UNKNOWN}
    assert INTENT not in journals.values()
    assert {DONE, UNKNOWN} <= set(deaths.expected.values()), "the points chosen did not show both"
