//! What stands after the options in the help of the commands that look.

/// `gatepost list`.
pub(crate) const LIST: &str = "\
A semaphore that cannot be read is a line with its error, and not the end of
the list.

Examples:
  gatepost list
  gatepost list --json | jq -r 'select(.used == .limit) | .name'
  gatepost list --dir /run/gatepost";

/// `gatepost status`.
pub(crate) const STATUS: &str = "\
Permits are named NAME:NUMBER, which is what `gatepost revoke` and `gatepost
release` take. The sentence above the queue says why its head is not served.

Examples:
  gatepost status build
  gatepost status ./ci.gate
  gatepost status build --json | jq '.holders[] | {label, held_ns}'

Exit status: 0, or as that of `gatepost run`.";

/// `gatepost events`.
pub(crate) const EVENTS: &str = "\
Ordinary acquires and releases are no events; `status` counts them.

Examples:
  gatepost events build
  gatepost events build --follow --json
  gatepost events build --since 120";

/// `gatepost top`.
pub(crate) const TOP: &str = "\
Keys:
  up, down   choose a semaphore
  r          resize: a new limit for everybody, 0 drains
  p          pause, and resume
  x          revoke: choose a holder, and confirm
  ?          all keys
  q          quit

It draws when something changes, and every second. It looks without taking
part; only r, p and x open the semaphore, for as long as that takes. With
NO_COLOR set it uses no colours.

Examples:
  gatepost top
  gatepost top --dir /run/gatepost";

/// `gatepost serve`.
pub(crate) const SERVE: &str = "\
There is no authentication and no encryption: whoever reaches ADDR reads names,
commands and process numbers. Nothing can be changed by it. The default is
reached from this machine alone; put a proxy that knows its users in front of
it for others.

Paths:
  /            the page: gauges, holders, queues, events, live
  /metrics     the text format of Prometheus
  /api/status  what `gatepost list --json` prints

Examples:
  gatepost serve
  gatepost serve :9191
  gatepost serve 0.0.0.0:9190 --host build-box.lan
  curl -s localhost:9190/metrics";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_80_columns() {
        for line in [LIST, STATUS, EVENTS, TOP, SERVE].iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 79, "too long: {line}");
        }
    }
}
