# fish completion for lxc: `lxc completion fish > ~/.config/fish/completions/lxc.fish`, or `lxc completion fish | source`.
function __lxc_words
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] completion words -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c lxc -f -a '(__lxc_words)'
