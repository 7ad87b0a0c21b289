#!/usr/bin/env python3
"""Makes build/bench/report.html of what bench/run.sh measured, and prints the ratios.        SPDX-License-Identifier: MIT

    bench/report.py DIRECTORY      with l1.jsonl, l2.jsonl, load.jsonl, replay.jsonl, php.jsonl, python.jsonl; any may be missing

The page needs nothing but itself: figures as tables, plots as SVG. Every figure comes from these files.
"""

import html
import json
import math
import os
import platform
import sys
import time

OURS = "libcache"
COLORS = ["#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f", "#b08900", "#5f6b6d", "#a23b72", "#2e86ab"]


def read(directory, name):
    path = os.path.join(directory, name + ".jsonl")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


# ---- Text ---------------------------------------------------------------------------------------------------------------


def esc(text):
    return html.escape(str(text))


def short(value):
    """Three digits that mean something, with a unit of thousand."""
    if value is None:
        return "–"
    magnitude = abs(value)
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if magnitude >= limit:
            return f"{value / {' G': 1e9, ' M': 1e6, ' k': 1e3}[unit]:.3g}{unit}"
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.3g}"


def duration(ns):
    if ns is None:
        return "–"
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= limit * 0.9995:  # what would be shown as 1000 of the smaller unit is 1 of this
            return f"{ns / limit:.0f} {unit}" if ns >= 100 * limit else f"{ns / limit:.3g} {unit}"
    return f"{ns:.0f} ns" if ns >= 100 else f"{ns:.3g} ns"


def size(count):
    for limit, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:g} B"


def rate(a_second):
    return short(a_second) + "/s"


