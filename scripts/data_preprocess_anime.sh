#!/usr/bin/env bash
# Anime titles in RAW_PATH -> dataset folder without users. Extra arguments are passed to the preprocessing.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

"$PYTHON" preprocess/data_preprocess_anime.py \
    --tokenizer_path "${TOKENIZER_PATH:-snap/base/SmolLM2-135M-Instruct}" \
    --raw_path "${RAW_PATH:-data/raw/anime/}" \
    --data_path "${DATA_PATH:-data/dataset/anime/}" \
    "$@"
