#!/usr/bin/env bash
# Fails where a commit has no body, or is a merge: of those that came after this file. In a clone that has less history, of
# those that are there; outside of a repository there is nothing to check.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
    echo "no history here, so no commit to check"
    exit 0
fi
# Where the history is cut off, git has the oldest commit that is left add every file: what comes after that one is checked.
first=$(git log --diff-filter=A --format=%H -- scripts/check_commits.sh | tail -n 1)
if [ -z "$first" ]; then
    echo "this check is not committed yet, so no commit comes after it"
    exit 0
fi
wrong=0
while read -r commit parents; do
    name=$(git log -1 --format='%h %s' "$commit")
    if [[ $parents == *' '* ]]; then
        echo "$name: a merge commit; rebase instead" >&2
        wrong=1
    fi
    # Who signed it is no reason for it.
    if ! git log -1 --format=%b "$commit" | grep -vE '^[A-Za-z-]+-by: ' | grep -q '[^[:space:]]'; then
        echo "$name: no body, which says why" >&2
        wrong=1
    fi
done < <(git log --format='%H %P' "$first..HEAD")
exit "$wrong"
