#!/usr/bin/env bash
# Serve teachers: scripts/unirec_serve.sh NAME PORT [WORKERS] [flags of unirec/async_server.py]
# NAME is a dataset, several with commas between, or all.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

NAME='[A-Za-z0-9_][A-Za-z0-9_.-]*'
if [[ $# -lt 2 || ! $1 =~ ^$NAME(,$NAME)*$ || ! $2 =~ ^[0-9]+$ || ! ${3:-1} =~ ^[0-9]+$ ]]; then
    echo "error: usage: scripts/unirec_serve.sh NAME PORT [WORKERS], such as: scripts/unirec_serve.sh movies 2068 1" >&2
    exit 2
fi
exec "$PYTHON" unirec/async_server.py --dataset "$1" --port "$2" --workers "${3:-1}" "${@:4}"
