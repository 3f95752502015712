#!/usr/bin/env bash
# Serves the teacher while a command runs: scripts/with_teacher.sh NAME PORT COMMAND [ARGUMENT ...]
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 3 ]; then
    echo "error: usage: scripts/with_teacher.sh NAME PORT COMMAND [ARGUMENT ...]" >&2
    exit 2
fi
name=$1 port=$2
shift 2
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

bash scripts/unirec_serve.sh "$name" "$port" 1 &
server=$!
trap 'kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true' EXIT

healthy() {
    "$PYTHON" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)' \
        "http://127.0.0.1:$port/health/ready" 2> /dev/null
}
until healthy; do
    if ! kill -0 "$server" 2> /dev/null; then
        echo "error: the teacher of $name did not start on port $port" >&2
        exit 2
    fi
    read -rt 0.3 <> <(:) || true
done
# Somebody else's server on this port would be healthy too: ours must be the one that lives.
if ! kill -0 "$server" 2> /dev/null; then
    echo "error: port $port is taken by another server; stop it or choose another port" >&2
    exit 2
fi
"$@"
