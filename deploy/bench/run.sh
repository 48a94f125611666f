#!/usr/bin/env bash
# `make bench`: builds the server, runs every mode of `parley bench` against it on
# loopback, side by side with mosquitto where that is installed, and prints a
# Markdown table of medians. Under ten minutes. Each run has a server and a store
# of its own; the rounds go over all runs, so that a slow minute of the machine
# does not hit one of them alone.
#
#   ROUNDS=3          how often everything runs
#   SECONDS_EACH=5    measured time of a run
#   IDLE=20000        idle connections, fewer where the limit of open files says so
#   ONLY=regex        only runs whose label matches
#   KEEP=DIR          keep the reports (JSON) there
#   BUDGET=540        seconds after which no further run starts
set -euo pipefail

cd "$(dirname "$0")/../.."
ROUNDS=${ROUNDS:-3}
SECONDS_EACH=${SECONDS_EACH:-5}
IDLE=${IDLE:-20000}
ONLY=${ONLY:-.}
BUDGET=${BUDGET:-540}

work=$(mktemp -d)
reports=${KEEP:-$work/reports}
mkdir -p "$reports"
server=
stop() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  fi
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Server and generator may open as many files as this shell.
ulimit -n "$(ulimit -Hn)"
files=$(ulimit -n)
if [ "$files" != unlimited ] && [ "$IDLE" -gt $((files - 500)) ]; then
  IDLE=$((files - 500))
fi

port=$((20000 + RANDOM % 10000)) # below the ports that clients get
http=$port mqtt=$((port + 1)) raw=$((port + 2))
export PARLEY_JWT_SECRET=bench-only-secret-of-thirty-two-bytes

echo "building" >&2
go build -o "$work/parley" ./cmd/parley

await() { # PORT
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "nothing listens on port $1:" >&2
  tail -5 "$work/log" >&2
  exit 1
}

start_parley() {
  rm -rf "$work/store"
  "$work/parley" serve --listen "127.0.0.1:$http" --mqtt-listen "127.0.0.1:$mqtt" --store "pebble:$work/store" \
    --rate-send 0 --rate-read 0 --rate-strangers 0 --drain-delay 0s >"$work/log" 2>&1 &
  server=$!
  await "$http"
}

# No limits that would make it drop messages: it has to deliver them all, as Parley does.
start_mosquitto() {
  cat >"$work/mosquitto.conf" <<CONF
listener $raw 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
log_type error
CONF
  "$mosquitto" -c "$work/mosquitto.conf" >"$work/log" 2>&1 &
  server=$!
  await "$raw"
}

failures=0 skipped=0
# run WHAT WHOM MODE [FLAG...]: one run, against a server of its own.
run() {
  local what=$1 whom=$2 mode=$3
  shift 3
  local label="$what/$whom"
  if ! [[ $label =~ $ONLY ]]; then return; fi
  if [ "$SECONDS" -gt "$BUDGET" ]; then # bash counts them
    skipped=$((skipped + 1))
    return
  fi
  local args=("$mode" --label "$label" --json "$@")
  if [ "$whom" = mosquitto ]; then
    start_mosquitto
    args+=(--broker "mqtt://127.0.0.1:$raw" --pid "$server")
  else
    start_parley
    args+=(--url "http://127.0.0.1:$http" --mqtt "127.0.0.1:$mqtt")
    # The same clock for both where they are compared; only /metrics knows of heap and stacks.
    if [ "$mode" != idle ]; then args+=(--pid "$server"); fi
  fi
  echo "round $round: $label" >&2
  number=$((number + 1))
  local file
  file=$(printf '%s/%03d.json' "$reports" "$number")
  if ! "$work/parley" bench "${args[@]}" >"$file"; then
    failures=$((failures + 1))
    if ! [ -s "$file" ]; then rm "$file"; fi
  fi
  stop
}

mosquitto=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v mosquitto || true)
sides=(parley)
if [ -n "$mosquitto" ]; then sides=(mosquitto parley); fi
timed=(--warmup 1s --duration "${SECONDS_EACH}s")
group=(--receivers 250 --payload 300 --protocol mqtt-tcp "${timed[@]}")

number=0
for round in $(seq "$ROUNDS"); do
  for whom in "${sides[@]}"; do
    run "fan-out to 250, saturated" "$whom" fanout "${group[@]}" --senders 128 --rate 0
  done
  run "fan-out to 250, saturated" "parley, sent by MQTT" fanout "${group[@]}" --senders 128 --rate 0 --via mqtt
  for whom in "${sides[@]}"; do
    run "fan-out to 250, 50 messages a second" "$whom" fanout "${group[@]}" --senders 4 --rate 50
  done
  for via in rest mqtt; do
    run "64 pairs, saturated, sent by ${via^^}" parley pairs --pairs 64 --rate 0 --via "$via" "${timed[@]}"
    run "1,000 pairs, 1,000 messages a second, sent by ${via^^}" parley pairs --pairs 1000 --rate 1000 --via "$via" "${timed[@]}"
  done
  for via in rest mqtt; do
    run "64 clients send, saturated, by ${via^^}" parley sends --pairs 64 --via "$via" "${timed[@]}"
  done
  run "250 people read 1 message a second" parley receipts --receivers 250 --rate 1 "${timed[@]}"
  run "catch-up of 1 device, 10,000 messages in 100 threads" parley catchup --devices 1 --messages 10000 --threads 100
  run "catch-up of 5,000 devices, 100 messages each" parley catchup --devices 5000 --messages 100 --threads 10
  for protocol in json mqtt-ws mqtt-tcp; do
    run "$IDLE idle connections, $protocol" parley idle --connections "$IDLE" --protocol "$protocol" --settle 3s --duration 2s
  done
done

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -1)
memory=$(awk '/^MemTotal/ {printf "%.0f GB", $2 / 1e6}' /proc/meminfo 2>/dev/null || true)
echo
echo "$(date -u +%F), $(getconf _NPROCESSORS_ONLN) × ${cpu:-unknown CPU}, ${memory:-unknown memory}, $(uname -sr), generator on the same machine."
echo "$("$work/parley" version)${mosquitto:+; $("$mosquitto" -h | head -1)}. Medians of $ROUNDS rounds, $SECONDS_EACH s each; in brackets the ratio to mosquitto."
echo
"$work/parley" bench table "$reports"/*.json
if [ "$skipped" -gt 0 ]; then
  echo
  echo "$skipped runs of the last rounds were left out for lack of time: those medians are of fewer rounds."
fi
if [ "$failures" -gt 0 ]; then
  echo "$failures runs failed, see above" >&2
  exit 1
fi
