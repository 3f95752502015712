#!/usr/bin/env bash
# Fine-tune RecLM-cgen with LoRA: scripts/train_RecLM_cgen.sh NAME [flags of main.py]. The teacher must be running.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/recipe.sh "${1:-}" 3e-3
exec "$PYTHON" main.py --train_stage SFT --output "snap/$name/cgen" "${flags[@]}" "${@:2}"
