# Arguments and catalogs of a server, for scripts that source this file after dataset_name.sh.

set -euo pipefail
usage() {
    local script=scripts/${0##*/}
    echo "error: usage: $script NAME MODEL [PORT] [flags], such as: $script movies snap/movies/cgen/SFT_Epoch2" >&2
    exit 2
}
fail() { echo "error: $1" >&2; exit 2; }

# Set RECLM_CATALOGS to the folders of datasets in data/dataset (DATA_ROOT): catalogs_of NAME[,NAME...]
catalogs_of() {
    local root=${DATA_ROOT:-data/dataset} catalogs="" given=() one name
    IFS=, read -ra given <<< "$1"
    for one in ${given[@]+"${given[@]}"}; do
        name=$(dataset_name "$one") || usage
        [[ $name != *[\"\\]* ]] || fail "the dataset is called $name; a name with quotes cannot be served"
        [ -d "$root/$name" ] || fail "there is no dataset folder $root/$name; preprocess it, or set DATA_ROOT"
        catalogs+="${catalogs:+, }\"$name\": \"$(cd "$root/$name" && pwd)\""
    done
    [ -n "$catalogs" ] || usage
    export RECLM_CATALOGS="{$catalogs}"
}

# Set model, port, rest (the flags) and the catalogs: served_arguments DEFAULT-PORT NAME MODEL [PORT] [flags]
served_arguments() {
    [ $# -ge 3 ] || usage
    port=$1 model=$3
    catalogs_of "$2"
    [ -f "$model/config.json" ] || fail "$model is no folder of a merged model; merge an adapter by scripts/run_SFT_merge.sh"
    shift 3
    if [[ ${1:-} =~ ^[1-9][0-9]{0,4}$ ]]; then port=$1; shift; fi
    rest=("$@")
}
