#!/bin/bash
# Runs every block of commands in docs/machine.md's recipes as it stands there, in a folder of its own, with stand-ins for what a
# machine may not have. Fails at the first that fails.
set -euo pipefail
page=$(dirname "$(realpath "$0")")/../machine.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME=$dir/home GATEPOST_DIR=$dir/gatepost
mkdir -p "$HOME" "$GATEPOST_DIR" "$dir/bin" "$dir/work"
chmod 700 "$GATEPOST_DIR"

# A stand-in says what it was given.
for name in bin/cargo bin/npx bin/python3 work/backup work/deploy; do
    cat >"$dir/$name" <<'STAND_IN'
#!/bin/sh
echo "  ran: ${0##*/} $* (slots ${GATEPOST_SLOTS-none}, GPUs ${CUDA_VISIBLE_DEVICES-none})"
STAND_IN
    chmod +x "$dir/$name"
done
export PATH=$dir/bin:$PATH
cd "$dir/work"

# Blocks of that language, each ended by a line of its own.
blocks() { awk -v language="$1" '$0 == "```" language { on = 1; next } on && $0 == "```" { on = 0; print "\001" } on' "$page"; }

count=0
while IFS= read -r -d $'\001' block; do
    [[ -n ${block//[$' \n']/} ]] || continue
    printf '%s\n' "$block"
    bash -euc "$block"
    count=$((count + 1))
done < <(blocks sh)
while IFS= read -r -d $'\001' line; do
    line=${line##$'\n'}
    [[ -n ${line//[$' \n']/} ]] || continue
    printf '%s\n' "$line"
    # What cron runs comes after the five fields of the time.
    read -r _ _ _ _ _ command <<<"$line"
    sh -c "$command"
    count=$((count + 1))
done < <(blocks crontab)

# All of it has come back.
for file in "$GATEPOST_DIR"/*.gate; do
    name=${file##*/}
    gatepost wait --idle --timeout 10s "${name%.gate}"
done
echo "$count blocks ran, and no permit is out"
