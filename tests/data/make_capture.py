#!/usr/bin/env python3
"""Writes capture-leaking/ beside this file: a made-up server in the exact forms Windows tools write.

FRA-CAS07, Exchange 2016 CU9 (without the fix), 48 hours at 15 minutes. The old worker has used up the ports, an
administrator recycles the pool at 01:30, and the new worker leaks from there. Same output on every run.
Usage: python3 make_capture.py [folder]
"""
import datetime
import math
import os
import sys

POOL = "MSExchangeSyncAppPool"
HOST = "FRA-CAS07"
FQDN = HOST + ".corp.example"
START = datetime.datetime(2018, 11, 13)  # local time, W. Europe Standard Time
UTC = datetime.timedelta(hours=-1)
STEP = datetime.timedelta(minutes=15)
ROWS = 193
RECYCLE = START + datetime.timedelta(hours=1, minutes=30)
OLD, NEW, OWA, MAPI = 3676, 9212, 4120, 5588
BORN = {
    OLD: START - datetime.timedelta(days=9, hours=3),
    NEW: RECYCLE,
    OWA: START - datetime.timedelta(days=30),
    MAPI: START - datetime.timedelta(days=30, minutes=-2),
}
# w3wp, w3wp#1, w3wp#2: two numberings that know nothing of each other, and shift when a process ends.
PROCESS = {False: [OWA, OLD, MAPI], True: [OWA, MAPI, NEW]}
CLR = {False: [OLD, MAPI, OWA], True: [MAPI, NEW, OWA]}


class Dice:
    def __init__(self, seed):
        self.state = seed

    def throw(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) / 2**31


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", newline="", encoding="utf-8") as file:
        file.write(text)


def load(at):
    """Devices at work, 0.35 at night to 1 in the forenoon."""
    hour = at.hour + at.minute / 60
    return 0.675 + 0.325 * math.sin((hour - 5) / 24 * 2 * math.pi)


def stranded(pid, at):
    if pid not in (OLD, NEW):
        return 0
    return 420 * (at - BORN[pid]).total_seconds() / 86400


def number(value):
    return str(int(value)) if float(value).is_integer() else repr(round(value, 12))


def worker_values(pid, at, dice):
    leak = stranded(pid, at)
    base = {OWA: 480, MAPI: 620}.get(pid, 900)
    noise = dice.throw()
    private = int((base + leak * 1.9 + 40 * noise) * 1048576)
    return {
        "ID Process": pid,
        "Private Bytes": private,
        "Working Set": int(private * 0.93),
        "Handle Count": int(1800 + leak * 2.1 + 60 * noise),
        "Elapsed Time": (at - BORN[pid]).total_seconds(),
        "Process ID": pid,
        "% Time in GC": 1.2 + leak / 140 + noise,
        "# Bytes in all Heaps": int(private * 0.61),
        "Active Requests": int(3000 * load(at) * (0.98 + 0.04 * noise) + leak) if pid in (OLD, NEW) else int(40 * noise),
    }


def counters(folder):
    pids = [OLD, NEW, OWA, MAPI]
    pools = {OLD: POOL, NEW: POOL, OWA: "MSExchangeOWAAppPool", MAPI: "MSExchangeMapiFrontEndAppPool"}
    process = ["ID Process", "Private Bytes", "Working Set", "Handle Count", "Elapsed Time"]
    clr = ["Process ID", "% Time in GC", "# Bytes in all Heaps"]
    names = ["w3wp", "w3wp#1", "w3wp#2"]
    columns = [f"W3SVC_W3WP({pid}_{pools[pid]})\\Active Requests" for pid in pids]
    columns += [f"Process({name})\\{counter}" for name in names for counter in process]
    columns += [f".NET CLR Memory({name})\\{counter}" for name in names for counter in clr]
    server = [
        "MSExchange ActiveSync\\Ping Commands Pending",
        "MSExchange ActiveSync\\Requests/sec",
        "MSExchange ActiveSync\\Sync Commands/sec",
        f"HTTP Service Request Queues({POOL})\\CurrentQueueSize",
        f"HTTP Service Request Queues({POOL})\\RejectedRequests",
        "TCPv4\\Connections Established",
        "TCPv4\\Connection Failures",
        "Memory\\Available MBytes",
        "Memory\\% Committed Bytes In Use",
        "Processor(_Total)\\% Processor Time",
    ]
    columns += server
    lines = ['"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)"' + "".join(f',"\\\\{HOST}\\{c}"' for c in columns)]
    dice = Dice(7)
    for row in range(ROWS):
        at = START + row * STEP
        is_new = at > RECYCLE
        live = [NEW if is_new else OLD, OWA, MAPI]
        values = {pid: worker_values(pid, at, dice) for pid in live}
        cells = [number(values[pid]["Active Requests"]) if pid in live else " " for pid in pids]
        for number_of in range(3):
            cells += [number(values[PROCESS[is_new][number_of]][c]) for c in process]
        for number_of in range(3):
            cells += [number(values[CLR[is_new][number_of]][c]) for c in clr]
        sync = values[live[0]]
        noise = dice.throw()
        per_s = 95 * load(at) * (0.9 + 0.2 * noise)
        free_mb = 65536 - 21000 - sum(v["Private Bytes"] for v in values.values()) / 1048576
        cells += [
            number(sync["Active Requests"] - int(120 * load(at))),
            " " if row == 0 else number(per_s),
            " " if row == 0 else number(per_s * 0.31),
            "0",
            "17" if is_new else "2904",
            number(sync["Active Requests"] * 2 + 700),
            number(40210 + 9 * row),
            number(int(free_mb)),
            number(100 * (1 - free_mb / 65536)),
            number(14 + 41 * load(at) * (0.8 + 0.4 * noise)),
        ]
        stamp = (at + datetime.timedelta(milliseconds=517)).strftime("%m/%d/%Y %H:%M:%S.%f")[:-3]
        lines.append(f'"{stamp}"' + "".join(f',"{c}"' for c in cells))
    write(folder, "counters.csv", "\r\n".join(lines) + "\r\n")


