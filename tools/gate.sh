#!/usr/bin/env bash
# The steps of action.yml: `gate.sh install` makes an environment with the light core, `gate.sh audit` audits the change.
#
# The work tree around it is a stranger's: Python runs isolated (-I), so that no module, setting or environment variable of
# the checkout is ever imported or obeyed, and every option comes as a variable, never as text of a command. Nothing of the
# change is executed: its files are read as git objects.
set -euo pipefail

venv="${RUNNER_TEMP:?the folder for temporary files}/pgolf-venv"

install() {
    local action
    action="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
    python3 -I -m venv "$venv"
    "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check "$action"
}

audit() {
    local reports base sarif status=0
    reports="$(mktemp -d "$RUNNER_TEMP/pgolf-reports.XXXXXX")"
    sarif="${PGOLF_SARIF_FILE:-$reports/pgolf.sarif}"
    base="${PGOLF_BASE:-${GITHUB_BASE_REF:+origin/$GITHUB_BASE_REF}}"
    if [[ -z "$base" ]]; then
        echo "::error title=pgolf::this event has no base branch: set the input 'base'"
        finish 2 error ""
    fi
    cd "${PGOLF_PATH:-.}"
    "$venv/bin/python" -I -m cli audit --base="$base" --ruleset="${PGOLF_RULESET:-practice}" \
        --fail-on="${PGOLF_FAIL_ON:-violation}" ${PGOLF_WAIVERS:+"--waivers=$PGOLF_WAIVERS"} \
        ${PGOLF_BASELINE:+"--baseline=$PGOLF_BASELINE"} ${PGOLF_IGNORE:+"--ignore=$PGOLF_IGNORE"} --format=github \
        --also="json=$reports/reports.json" --also="sarif=$sarif" --also="markdown=$reports/summary.md" \
        2> "$reports/errors.txt" || status=$?
    cat "$reports/errors.txt" >&2
    if [[ ! -s "$reports/summary.md" ]]; then
        echo "::error title=pgolf::$(tail -n 1 "$reports/errors.txt")"
        { echo "pgolf could not audit the change:" && echo && sed 's/^/    /' "$reports/errors.txt"; } >> "$GITHUB_STEP_SUMMARY"
        finish "$status" error ""
    fi
    head -c 1000000 "$reports/summary.md" >> "$GITHUB_STEP_SUMMARY" # a host refuses a longer summary as a whole
    finish "$status" "$(worst_verdict "$reports/reports.json")" "$sarif"
}

# The worst verdict among the reports; `none` where the change holds no submission.
worst_verdict() {
    "$venv/bin/python" -I -c '
import json, sys
found = [report["verdict"] for report in json.load(open(sys.argv[1], encoding="utf-8"))["reports"]]
print(next((verdict for verdict in ("error", "violation", "review", "clean") if verdict in found), "none"))
' "$1"
}

# Set the outputs and leave with the audit's status.
finish() {
    printf 'exit-code=%s\nverdict=%s\nsarif=%s\n' "$1" "$2" "$3" >> "$GITHUB_OUTPUT"
    exit "$1"
}

case "${1:-}" in
    install | audit) "$1" ;;
    *) echo "usage: gate.sh install|audit" >&2 && exit 2 ;;
esac
