"""Report: results as Markdown. Pure: from what `sections` measured, and the machine's facts, to text.

Each cell is the median of the runs and their range. Ratios are to the first server. Where Aspine's median is worse
than another server's the row says so, and whether their ranges overlap.
"""

import statistics

OURS = "aspine"
# Medians that are nearer to each other than this are the same.
SAME = 0.01


def render(results):
    """The whole report."""
    facts, kinds = results["facts"], results["servers"]
    lines = ["# Aspine beside its peers", ""]
    if any(section.get("quick") for section in results["sections"].values()):
        lines += ["**Sections marked quick come from `--quick`: fewer rows, fewer and shorter runs. For numbers to quote "
                  "run without it.**", ""]
    lines += [f"- {name}: {fact}" for name, fact in facts.items()] + [""]
    lines += ["| server | version | command line |", "|---|---|---|"]
    lines += [f"| {kind['name']} | {escape(kind['version'])} | `{escape(kind['command'])}` |" for kind in kinds]
    lines += ["", f"Every cell is the median of the runs, with their range; servers take turns, run by run. Ratios are to "
              f"{kinds[0]['name']}. A row that Aspine loses by more than 1 % says so.", ""]
    lines += summary(results)
    for section in results["sections"].values():
        lines += render_section(section, [kind["name"] for kind in kinds])
    return "\n".join(lines) + "\n"


def summary(results):
    """How many rows there are, and which of them Aspine loses."""
    names = [kind["name"] for kind in results["servers"]]
    rows = [(section["title"], table, row) for section in results["sections"].values()
            for table in section["tables"] for row in table["rows"]]
    judged = [(title, table, row) for title, table, row in rows if comparable(row, names)]
    lost = [(title, table, row, verdict) for title, table, row in judged if (verdict := loses(table, row, names))]
    lines = [f"Rows: {len(rows)}, of which Aspine and others have a number in {len(judged)}; it loses {len(lost)}:", ""]
    lines += [f"- {title}, {table['title'].lower()}: {row['name']}: {verdict}" for title, table, row, verdict in lost]
    return lines + [""]


def comparable(row, names):
    others = [name for name in names if name != OURS]
    return runs(row, OURS) and any(runs(row, name) for name in others)


def render_section(section, names):
    quick = " (quick)" if section.get("quick") else ""
    lines = [f"## {section['title']}{quick}", "", section["note"]]
    # What makes the longest latencies of a virtual machine longer than a server can help.
    stolen = f"; the host kept {section['stolen']:.1f} % of the CPU time" if section.get("stolen") else ""
    lines += [f"{section['repeats']} runs each; took {section['took_s']:.0f} s, {section['finished']}{stolen}.", ""]
    for table in section["tables"]:
        lines += render_table(table, names) + [""]
    for plot in section.get("plots", []):
        lines += [plot["title"] + ":", "", f"![{plot['title']}]({plot['file']})", ""]
    return lines


def render_table(table, names, ranges=True):
    unit = f", {table['unit']}" if table["unit"] else ""
    ratios = [name for name in names[1:]]
    has_aims = any("aim" in row for row in table["rows"])
    head = [f"{table['title']}{unit}", *names, *(f"{name} / {names[0]}" for name in ratios)]
    head += ["aim"] if has_aims else []
    lines = ["| " + " | ".join([*head, ""]) + " |", "|---" * (len(head) + 1) + "|"]
    for row in table["rows"]:
        cells = [row["name"]] + [cell_text(table, row, name, ranges) for name in names]
        cells += [ratio_text(row, name, names[0]) for name in ratios]
        cells += [aim_text(table, row)] if has_aims else []
        lines.append("| " + " | ".join([*cells, loses(table, row, names)]) + " |")
    return lines


def setting(table, row, name):
    """Of the row, or else of its table."""
    return row.get(name) or table[name]


def runs(row, name):
    return row["cells"].get(name, {}).get("runs") or []


def cell_text(table, row, name, ranges):
    values = runs(row, name)
    if not values:
        return row["cells"].get(name, {}).get("why", "not measured")
    digits = row["digits"] if "digits" in row else table["digits"]
    unit = f" {row['unit']}" if "unit" in row else ""
    text = number(statistics.median(values), digits) + unit
    if ranges and len(values) > 1:
        text += f" [{number(min(values), digits)}-{number(max(values), digits)}]"
    return text


def number(value, digits):
    return f"{value:,.{digits}f}".replace(",", " ")


def ratio_text(row, name, base):
    ours, theirs = runs(row, name), runs(row, base)
    if not ours or not theirs or statistics.median(theirs) <= 0:
        return ""
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"


def aim_text(table, row):
    if "aim" not in row:
        return ""
    less = setting(table, row, "better") == "less"
    text = f"{'≤' if less else '≥'} {number(row['aim'], 0 if row['aim'] >= 10 else 1)}"
    ours = runs(row, OURS)
    if not ours:
        return text
    median = statistics.median(ours)
    return text if (median <= row["aim"] if less else median >= row["aim"]) else f"{text}, missed"


def loses(table, row, names):
    """Which servers Aspine is worse than, by its median and by more than a hundredth, or nothing."""
    ours = runs(row, OURS)
    if not ours:
        return ""
    less = setting(table, row, "better") == "less"
    worse = []
    for name in names:
        theirs = runs(row, name)
        if name == OURS or not theirs:
            continue
        median, other = statistics.median(ours), statistics.median(theirs)
        if median > other * (1 + SAME) if less else median < other * (1 - SAME):
            overlap = min(ours) <= max(theirs) and min(theirs) <= max(ours)
            worse.append(f"{name} (ranges overlap)" if overlap else name)
    return f"loses to {', '.join(worse)}" if worse else ""


def escape(text):
    return text.replace("|", "\\|")


def page(results, picture_folder):
    """The report for docs/performance.md: medians and ratios without ranges, and its pictures."""
    names = [kind["name"] for kind in results["servers"]]
    sections = [section for section in results["sections"].values() if not section.get("quick")]
    facts = results["facts"]
    repeats = sorted({section["repeats"] for section in sections})
    others = ", ".join(kind["version"] for kind in results["servers"] if kind["name"] != OURS)
    lines = [f"Medians of {' or '.join(map(str, repeats))} runs in turn on {facts['processor']}, {facts['memory']}, "
             f"{facts['system']}; {others}.", ""]
    for section in sections:
        lines += [f"### {section['title']}", "", section["note"], ""]
        for table in (table for table in section["tables"] if not table.get("detail")):
            lines += render_table(table, names, ranges=False) + [""]
        for plot in section.get("plots", []):
            lines += [f"![{plot['title']}]({picture_folder}/{plot['file'].split('/')[-1]})", ""]
    return "\n".join(lines)