def netstat(folder):
    rows = []

    def row(local, remote, state, pid):
        rows.append(f"  TCP    {local:<22} {remote:<22} {state:<15} {pid}")

    for port, pid in ((80, 4), (135, 908), (443, 4), (444, 4), (445, 4), (6024, 1304), (6081, 2240)):
        row(f"0.0.0.0:{port}", "0.0.0.0:0", "LISTENING", pid)
    for i in range(60):
        row("10.20.1.7:443", f"10.20.9.{i % 4 + 10}:{20000 + 37 * i}", "ESTABLISHED", 4)
    for i in range(200):
        back_end = "10.20.1.17:444" if i % 5 < 3 else "10.20.1.18:444"
        row(f"10.20.1.7:{7000 + 11 * i}", back_end, "CLOSE_WAIT", NEW)
    for i in range(90):
        row(f"10.20.1.7:{30000 + 7 * i}", "10.20.1.17:444" if i % 2 else "10.20.1.18:444", "ESTABLISHED", NEW)
    for i in range(45):
        row(f"10.20.1.7:{52000 + 13 * i}", "10.20.1.5:389", "TIME_WAIT", 0)
    for i in range(6):
        row(f"10.20.1.7:{61000 + i}", "10.20.1.5:3268", "CLOSE_WAIT", MAPI)
    row("[::]:443", "[::]:0", "LISTENING", 4)
    row("[fe80::8d2:41aa:90c1:77e%12]:6310", "[fe80::8d2:41aa:90c1:77e%12]:444", "ESTABLISHED", NEW)
    for port, pid in ((123, 1008), (6025, 1304)):
        rows.append(f"  UDP    {f'0.0.0.0:{port}':<22} {'*:*':<38} {pid}")
    head = ["", "Active Connections", "", "  Proto  Local Address          Foreign Address        State           PID"]
    write(folder, "netstat.txt", "\r\n".join(head + rows) + "\r\n")


def event(record, at, provider, number_of, qualifiers, level, data):
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider {provider}/><EventID Qualifiers='{qualifiers}'>{number_of}</EventID><Version>0</Version>"
        f"<Level>{level}</Level><Task>0</Task><Opcode>0</Opcode><Keywords>0x80000000000000</Keywords>"
        f"<TimeCreated SystemTime='{stamp}'/><EventRecordID>{record}</EventRecordID><Correlation/>"
        f"<Execution ProcessID='0' ThreadID='0'/><Channel>System</Channel><Computer>{FQDN}</Computer><Security/>"
        f"</System><EventData>{data}</EventData></Event>"
    )


def tcpip(record, at, number_of):
    low = f"{number_of & 0xFF:02X}{number_of >> 8:02X}0080"
    binary = "000000000100280000000000" + low + "00" * 24
    return event(record, at, "Name='Tcpip'", number_of, 32768, 3, f"<Data></Data><Binary>{binary}</Binary>")


def was(record, at, number_of, qualifiers, level, pid):
    provider = (
        "Name='Microsoft-Windows-WAS' Guid='{524B5D04-133C-4A62-8362-64E8EDB9CE40}' EventSourceName='WAS'"
    )
    data = f"<Data Name='AppPoolID'>{POOL}</Data>"
    if pid:
        data += f"<Data Name='ProcessID'>{pid}</Data>"
    return event(record, at, provider, number_of, qualifiers, level, data)


