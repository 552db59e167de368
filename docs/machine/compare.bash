#!/bin/bash
# What tools that limit how much runs at one time do when something goes wrong: see docs/machine.md.
#
#   docs/machine/compare.bash [CLAIM...]      claims: versions kill daemon server order timeout negative namespace
#                                                     waiting apart jobserver
#   TOOLS='flock sem' docs/machine/compare.bash kill
#
# Needs bash 5, and whichever of these are to be looked at: flock, parallel (for sem), task-spooler (tsp), make, gatepost.
set -uo pipefail
dir=$(mktemp -d)
trap 'tsp -K 2>/dev/null; rm -rf "$dir"' EXIT
# shellcheck source=docs/machine/tools.bash
source "$(dirname "$0")/tools.bash"

versions() {
    flock --version
    sem --version | head -n 1
    tsp -V | head -n 1
    make --version | head -n 1
    gatepost --version
    uname -sr
}

# The wrapper is killed while its command runs. Does another one get in beside it? Does the permit come back?
kill_() {
    local tool=$1
    (under "$tool" 1 "$job" A 4) >/dev/null 2>&1 &
    local wrapper=$!
    logged 'begin A' || return
    kill -9 "$wrapper"
    wait "$wrapper" 2>/dev/null
    (under "$tool" 1 "$job" B 0.1) >/dev/null 2>&1 &
    logged 'end A' || { say kill "$tool" 'the command was killed, too' && return; }
    logged 'end B' 20 || { say kill "$tool" 'LOST: the next one never got in' && return; }
    if before 'begin B' 'end A'; then
        say kill "$tool" 'TWO AT ONCE: the next one got in while the first command still ran'
    else
        say kill "$tool" 'held until the command had ended, then given on'
    fi
    wait
}

# The process that the first client of this socket has started, which serves the others.
server_of_tsp() {
    local stat pid
    for stat in /proc/[0-9]*/stat; do
        pid=${stat#/proc/} pid=${pid%/stat}
        if grep -qz "^TS_SOCKET=$TS_SOCKET" "/proc/$pid/environ" 2>/dev/null && [[ $(<"/proc/$pid/comm") == tsp ]]; then
            # It has left its parent.
            [[ $(awk '{ print $4 }' "$stat") != 1 ]] || echo "$pid"
        fi
    done | head -n 1
}

# The same with the server of the one that has one.
server() {
    [[ $1 == tsp ]] || return 0
    local server
    (under tsp 1 "$job" A 6) >/dev/null 2>&1 &
    logged 'begin A' || return
    (under tsp 1 "$job" C 0.1) >/dev/null 2>&1 &
    sleep 0.5
    server=$(server_of_tsp)
    [[ -n $server ]] || { say server tsp 'its server was not found' && return; }
    kill -9 "$server"
    sleep 0.5
    (under tsp 1 "$job" B 0.1) >/dev/null 2>&1 &
    if logged 'end B' 3; then
        say server tsp 'TWO AT ONCE: a new server knows nothing of what the old one had started'
    else
        say server tsp 'nothing more is started while the first command runs'
    fi
    logged 'end A'
    logged 'end C' 3 || say server tsp 'LOST: what was queued at the old server never ran'
    wait
}

# The command ends and leaves something running in the background, as a compiler's server is.
daemon() {
    local tool=$1
    cat >"$dir/daemon" <<'COMMAND'
#!/bin/bash
sleep 4 >/dev/null 2>&1 </dev/null &
echo "$EPOCHREALTIME end command" >>"$LOG"
COMMAND
    chmod +x "$dir/daemon"
    (under "$tool" 1 "$dir/daemon") >/dev/null 2>&1 &
    logged 'end command' || return
    (under "$tool" 1 "$job" B 0) >/dev/null 2>&1 &
    if logged 'begin B' 2; then
        say daemon "$tool" 'given on when the command had ended'
    else
        say daemon "$tool" 'held on by what the command had left behind'
    fi
    wait
}

# Six ask one after the other, while a first one holds. In which order do they get in?
order() {
    local tool=$1 n
    (under "$tool" 1 "$job" A 4) >/dev/null 2>&1 &
    logged 'begin A' || return
    for n in 1 2 3 4 5 6; do
        (under "$tool" 1 "$job" "$n" 0.05) >/dev/null 2>&1 &
        sleep 0.5
    done
    wait
    say order "$tool" "$(awk '$2 == "begin" && $3 != "A" { printf "%s ", $3 }' "$LOG")"
}

# The time to wait is over while another one holds.
timeout_() {
    local tool=$1 status
    (under "$tool" 1 "$job" A 3) >/dev/null 2>&1 &
    logged 'begin A' || return
    case $tool in
    flock) flock -w 1 "$dir/lock" "$job" B 0 ;;
    sem) sem --fg --id shared --jobs 1 --semaphoretimeout 1 "$job" B 0 ;;
    gatepost) gatepost run --sem shared --timeout 1s -- "$job" B 0 ;;
    *) say timeout "$tool" 'has none for the wait' && wait && return ;;
    esac >/dev/null 2>&1
    status=$?
    if logged 'begin B' 0; then
        say timeout "$tool" "TWO AT ONCE: the command is started all the same (exit status $status)"
    else
        say timeout "$tool" "not started, exit status $status"
    fi
    wait
}

