#!/usr/bin/env bash
# Serve the teacher of one dataset: scripts/unirec_serve.sh NAME PORT [WORKERS] [flags of unirec/async_server.py]
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

if [[ $# -lt 2 || ! $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ || ! $2 =~ ^[0-9]+$ || ! ${3:-1} =~ ^[0-9]+$ ]]; then
    echo "error: usage: scripts/unirec_serve.sh NAME PORT [WORKERS], such as: scripts/unirec_serve.sh movies 2068 1" >&2
    exit 2
fi
exec "$PYTHON" unirec/async_server.py --dataset "$1" --port "$2" --workers "${3:-1}" "${@:4}"
