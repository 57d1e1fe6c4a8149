#!/usr/bin/env python3
"""Checks what servers really did, from their effect logs alone.

usage: verify_effects.py --allowed N [--expect NAME,NAME...] [--none-else] FILE...

A server is out from its first act until it first probed good again after it ("out" to "in"; a recycle, drain
or undrain begins it). Fails when more than N were out at one instant, when an expected server was not
recycled exactly once, or when any other was recycled at all (--none-else).
"""
import argparse
import json
import sys


def read(path):
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                break  # cut off while being written: it did not happen
            try:
                yield json.loads(line)
            except ValueError as error:
                sys.exit(f"{path}:{number}: {error}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--allowed", type=int, required=True)
    parser.add_argument("--expect", default="")
    parser.add_argument("--none-else", action="store_true")
    parser.add_argument("file", nargs="+")
    wanted = parser.parse_args()

    acts = ("recycle", "drain", "undrain", "out")
    effects = sorted((e for path in wanted.file for e in read(path)), key=lambda e: e["at_ms"])
    out, most, most_at, recycled = {}, 0, None, {}
    for effect in effects:
        server = effect["server"]
        if effect["effect"] in acts:
            out[server] = True
        elif effect["effect"] == "in":
            out.pop(server, None)
        if effect["effect"] == "recycle":
            recycled.setdefault(server, []).append(effect)
        if len(out) > most:
            most, most_at = len(out), sorted(out)
    failures = []
    if most > wanted.allowed:
        failures.append(f"{most} servers were out at once ({' '.join(most_at)}), allowed {wanted.allowed}")
    expected = [name for name in wanted.expect.split(",") if name]
    for name in expected:
        times = len(recycled.get(name, []))
        if times != 1:
            failures.append(f"{name} was recycled {times} times, not once")
    if wanted.none_else:
        failures += [f"{name} was recycled, and should not have been" for name in recycled if name not in expected]
    for server, acts_of in recycled.items():
        ids = [act["cmd_id"] for act in acts_of]
        if len(ids) != len(set(ids)):
            failures.append(f"{server}: one command acted twice")
    for failure in failures:
        print("FAILED  " + failure)
    total = sum(len(acts_of) for acts_of in recycled.values())
    if not failures:
        print(f"verified from {len(wanted.file)} effect logs: {total} recycles on {len(recycled)} servers, each once; "
              f"at most {most} out at once, allowed {wanted.allowed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