# What `sem` does with a negative time.
negative() {
    [[ $1 == sem ]] || return 0
    local status
    (under sem 1 "$job" A 4) >/dev/null 2>&1 &
    logged 'begin A' || return
    sem --fg --id shared --jobs 1 --semaphoretimeout -1 "$job" B 0 >/dev/null 2>&1
    status=$?
    if logged 'begin B' 0; then
        say negative sem "started all the same, exit status $status"
    else
        say negative sem "not started, exit status $status"
    fi
    wait
}

# Another one asks from a PID namespace of its own, with the same folder: as in a container that mounts it.
namespace() {
    local tool=$1
    [[ $tool != flock-o ]] || return 0
    (under "$tool" 1 "$job" A 4) >/dev/null 2>&1 &
    logged 'begin A' || return
    export -f under
    export dir job
    unshare --user --map-root-user --pid --fork --mount-proc bash -c "(under $tool 1 $job B 0.1); true" >/dev/null 2>&1 &
    logged 'end B' 20 || { say namespace "$tool" 'the one in the namespace never got in' && wait && return; }
    logged 'end A'
    if before 'begin B' 'end A'; then
        say namespace "$tool" 'TWO AT ONCE: it takes the holder for dead'
    else
        say namespace "$tool" 'one at a time, across the namespaces'
    fi
    wait
}

# What waiting costs, and how long after the end of one the next begins.
waiting() {
    local tool=$1 round cpu late
    (under "$tool" 1 "$job" A 7) >/dev/null 2>&1 &
    logged 'begin A' || return
    (under "$tool" 1 "$job" B 0) >/dev/null 2>&1 &
    local waiter=$!
    sleep 1
    # User and system time in ticks of 10 ms, of the process and of its children that have ended.
    ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 + $14 + $15 }' "/proc/$waiter/stat"; }
    local first
    first=$(ticks)
    sleep 5
    cpu=$((($(ticks) - first) * 2))
    wait
    late=$(for round in 1 2 3 4 5; do
        : >"$LOG"
        (under "$tool" 1 "$job" A "2.$round") >/dev/null 2>&1 &
        logged 'begin A' || break
        (under "$tool" 1 "$job" B 0) >/dev/null 2>&1 &
        wait
        awk -v a="$(moment 'end A')" -v b="$(moment 'begin B')" 'BEGIN { printf "%.0f\n", (b - a) * 1000 }'
    done | sort -n | sed -n 3p)
    say waiting "$tool" "$cpu ms of processor for each second; the next begins $late ms after the end of the last (median of 5)"
}

# Two callers who do not know each other, each with a limit of 1.
apart() {
    [[ $1 == parallel || $1 == make ]] || return 0
    for name in A B; do
        case $1 in
        parallel) (exec parallel -j 1 "$job" ::: $name ::: 2) ;;
        make) (printf '%s:\n\t%s %s 2\n' $name "$job" $name | exec make -s -j 1 -f - $name) ;;
        esac >/dev/null 2>&1 &
    done
    wait
    if before 'begin A' 'end B' && before 'begin B' 'end A'; then
        say apart "$1" 'TWO AT ONCE: each caller has a limit of its own'
    else
        say apart "$1" 'one at a time'
    fi
}

# A client of make's jobserver takes a token and is killed.
jobserver() {
    cat >"$dir/client" <<'CLIENT'
#!/bin/bash
[[ $MAKEFLAGS =~ --jobserver-(auth|fds)=([0-9]+),([0-9]+) ]] || { echo "no jobserver in $MAKEFLAGS" && exit 1; }
read -r -N 1 -u "${BASH_REMATCH[2]}" token
kill -9 $$
CLIENT
    chmod +x "$dir/client"
    printf 'all: one two\none:\n\t-+@%s\ntwo: one\n\t-+@%s\n' "$dir/client" "$dir/client" >"$dir/Makefile"
    say jobserver make "$(make -j 4 -f "$dir/Makefile" 2>&1 | grep -o 'INTERNAL.*' || echo 'all tokens came back')"
}

claims=("$@")
[[ ${#claims[@]} -gt 0 ]] || claims=(versions kill daemon server order timeout negative namespace waiting apart jobserver)
for claim in "${claims[@]}"; do
    case $claim in
    versions) versions 2>/dev/null && continue ;;
    jobserver) jobserver && continue ;;
    apart) for tool in parallel make; do fresh "$tool" && apart "$tool"; done && continue ;;
    kill) claim=kill_ ;;
    timeout) claim=timeout_ ;;
    esac
    for tool in $TOOLS; do
        have "$tool" || continue
        fresh "$tool"
        "$claim" "$tool"
    done
done
