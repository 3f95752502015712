#!/usr/bin/env bash
# Serve the teacher while a command runs: scripts/with_teacher.sh NAME PORT COMMAND [ARGUMENT ...]
# The command starts once the teacher is ready; the wait is at most TEACHER_WAIT seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 3 ]; then
    echo "error: usage: scripts/with_teacher.sh NAME PORT COMMAND [ARGUMENT ...]" >&2
    exit 2
fi
name=$1 port=$2
shift 2
TEACHER_WAIT=${TEACHER_WAIT:-180} # seconds the teacher may take to load
if ! [[ $TEACHER_WAIT =~ ^[1-9][0-9]{0,5}$ ]]; then
    echo "error: TEACHER_WAIT is '$TEACHER_WAIT', wanted whole seconds from 1 to 999999" >&2
    exit 2
fi
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65535 ]; then
    echo "error: the port is '$port', wanted a number from 1 to 65535" >&2
    exit 2
fi
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

# Another server on this port would look ready before ours fails to bind it.
if (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
    echo "error: port $port is taken by another server; stop it or choose another port" >&2
    exit 2
fi
bash scripts/unirec_serve.sh "$name" "$port" 1 &
server=$!
trap 'kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true' EXIT

# Ignore the proxies of the environment: both processes are on this machine.
healthy() {
    "$PYTHON" -c 'import sys, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=2)' \
        "http://127.0.0.1:$port/health/ready" 2> /dev/null
}
SECONDS=0
report_at=10
until healthy; do
    if ! kill -0 "$server" 2> /dev/null; then
        echo "error: the teacher of $name did not start on port $port" >&2
        exit 2
    fi
    if [ "$SECONDS" -ge "$TEACHER_WAIT" ]; then
        echo "error: the teacher of $name is not ready on port $port after $SECONDS s; a longer wait: TEACHER_WAIT=600" >&2
        exit 2
    fi
    if [ "$SECONDS" -ge "$report_at" ]; then
        echo "waiting for the teacher of $name on port $port ($SECONDS of at most $TEACHER_WAIT s)" >&2
        report_at=$((report_at + 10))
    fi
    read -rt 0.3 <> <(:) || true
done
if ! kill -0 "$server" 2> /dev/null; then
    echo "error: port $port was taken by another server meanwhile; stop it or choose another port" >&2
    exit 2
fi
"$@"
