# Sourced by the fine-tuning scripts: recipe.sh NAME LEARNING-RATE ITEM-INDEX sets name, PYTHON, BACKBONE, TEACHER_PORT,
# and flags for RECIPE: cpu (two cores, MovieLens-100K) or published (arXiv 2505.03336, for a GPU). LEARNING-RATE is that
# of the cpu recipe for items that are spelled by their titles.
set -euo pipefail
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
BACKBONE=${BACKBONE:-snap/base/SmolLM2-135M-Instruct}
TEACHER_PORT=${TEACHER_PORT:-2068}

source scripts/dataset_name.sh

if ! name=$(dataset_name "${1:-}"); then
    echo "error: usage: $0 NAME [flags of main.py], such as: $0 movies" >&2
    exit 2
fi
case ${RECIPE:=cpu}-$3 in
    cpu-title_t)
        flags=(--epoch 3 --batch_size 2 --gradient_accumulation_steps 2 --lr "$2" --lr_power 1 --warmup_ratio 0.03
            --SFT_actor_lora_a 16 --lora_dropout 0 --lora_layers 15 --soft_labels 0.7 --teacher_depth 100
            --history_weight 1 --max_history 25 --list_ratio 0.5 --idx --multi_round_ratio 0.2 --max_segment 128)
        ;;
    cpu-*)
        flags=(--item_index "$3" --epoch 2 --sequences --conversations 300 --text_weight 3 --decision_weight 8
            --batch_size 4 --gradient_accumulation_steps 4 --lr 1.5e-3 --coupled_rows --lr_power 1 --warmup_ratio 0.03 --average 0.99
            --SFT_actor_lora_r 32 --SFT_actor_lora_a 32 --loraplus_lr_ratio 4 --lora_dropout 0 --history_weight 0.05
            --max_history 50 --list_ratio 0.5 --idx --SFT_train_tasks SFTSeqRec-MR:2,SFTSeqRec-CS-MR,ShareChatGPT
            --multi_round_ratio 0.9 --max_segment 128 --max_answer 64)
        [ "$3" = rq_token_seq ] || flags+=(--own_labels 1)
        ;;
    published-*)
        flags=(--item_index "$3" --epoch 20 --batch_size 1 --gradient_accumulation_steps 64 --lr 1e-4 --max_segment 500
            --idx)
        ;;
    *)
        echo "error: RECIPE is '$RECIPE', wanted cpu or published" >&2
        exit 2
        ;;
esac
flags+=(--data_path "data/dataset/$name/" --backbone "$BACKBONE" --teacher "http://127.0.0.1:$TEACHER_PORT")
