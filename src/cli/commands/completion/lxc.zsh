#compdef lxc
# zsh completion for lxc: `lxc completion zsh > _lxc` in a directory of $fpath, or `source <(lxc completion zsh)`.
_lxc() {
	local -a found names
	local line
	found=("${(@f)$(${words[1]} completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	for line in "${found[@]}"; do
		[[ -n $line ]] || continue
		if [[ $line == *$'\t'* ]]; then
			names+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
		else
			names+=("${line//:/\\:}")
		fi
	done
	if ((${#names})); then _describe 'lxc' names; else _files; fi
}
if [[ ${funcstack[1]-} == _lxc ]]; then _lxc "$@"; elif (($+functions[compdef])); then compdef _lxc lxc; fi
