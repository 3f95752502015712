#!/usr/bin/env bash
# Serve teachers: scripts/unirec_serve.sh NAME PORT [WORKERS] [flags of unirec/async_server.py]
# NAME is a dataset, several separated by commas, or all.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

source scripts/dataset_name.sh

names=()
IFS=, read -ra given <<< "${1:-}"
for one in ${given[@]+"${given[@]}"}; do
    if one=$(dataset_name "$one"); then names+=("$one"); fi
done
if [[ $# -lt 2 || ${#names[@]} == 0 || ${#names[@]} != "${#given[@]}" || $1 =~ ,$|[[:cntrl:]] || ! $2 =~ ^[0-9]+$ || ! ${3:-1} =~ ^[0-9]+$ ]]; then
    echo "error: usage: scripts/unirec_serve.sh NAME PORT [WORKERS], such as: scripts/unirec_serve.sh movies 2068 1" >&2
    exit 2
fi
exec "$PYTHON" unirec/async_server.py --dataset "$(IFS=,; echo "${names[*]}")" --port "$2" --workers "${3:-1}" "${@:4}"
