#!/usr/bin/env python3
"""A farm of one: the Windows package on a CAS server of doubles under Wine, a native controller, and what an operator sees.

tests/e2e/netns.sh tests/e2e/demo_windows.py     programs from build/release and build/windows, or $CASFLEET_BIN, $CASFLEET_WINDOWS
"""
import os
import pathlib
import sys
import tempfile

import farm as farms
from farm import Farm, wait_until
from wine import AGENT, PROGRAM_FILES, WINDOWS, Server, Template

APPCMD = r"C:\windows\system32\inetsrv\appcmd.exe"


def say(words):
    mark = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{mark[0]}== {words}{mark[1]}", flush=True)


def show(farm, *arguments, fine=(0,)):
    """An operator's command, as typed and as answered."""
    print(f"\n$ casfleet {' '.join(arguments)}", flush=True)
    done = farm.casfleet(*arguments)
    print((done.stdout + done.stderr).rstrip(), flush=True)
    assert done.returncode in fine, f"casfleet {arguments[0]}: exit code {done.returncode}"
    return done.stdout


def on_server(server, *arguments, expect=0, most=80):
    print(f"\nC:\\> {' '.join(arguments)}", flush=True)
    lines = server.wine(*arguments, expect=expect, seconds=90).rstrip().splitlines()
    print("\n".join(lines[:most]), flush=True)


def install(server):
    package = max(WINDOWS.glob("package/casfleet-agent-*-x64.msi"), key=lambda path: path.stat().st_mtime)
    properties = server.controller_properties()
    print(f"\nC:\\> msiexec /i {package.name} /qn {' '.join(properties)}", flush=True)
    server.install(package, *properties)
    for name in sorted((server.drive / PROGRAM_FILES).iterdir()):
        print(f"  {name.stat().st_size:>9}  C:\\Program Files\\casfleet\\{name.name}")
    on_server(server, "sc", "query", "casfleet-agent")


def recycle(farm, server):
    say("the leak: one worker process, its stranded connections, and what the agent reads")
    on_server(server, APPCMD, "list", "wp")
    print(f"CLOSE_WAIT, by this machine's kernel: {server.close_wait()}")
    wait_until(lambda: (server.symptoms().get("close_wait") or {}).get("value"), 60, server.words)
    show(farm, "status", fine=(0, 1))
    show(farm, "server", "show", server.name)
    print("\nWine has no performance counters, no event log and no port range: each symptom made of them says so.")
    say("a recycle, ordered and proved")
    plan = farm.json("recycle", "plan", server.name, "--gap", "0s", "--settle", "2s", "--drain", "2s", "--proof", "60s", "--floor", "0",
                     "--fixed-too")
    assert plan["refused"] is None, plan["refused"]
    show(farm, "recycle", "run", plan["id"], "--reason", "quickstart", "--watch")
    on_server(server, APPCMD, "list", "wp")
    wait_until(lambda: server.close_wait() < server.sockets, 10, "the old worker's sockets to be gone")
    print(f"CLOSE_WAIT, by this machine's kernel: {server.close_wait()}")
    say("what the server itself says was done to it")
    print("".join(open(server.folder / "effects.log", encoding="ascii")), end="")
    farm.check_effects(1, [server.name], agents=[server])
    print(f"verified: {len(server.effects('recycle'))} recycle, out once, in service again")
    show(farm, "recycle", "list")


def main():
    with tempfile.TemporaryDirectory(prefix="casfleet-windows.") as folder:
        folder = pathlib.Path(folder)
        say("a CAS server of doubles in a Wine prefix (w3wp, WAS, appcmd, ExSetup, health page)")
        template = Template(folder / "template")
        farm = Farm(folder / "farm", tick="1s").start()
        server = Server(farm, template)
        try:
            server.start_doubles()
            say("the package, by one line")
            install(server)
            say("its key waits, an operator lets it in")
            wait_until(lambda: farm.ask("agent.list", pending="")["items"], 40, server.words)
            show(farm, "agent", "list", "--pending", fine=(0, 1))
            show(farm, "agent", "approve", server.name, "--site", server.site, "--yes")
            server.wait_up()
            recycle(farm, server)
            say("every source of this server, once")
            on_server(server, AGENT, "selftest", "--redact", expect=None)
            say("and gone again: the service goes, its state stays")
            on_server(server, AGENT, "uninstall")
        finally:
            server.close()
            farm.close()
            template.close()
    print("\nstopped: the controller, the agent and its server", flush=True)


if __name__ == "__main__":
    os.chdir(pathlib.Path(farms.__file__).parent)
    main()