def events(folder):
    base = START + UTC
    minutes = [-1130, -700, -410, -280, -170, -95, -40, 12, 33, 58, 71]  # before the recycle
    minutes += [1500, 1745, 1960, 2130, 2305, 2490, 2601, 2744, 2860]  # the new worker's
    all_of = [(m, tcpip, (4227,)) for m in minutes]
    all_of.append((72, tcpip, (4231,)))
    all_of.append((90, was, (5079, 16384, 4, 0)))
    all_of.append((91.5, was, (5013, 32768, 3, OLD)))
    all_of.sort(key=lambda e: e[0])
    lines = []
    for i, (minute, make, rest) in enumerate(all_of):
        at = base + datetime.timedelta(minutes=minute, seconds=7, microseconds=123456)
        lines.append(make(88120 + 3 * i, at, *rest))
    write(folder, "events.xml", "\r\n".join(reversed(lines)) + "\r\n")  # newest first: /rd:true


def appcmd(folder):
    prompt = "C:\\Windows\\System32\\inetsrv>appcmd.exe "
    text = [prompt + "list wp"]
    for pid, pool in ((OWA, "MSExchangeOWAAppPool"), (MAPI, "MSExchangeMapiFrontEndAppPool"), (NEW, POOL)):
        text.append(f'WP "{pid}" (applicationPool:{pool})')
    text += ["", prompt + "list apppool"]
    for pool in ("DefaultAppPool", "MSExchangeOWAAppPool", "MSExchangeMapiFrontEndAppPool", POOL):
        text.append(f'APPPOOL "{pool}" (MgdVersion:v4.0,MgdMode:Integrated,state:Started)')
    text.append('APPPOOL "Static pages (old)" (MgdVersion:,MgdMode:Integrated,state:Stopped)')
    text += ["", prompt + f"list requests /apppool.name:{POOL} /elapsed:1000"]
    dice = Dice(11)
    for i in range(17):
        age = int(3600000 + 100000000 * dice.throw()) if i < 12 else int(3400000 * dice.throw())
        url = f"POST /Microsoft-Server-ActiveSync/default.eas?Cmd=Ping&User=u{i:02}&DeviceId=D{i:04}"
        text.append(
            f'REQUEST "fb{i:02x}00008000{i + 64:04x}" (url:{url},time:{age} msec,client:10.20.9.{i % 4 + 10}, '
            "stage:ExecuteRequestHandler, module:ManagedPipelineHandler)"
        )
    text += ["", prompt + f'list apppool "{POOL}" /text:*', "APPPOOL", f'  APPPOOL.NAME:"{POOL}"']
    text += ['  PipelineMode:"Integrated"', '  RuntimeVersion:"v4.0"', '  state:"Started"', "  [add]"]
    text += [f'    name:"{POOL}"', '    queueLength:"1000"', '    autoStart:"true"', "    [processModel]"]
    text += ['      identityType:"LocalSystem"', '      idleTimeout:"00:00:00"', '      maxProcesses:"1"']
    text += ['      shutdownTimeLimit:"00:01:30"', '      startupTimeLimit:"00:01:30"']
    text += ['      pingingEnabled:"false"', "    [recycling]", '      disallowOverlappingRotation:"false"']
    text += ["      [periodicRestart]", '        memory:"0"', '        privateMemory:"0"', '        requests:"0"']
    text += ['        time:"00:00:00"', "        [schedule]", "    [failure]", '      rapidFailProtection:"false"', ""]
    write(folder, "appcmd.txt", "\r\n".join(text))


def small(folder):
    path = "C:\\Program Files\\Microsoft\\Exchange Server\\V15\\bin\\ExSetup.exe"
    write(
        folder,
        "exsetup.txt",
        "\r\nProductVersion   FileVersion      FileName\r\n--------------   -----------      --------\r\n"
        f"15.01.1466.003   15.01.1466.003   {path}\r\n\r\n\r\n",
    )
    write(
        folder,
        "netsh.txt",
        "\r\nProtocol tcp Dynamic Port Range\r\n---------------------------------\r\n"
        "Start Port      : 6005\r\nNumber of Ports : 59530\r\n\r\n",
    )
    write(folder, "healthcheck.txt", f"200 OK<br/>{FQDN.upper()}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "capture-leaking")
    os.makedirs(folder, exist_ok=True)
    for make in (counters, netstat, events, appcmd, small):
        make(folder)


if __name__ == "__main__":
    main()
