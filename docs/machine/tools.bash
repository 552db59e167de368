# How each tool runs a command under one limit that all its callers share. To be sourced: it wants $dir, a folder of its own.
#
#   under TOOL LIMIT COMMAND...     runs COMMAND when there is room, in the foreground, and becomes that tool's process

export GATEPOST_DIR="$dir/gatepost" TS_SOCKET="$dir/tsp.socket" PARALLEL_HOME="$dir/parallel" HOME="$dir/home"
export LOG="$dir/log"
mkdir -p "$GATEPOST_DIR" "$PARALLEL_HOME" "$HOME"
chmod 700 "$GATEPOST_DIR"
: >"$LOG"

TOOLS=${TOOLS:-flock flock-o sem tsp gatepost}

under() {
    local tool=$1 limit=$2
    shift 2
    case $tool in
    flock) exec flock "$dir/lock" "$@" ;;                # limit 1 only
    flock-o) exec flock -o "$dir/lock" "$@" ;;           # the command does not inherit the lock
    sem) exec sem --fg --id shared --jobs "$limit" "$@" ;;
    tsp)
        tsp -S "$limit"
        exec tsp -n -f "$@"
        ;;
    gatepost) exec gatepost run --sem shared --limit "$limit" -- "$@" ;;
    *) echo "no tool $tool" >&2 && exit 2 ;;
    esac
}

# What is run: `job NAME SECONDS` writes into the log when it begins and when it ends.
cat >"$dir/job" <<'JOB'
#!/bin/bash
echo "$EPOCHREALTIME begin $1" >>"$LOG"
sleep "$2"
echo "$EPOCHREALTIME end $1" >>"$LOG"
JOB
chmod +x "$dir/job"
job=$dir/job

# Waits until the log has a line with these words, for at most so many seconds (10).
logged() {
    local deadline=$((SECONDS + ${2:-10}))
    until grep -q " $1\$" "$LOG"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.02
    done
}

moment() { awk -v words="$1" '{ if ($2 " " $3 == words) print $1 }' "$LOG"; }

# Whether the first moment is before the second, both of which must be in the log.
before() { awk -v a="$(moment "$1")" -v b="$(moment "$2")" 'BEGIN { exit !(a < b) }'; }

say() { printf '%-12s %-10s %s\n' "$@"; }

have() {
    case $1 in
    flock*) command -v flock ;;
    *) command -v "$1" ;;
    esac >/dev/null
}

# A clean state between tools.
fresh() {
    : >"$LOG"
    [[ $1 != tsp ]] || tsp -K 2>/dev/null || true
    rm -rf "$dir/lock" "$HOME/.parallel" "$PARALLEL_HOME/semaphores" "${GATEPOST_DIR:?}"/*
}
