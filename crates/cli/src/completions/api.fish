# SPDX-License-Identifier: Apache-2.0
# What `outgate api` takes is known by the server: it is asked.
function __outgate_api_words
    set -l words (commandline -opc)
    set -l at (contains -i -- api $words)
    and outgate complete-api -- $words[(math $at + 1)..-1] (commandline -ct) 2>/dev/null
end
complete -c outgate -n "__fish_seen_subcommand_from api" -f -a "(__outgate_api_words)"
