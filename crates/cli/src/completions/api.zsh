# SPDX-License-Identifier: Apache-2.0
# What `outgate api` takes is known by the server: it is asked. The rest stays as it was generated above.
_outgate_or_api() {
    local -i i at=0
    for ((i = 2; i < CURRENT; i++)); do
        case ${words[i]} in
            -o|--output) ((i++)) ;;
            -*) ;;
            api) at=$i; break ;;
            *) break ;;
        esac
    done
    if ((at == 0)); then
        _outgate "$@"
        return
    fi
    local line
    local -a plain open shown_plain shown_open
    for line in "${(@f)$("${words[1]}" complete-api -- "${(@)words[at+1,CURRENT]}" 2>/dev/null)}"; do
        [[ -z $line ]] && continue
        local word=${line%%$'\t'*} what=${line#*$'\t'}
        if [[ $word == *[=.] ]]; then
            open+=("$word"); shown_open+=("$word  $what")
        else
            plain+=("$word"); shown_plain+=("$word  $what")
        fi
    done
    (($#open)) && compadd -S '' -l -d shown_open -a open
    (($#plain)) && compadd -l -d shown_plain -a plain
}
compdef _outgate_or_api outgate
