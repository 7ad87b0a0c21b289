"""Links of the documentation lead somewhere, as GitHub shows it and as `make docs` does (where doxygen is installed).

    tests/docs.py                                                                             SPDX-License-Identifier: MIT
"""
import glob
import html
import os
import re
import shutil
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
wrong = []


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def anchors(path):
    """What GitHub makes of headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text_of(path), flags=re.S | re.M), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def markdown():
    listed = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=False).stdout.split()
    pages = listed or glob.glob("**/*.md", recursive=True)
    count = 0
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text_of(page), flags=re.S | re.M)):
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            path, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(target):
                wrong.append(f"{page}: {link}: there is no {target}")
            elif anchor and target.endswith(".md") and anchor not in anchors(target):
                wrong.append(f"{page}: {link}: {target} has no such heading")
    return count


def pages():
    made = subprocess.run(["make", "--no-print-directory", "docs"], capture_output=True, text=True, check=False)
    # Other warnings depend on doxygen's version.
    wrong.extend(line for line in made.stderr.splitlines() if re.search("unable to resolve|without matching", line))
    if made.returncode:
        sys.exit(f"make docs: {made.stderr}")
    folder = os.path.dirname(made.stdout.split()[-1])
    text = {os.path.basename(path): text_of(path) for path in glob.glob(folder + "/*.html")}
    names = {name: set(re.findall(r'(?:id|name)="([^"]+)"', page)) for name, page in text.items()}
    for page in text:
        for link in map(html.unescape, re.findall(r'(?:href|src)="([^"]+)"', text[page])):
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            if path and not os.path.exists(os.path.join(folder, path)):
                wrong.append(f"{page}: {link}: there is no such page")
            elif anchor and anchor not in names.get(path or page, {anchor}):
                wrong.append(f"{page}: {link}: there is no such place")
    return len(text)


links = markdown()
if links < 50:
    wrong.append(f"only {links} links were found")
made = f"{pages()} pages made of it" if shutil.which("doxygen") else "no pages are made of it, doxygen is not installed"
if wrong:
    sys.exit("docs: " + "\ndocs: ".join(sorted(set(wrong))))
print(f"docs: {links} links; {made}")
