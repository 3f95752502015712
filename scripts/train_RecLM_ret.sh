#!/usr/bin/env bash
# Fine-tune RecLM-ret: scripts/train_RecLM_ret.sh NAME [flags of main.py]. The teacher must be running.
# Item vectors are computed first if the dataset folder has none.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/recipe.sh "${1:-}" 1e-3 title_t
EMBEDDING_MODEL=${EMBEDDING_MODEL:-snap/base/all-MiniLM-L6-v2}
if [[ $EMBEDDING_MODEL == snap/base/all-MiniLM-L6-v2 && ! -f $EMBEDDING_MODEL/model.safetensors ]]; then
    "$PYTHON" scripts/fetch_defaults.py --with_minilm
fi
exec "$PYTHON" main.py --train_stage SFT_Embedding --output "snap/$name/ret" --embedding_model "$EMBEDDING_MODEL" \
    "${flags[@]}" "${@:2}"
