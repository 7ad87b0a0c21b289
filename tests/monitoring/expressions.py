"""Asks a Prometheus that reads HOSTS hosts for everything that dashboard and rules ask for. SPDX-License-Identifier: MIT

    expressions.py URL HOSTS
"""
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

url, hosts = sys.argv[1], int(sys.argv[2])
VARIABLES = {"$__rate_interval": "4s", "$instance": ".*", "$namespace": ".*"}
# With the traffic of tests/monitoring.sh these move; all others must answer, with 0 at least.
MOVING = {
    "Reads a second", "Hit ratio", "Answered by L1", "Oldest news from Redis", "Reads by tier and result", "Misses by reason", "Writes",
    "Loads", "Bytes stored", "Hits in L1", "Round trips to Redis", "Live bytes by namespace", "Entries by namespace", "What Redis said",
    "News from Redis is so old", "Hit ratio by namespace",
}


def ask(path, **parameters):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
        return json.load(answer)["data"]


def wait_until(what, condition):
    for _ in range(400):
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.05)
    sys.exit(f"this did not come true: {what}")


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panels(panel) if panel.get("panels") else ()


def filled(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"unknown variable: {expression}"
    return expression


def look(title, target):
    """What is wrong with what is answered, if anything."""
    try:
        found = ask("query", query=filled(target["expr"]))["result"]
    except urllib.error.HTTPError as error:
        return f"refused: {json.load(error)['error']}"
    if not found:
        return "no answer"
    for series in found:
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            if not series["metric"].get(label):
                return f"a series without the label {label} that the legend names: {series['metric']}"
    values = [float(series["value"][1]) for series in found]
    if title in MOVING and target["refId"] == "A" and not any(v > 0 and not math.isnan(v) for v in values):
        return f"nothing but {values}"
    return None


wait_until(f"{hosts} hosts are read", lambda: [t["health"] for t in ask("targets", state="active")["activeTargets"]] == ["up"] * hosts)
with open("docs/monitoring/dashboard.json") as file:
    dashboard = json.load(file)
targets = [(panel["title"], target) for panel in panels(dashboard) for target in panel.get("targets", ())]
assert len(targets) > 30 and MOVING <= {title for title, _ in targets}, "the dashboard has other panels than this script knows"

# Rates want some samples first.
wrong = []


def all_answered():
    wrong[:] = [f"{title}, {target['refId']}: {why}: {target['expr']}" for title, target in targets if (why := look(title, target))]
    return not wrong


for _ in range(40):
    if all_answered():
        break
    time.sleep(0.25)
for variable in dashboard["templating"]["list"]:
    if variable["type"] == "query":
        matched = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        series = ask("series", **{"match[]": filled(matched.group(1))})
        if not any(s.get(matched.group(2)) for s in series):
            wrong.append(f"variable {variable['name']}: nothing to choose from")

rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
assert len(rules) >= 12, rules
wait_until("all rules were evaluated", lambda: all(r["health"] != "unknown" for g in ask("rules")["groups"] for r in g["rules"]))
for rule in [rule for group in ask("rules")["groups"] for rule in group["rules"]]:
    if rule["health"] != "ok":
        wrong.append(f"rule {rule['name']}: {rule.get('lastError')}")
if wrong:
    sys.exit("\n".join(wrong))
print(f"monitoring: {len(targets)} expressions of the dashboard answered, {len(rules)} rules evaluated")
