# SPDX-License-Identifier: Apache-2.0
# What `outgate api` takes is known by the server: it is asked. The rest stays as it was generated above.
_outgate_or_api() {
    local line=${COMP_LINE:0:COMP_POINT} words i at=0
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
            -o | --output) ((i++)) ;;
            -*) ;;
            api) at=$i; break ;;
            *) break ;;
        esac
    done
    if ((at == 0)); then
        _outgate "$@"
        return
    fi
    local current=${words[-1]} candidate
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        # Bash takes words apart at = and : and wants only the last part back.
        [[ $current == *=* && $COMP_WORDBREAKS == *=* ]] && candidate=${candidate#"${current%%=*}="}
        COMPREPLY+=("$candidate")
    done < <("${words[0]}" complete-api -- "${words[@]:at+1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace
    return 0
}
complete -F _outgate_or_api -o nosort -o bashdefault -o default outgate 2>/dev/null ||
    complete -F _outgate_or_api -o bashdefault -o default outgate
