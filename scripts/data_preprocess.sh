#!/usr/bin/env bash
# Raw data -> dataset folder and UniRec files: scripts/data_preprocess.sh FORMAT NAME [flags], such as
# scripts/data_preprocess.sh amazon-2023 toys --k_core 5. The raw files are in data/raw/NAME/ (--raw_path).
# scripts/data_preprocess.sh --help lists formats and flags.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
exec "$PYTHON" preprocess/data_preprocess.py "$@"
