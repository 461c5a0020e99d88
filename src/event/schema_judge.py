#!/usr/bin/python3
"""Compares the event reader with python3-jsonschema, an implementation that is not ours.

usage: schema_judge.py EVENT_JUDGE SPEC_FOLDER

Mutates the spec's examples with a fixed seed, has both judge each event, and fails on the first
disagreement that json.h does not state: whether it is accepted, and which member is at fault.
"""
import copy
import json
import random
import re
import subprocess
import sys

import jsonschema  # Debian: python3-jsonschema

MUTATED = 6000
SEED = 20251124
DEEPEST = 32
INT64 = range(-(2**63), 2**63)


def replacements(schema):
    """Values at and beyond the edges of the schema's rules."""
    values = [None, True, False, 0, 1, -1, 2, 5_000_000, 5_000_001, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
              -(2**63), -(2**63) - 1, 10**30, 0.0, -0.0, 1.0, 1.5, -0.5, 1e-300, 1e15, 1e300, -1e300,
              1764000000, 1764000000000, 1764000000000.0, 1764000000000000, 99_999_999_999, 10**11,
              10**14, 10**14 + 1, "", "1", "x", "\n", "CNY", "cny", "CNYX", "CNY\n", "x.appointment",
              "x.appointment\n", "x.", "x.A", "x.é", "nope", "a" * 128, "a" * 129, "秋" * 128,
              "秋" * 129, "😀" * 128, "😀" * 129, "字" * 2000, "字" * 2001, 'q"\\/\u0001\u2028',
              [], {}, [1], ["a", "b"], [{}], {"a": {"b": 1.0}}, {"qty": 1}]
    for levels in (29, 30, 31, 40):
        deep = 1
        for _ in range(levels):
            deep = [deep]
        values.append(deep)
    for choices in re.findall(r'"enum": (\[[^]]*\])', json.dumps(schema)):
        values.extend(json.loads(choices))
    return values


def places(value, out):
    """Every object and list inside, and how to reach each value."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            out.append((value, key))
            places(value[key], out)
    return out


def mutate(event, values, rng):
    where, key = rng.choice(places(event, []))
    action = rng.randrange(6)
    if action == 0:
        del where[key]
    elif action == 1 and isinstance(where, dict):
        where[rng.choice(["more", "a/b", "c~d", "秋", "", "late", "stock", "lines"])] = rng.choice(values)
    elif action == 1:
        where.append(copy.deepcopy(where[key]))
    elif action == 2 and isinstance(where[key], (dict, list)):
        where[key].clear()
    elif action == 3 and rng.random() < 0.2:
        event["recv_ts"] = rng.choice([1764000000, 1764000000000, 1764000000000000, 10**11, 10**11 - 1, 10**14, 10**14 + 1])
    else:
        where[key] = copy.deepcopy(rng.choice(values))


def pointer(path):
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def refusals(validator, event):
    """JSON pointers of what the schema refuses; a missing or unknown member has its own."""
    found = set()
    for error in validator.iter_errors(event):
        path = list(error.absolute_path)
        if error.validator == "required":
            # One error a name, each with the name only in its message.
            found.update(pointer(path + [name]) for name in error.validator_value if name not in error.instance)
        elif error.validator == "additionalProperties":
            known = error.schema["properties"]
            found.update(pointer(path + [name]) for name in error.instance if name not in known)
        else:
            found.add(pointer(path))
    return found


def times_by_type(schema):
    """For each event type the members of its data that are times."""
    return {rule["if"]["properties"]["type"]["const"]:
            {name for name in rule["then"]["properties"]["data"]["properties"] if name.endswith("_ts")}
            for rule in schema["allOf"]}


def stated(event, times):
    """JSON pointers of what json.h says the reader refuses beyond the schema.

    The second set: refused where the schema wants an integer, fine elsewhere.
    """
    found, maybe = set(), set()
    kind = event.get("type")
    data_times = times.get(kind, ()) if isinstance(kind, str) else ()

    def is_time(path):
        return path in (["ts"], ["recv_ts"]) or path[:-1] == ["data"] and path[-1] in data_times

    def walk(value, path, depth):
        if isinstance(value, bool):
            return
        if isinstance(value, int) and value not in INT64:
            found.add(pointer(path))
        if isinstance(value, (int, float)) and is_time(path) and not 1e11 <= value <= 1e14:
            found.add(pointer(path))
        if isinstance(value, float) and value.is_integer() and int(value) not in INT64:
            maybe.add(pointer(path))
        if isinstance(value, str) and value.endswith("\n") and path in (["type"], ["data", "currency"]):
            found.add(pointer(path))
        if isinstance(value, (dict, list)):
            if depth > DEEPEST:
                found.add(pointer(path))
            for key in value if isinstance(value, dict) else range(len(value)):
                walk(value[key], path + [key], depth + 1)

    walk(event, [], 1)
    return found, maybe


def main():
    judge, spec = sys.argv[1:]
    with open(f"{spec}/events.schema.json", encoding="utf-8") as file:
        schema = json.load(file)
    validator = jsonschema.Draft202012Validator(schema)
    examples = []
    for name in ("events.examples.jsonl", "events.alltypes.jsonl"):
        with open(f"{spec}/{name}", encoding="utf-8") as file:
            examples += [json.loads(line) for line in file]
    times = times_by_type(schema)
    rng = random.Random(SEED)
    values = replacements(schema)
    events = list(examples)
    while len(events) < len(examples) + MUTATED:
        event = copy.deepcopy(rng.choice(examples))
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            mutate(event, values, rng)
        events.append(event)
    text = "".join(json.dumps(event, ensure_ascii=rng.random() < 0.5) + "\n" for event in events)
    run = subprocess.run([judge], input=text.encode(), capture_output=True, check=True)
    answers = run.stdout.decode().split("\n")[:-1]
    assert len(answers) == len(events), (len(answers), len(events))
    accepted = only_stated = 0
    for event, answer in zip(events, answers):
        verdict, _, rest = answer.partition("\t")
        field = rest.partition("\t")[0]
        wrong = refusals(validator, event)
        extra, maybe = stated(event, times)
        fair = field in (wrong | extra | maybe) if verdict == "no" else not wrong and not extra
        if not fair:
            sys.exit(f"they disagree on\n{json.dumps(event, ensure_ascii=False)}\nreader: {answer}\n"
                     f"schema refuses: {sorted(wrong)}\nstated differences: {sorted(extra | maybe)}")
        accepted += verdict == "ok"
        only_stated += verdict == "no" and not wrong
    print(f"{len(events)} events: {accepted} accepted by both, {len(events) - accepted} refused, "
          f"{only_stated} of them by a stated difference alone")
    if accepted < 1000 or len(events) - accepted < 1000 or only_stated < 50:
        sys.exit("the mutations are too one-sided to show anything")


if __name__ == "__main__":
    main()
