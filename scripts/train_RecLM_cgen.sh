#!/usr/bin/env bash
# Fine-tune RecLM-cgen with LoRA: scripts/train_RecLM_cgen.sh NAME [flags of main.py]. The teacher must be running.
# ITEM_INDEX says how items are written: token (default), token_title, or title_t (default of RECIPE=published).
set -euo pipefail
cd "$(dirname "$0")/.."
[[ ${RECIPE:-cpu} == published ]] && default=title_t || default=token
source scripts/recipe.sh "${1:-}" 3e-3 "${ITEM_INDEX:-$default}"
exec "$PYTHON" main.py --train_stage SFT --output "snap/$name/cgen" "${flags[@]}" "${@:2}"
