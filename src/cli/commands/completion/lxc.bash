# bash completion for lxc: `eval "$(lxc completion bash)"`, or a file in /usr/share/bash-completion/completions.
_lxc() {
	local line=${COMP_LINE:0:COMP_POINT} words word cut IFS=$' \t\n'
	# bash splits at colons and equals signs too; these words are split at spaces alone.
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	word=${words[${#words[@]} - 1]}
	mapfile -t COMPREPLY < <("${words[0]}" completion words -- "${words[@]:1}" 2>/dev/null)
	COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
	# Only what follows the last colon or equals sign is replaced.
	cut=${word%"${word##*[:=]}"}
	[ -z "$cut" ] || COMPREPLY=("${COMPREPLY[@]#"$cut"}")
	case ${#COMPREPLY[@]}:${COMPREPLY[0]-} in 1:*[:.]) compopt -o nospace 2>/dev/null ;; esac
}
complete -o default -F _lxc lxc