def table(head, rows, classes=""):
    cells = "".join(f"<th>{esc(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f'<table class="{classes}"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def figure(caption, svg):
    return f"<figure>{svg}<figcaption>{esc(caption)}</figcaption></figure>"


# ---- Plots ---------------------------------------------------------------------------------------------------------------


def color_of(name, names):
    if name == OURS:
        return COLORS[0]
    others = [n for n in names if n != OURS]
    return COLORS[1 + others.index(name) % (len(COLORS) - 1)]


def bars(rows, show, log=False):
    """rows: (name, value). Longer is more. show: value to text."""
    width, label, line = 640, 190, 26
    top = max(value for _, value in rows)
    least = min(value for _, value in rows)
    parts = []
    for i, (name, value) in enumerate(rows):
        if log:
            low = math.log10(least) - 0.3
            share = (math.log10(value) - low) / (math.log10(top) - low)
        else:
            share = value / top
        length = max(2.0, share * (width - label - 110))
        y = i * line
        ours = name.startswith(OURS)
        parts.append(
            f'<text x="{label - 8}" y="{y + 17}" text-anchor="end"{" class=ours" if ours else ""}>{esc(name)}</text>'
            f'<rect x="{label}" y="{y + 4}" width="{length:.1f}" height="18" rx="2" fill="{COLORS[0] if ours else "#9fb3ad"}"/>'
            f'<text x="{label + length + 6:.1f}" y="{y + 17}">{esc(show(value))}</text>'
        )
    height = len(rows) * line
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def ticks(low, high, log):
    if log:
        return [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    step = 10 ** math.floor(math.log10(high)) if high > 0 else 1
    while high / step < 4:
        step /= 2
    return [i * step for i in range(int(high / step) + 2)]


def lines(series, x_names, show, log_y=False, x_values=None, x_log=False):
    """series: {name: [y, ...]}, a y for each x; None where there is none. show: y to text."""
    width, height, left, bottom, right = 640, 290, 62, 24, 150
    every = [y for ys in series.values() for y in ys if y is not None and (not log_y or y > 0)]
    marks = ticks(min(every), max(every), log_y)
    low, high = marks[0], marks[-1]

    def place_y(y):
        share = (math.log10(y / low) / math.log10(high / low)) if log_y else (y - low) / (high - low)
        return 10 + (height - bottom - 10) * (1 - share)

    def place_x(i):
        if x_values is None:
            return left + (width - left - right) * i / max(1, len(x_names) - 1)
        a, b, x = x_values[0], x_values[-1], x_values[i]
        share = math.log(x / a) / math.log(b / a) if x_log else (x - a) / (b - a)
        return left + (width - left - right) * share

    parts = []
    for mark in marks:
        y = place_y(mark)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{esc(show(mark))}</text>')
    end = place_x(len(x_names) - 1)
    for i, name in enumerate(x_names):  # those that there is room for, the last in any case
        x = place_x(i)
        if i < len(x_names) - 1 and (end - x < 38 or i and x - shown < 38):
            continue
        shown = x
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{esc(name)}</text>')
    ends = []
    for name, ys in series.items():
        points = [(place_x(i), place_y(y)) for i, y in enumerate(ys) if y is not None and (not log_y or y > 0)]
        color = color_of(name, list(series))
        thick = 3 if name == OURS else 1.6
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{thick}"/>')
        parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{thick}" fill="{color}"/>' for x, y in points)
        ends.append([points[-1][1], name, color])
    ends.sort()
    for i in range(1, len(ends)):  # labels do not cover each other
        ends[i][0] = max(ends[i][0], ends[i - 1][0] + 15)
    over = max(0.0, ends[-1][0] - (height - bottom))
    for y, name, color in ends:
        weight = ' font-weight="700"' if name == OURS else ""
        parts.append(f'<text x="{width - right + 8}" y="{y - over + 4:.1f}" fill="{color}"{weight}>{esc(name)}</text>')
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


# ---- Sections -------------------------------------------------------------------------------------------------------------

summary = []  # (what, libcache, peer, peer's figure, ratio: over 1 means that libcache is better)


def add_summary(what, ours, peer, theirs, show, ratio):
    summary.append((what, show(ours), peer, show(theirs), ratio))


def describe_keys(r):
    return f"{short(r['keys'])} keys × {size(r['value_bytes'])}"


def section_speed(l1):
    parts = []
    cases = {}
    for r in l1:
        if r["bench"] in ("get", "mix95", "outside", "outside95"):
            cases.setdefault((r["bench"], r["keys"], r["value_bytes"], r["mix"], r["threads"]), []).append(r)
    for (bench, _, _, mix, threads), results in cases.items():
        ours = results[0]
        what = {"get": "gets", "mix95": "95 % gets, 5 % sets", "outside": "gets", "outside95": "95 % gets, 5 % sets"}[bench]
        title = f"{what}, {describe_keys(ours)}, {threads} thread{'s' if threads > 1 else ''}"
        rows = [(r["engine"], r["ops_per_s"]) for r in sorted(results, key=lambda r: -r["ops_per_s"]) if r["engine"] not in ("bare", "floor")]
        parts.append(figure(title + (" (logarithmic)" if "outside" in bench else ""), bars(rows, rate, "outside" in bench)))
        for r in results[1:]:
            if r["engine"] not in ("bare", "floor", "libcache-shared"):
                add_summary(title, ours["ops_per_s"], r["engine"], r["ops_per_s"], rate, ours["ops_per_s"] / r["ops_per_s"])
    return "".join(parts)


POINTS = ["p50_ns", "p90_ns", "p99_ns", "p99.9_ns", "p99.99_ns", "max_ns"]


def section_latency(l1):
    parts = []
    cases = {}
    for r in l1:
        if r["bench"] == "latency":
            cases.setdefault(r["mix"], []).append(r)
    for mix, results in cases.items():
        series = {r["engine"]: [r[p] for p in POINTS] for r in results}
        parts.append(figure(f"{mix}: two threads, {describe_keys(results[0])}",
                            lines(series, [p[:-3].replace("_", "") for p in POINTS], duration, log_y=True)))
        ours = next((r for r in results if r["engine"] == OURS), None)
        for r in results:
            if ours and not r["engine"].startswith(OURS):
                add_summary(f"p99.9, {mix}", ours["p99.9_ns"], r["engine"], r["p99.9_ns"], duration, r["p99.9_ns"] / max(1, ours["p99.9_ns"]))
    return "".join(parts)


def section_memory(l1):
    rows = []
    for r in l1:
        if r["bench"] == "memory":
            values = "mixed sizes" if r.get("mixed_sizes") else size(r["value_bytes"])
            rows.append((values, short(r.get("overhead_bytes_per_entry")), short(r.get("overhead_without_4_percent"))))
    return table(["values of", "bytes an entry, beyond key and value", "with the fixed 4 %"], rows) if rows else ""


def section_replay(replay):
    parts = []
    traces = {}
    for r in replay:
        traces.setdefault(r["trace"], []).append(r)
    for trace, results in traces.items():
        results.sort(key=lambda r: r["capacity_ratio"])
        series = {OURS: [r["miss_ratio"] for r in results]}
        for policy in ("lru", "sieve", "s3fifo", "wtinylfu"):
            if policy + "_miss_ratio" in results[0]:
                series[policy + " on paper"] = [r[policy + "_miss_ratio"] for r in results]
        ratios = [r["capacity_ratio"] for r in results]
        names = [f"{100 * x:g} %" for x in ratios]
        parts.append(figure(f"{trace}: miss ratio, by memory as a share of the footprint "
                            f"({short(results[0]['requests'])} requests, {short(results[0]['keys'])} keys)",
                            lines(series, names, short, x_values=ratios, x_log=True)))
    return "".join(parts)


def section_l2(l2):
    rows = []
    for r in l2:
        if r["bench"] == "target":
            continue
        rows.append((esc(r["bench"]), esc(r["operation"]), esc(r["engine"]), esc(r["socket"]), size(r["value_bytes"]) if r["value_bytes"] else "",
                     *(duration(None if r[p] is None else r[p] * 1e3) for p in ("p50_us", "p99_us", "max_us")),
                     f"{r['over_hiredis_p50']:.2f} ×" if r.get("over_hiredis_p50") else ""))
        if r.get("over_hiredis_p50"):
            add_summary(f"L2 {r['operation']}, {size(r['value_bytes'])}, {r['socket']}", r["p50_us"] * 1e3, "hiredis",
                        r["p50_us"] * 1e3 / r["over_hiredis_p50"], duration, 1 / r["over_hiredis_p50"])
    return table(["bench", "operation", "engine", "socket", "values", "p50", "p99", "max", "over hiredis"], rows, "dense") if rows else ""


def named_figures(r, without):
    """What a result says besides; a time in a unit that suits it, as the name says which it has."""
    shown = []
    for name, value in r.items():
        if name in without:
            continue
        stem, _, unit = name.rpartition("_")
        factor = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}.get(unit if stem else name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            text = str(value)
        elif name.endswith("_per_s"):
            stem, text = name[: -len("_per_s")], rate(value)
        elif factor:
            text = duration(value * factor)
        else:
            stem, text = name, short(value)
        shown.append(f"{esc((stem or 'time').replace('_', ' '))} {esc(text)}")
    return ", ".join(shown)


def section_load(load):
    rows = []
    for r in load:
        if "bench" in r:
            rows.append((esc(r["bench"]), esc(r["variant"]), named_figures(r, ("bench", "variant"))))
    return table(["bench", "variant", "figures"], rows, "dense") if rows else ""


def section_language(results):
    rows = []
    for r in results:
        rows.append((esc(r.get("bench", "")), esc(r.get("engine", "")), named_figures(r, ("bench", "engine"))))
    return table(["bench", "engine", "figures"], rows, "dense") if rows else ""


STYLE = """
:root { color-scheme: light; --ink: #1c2b27; --quiet: #5f6b6d; --line: #d8dedb; --paper: #fff; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0.2rem } h2 { margin-top: 2.4rem; border-bottom: 1px solid var(--line); padding-bottom: 0.2rem }
p.about { color: var(--quiet); margin-top: 0 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1.2rem 2rem; }
figure { margin: 0; max-width: 640px; break-inside: avoid } figcaption { color: var(--quiet); font-size: 0.85rem; margin-top: 0.3rem }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; fill: var(--ink) } svg .grid { stroke: var(--line) } svg .ours { font-weight: 700 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums } td, th { text-align: left; padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; border-bottom-width: 2px } table.dense { font-size: 0.82rem } .better { color: #0b6e4f; font-weight: 600 } .worse { color: #c8553d; font-weight: 600 }
@media print { body { margin: 0; max-width: none; font-size: 11px } h2 { break-after: avoid } tr { break-inside: avoid } .plots { grid-template-columns: 1fr 1fr } }
"""


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: bench/report.py DIRECTORY")
    directory = sys.argv[1]
    names = ("l1", "l2", "load", "replay", "php", "python")
    results = {name: read(directory, name) for name in names}
    if not any(results.values()):
        sys.exit(f"report.py: no results in {directory}")
    sections = [
        ("Speed in memory, beside other caches", f'<div class="plots">{section_speed(results["l1"])}</div>', results["l1"]),
        ("How long single operations take", f'<div class="plots">{section_latency(results["l1"])}</div>', results["l1"]),
        ("Memory", section_memory(results["l1"]), results["l1"]),
        ("Misses, by memory", f'<div class="plots">{section_replay(results["replay"])}</div>', results["replay"]),
        ("Redis tier", section_l2(results["l2"]), results["l2"]),
        ("Loads", section_load(results["load"]), results["load"]),
        ("PHP", section_language(results["php"]), results["php"]),
        ("Python", section_language(results["python"]), results["python"]),
    ]
    rows = [(esc(what), ours, esc(peer), theirs, f'<span class="{"better" if ratio >= 1 else "worse"}">{ratio:.2f} ×</span>')
            for what, ours, peer, theirs, ratio in summary]
    now = time.strftime("%Y-%m-%d %H:%M")
    about = f"{now}, {processor()}, {os.cpu_count()} processors, Linux {platform.release()}. Median of interleaved rounds; commands: bench/README.md."
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>libcache: benchmarks</title>"
             f"<style>{STYLE}</style><h1>libcache: benchmarks</h1><p class=about>{esc(about)}</p>"]
    for title, body, source in sections:
        if source and body:
            parts.append(f"<h2>{esc(title)}</h2>{body}")
    parts.append("<h2>All ratios</h2><p class=about>Over 1: libcache is better by that factor.</p>"
                 + table(["what", OURS, "peer", "the peer's", "ratio"], rows, "dense"))
    path = os.path.join(directory, "report.html")
    with open(path, "w", encoding="utf-8") as page:
        page.write("".join(parts))
    width = max((len(row[0]) for row in summary), default=0)
    print(f"\n{'':{width}}  {OURS:>12}  {'':18} {'':>12}  ratio (over 1: libcache is better)")
    for what, ours, peer, theirs, ratio in summary:
        print(f"{what:{width}}  {ours:>12}  {peer:18} {theirs:>12}  {ratio:.2f} x")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
