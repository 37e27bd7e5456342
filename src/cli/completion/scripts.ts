// The scripts of `lunctl completion`: the same walk along the words in three shells, with the table from the manifest.
import { fishFunction, posixFunction, shellCases } from './shell-cases.js';
import type { Place } from './table.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, places: readonly Place[]): string {
  const { next, flags, values, args } = shellCases(places);
  const tables = { next, flags, value: values, arg: args };
  const make = shell === 'fish' ? fishFunction : posixFunction;
  const text = Object.entries(tables)
    .map(([name, cases]) => make(`__lunctl_${name}`, cases))
    .join('');
  const { head, walk } = { bash: BASH, zsh: ZSH, fish: FISH }[shell];
  return `${head}# Made by: lunctl completion ${shell}\n${text}${walk}`;
}

/**
 * Of the words before the one that is typed: which place they lead to, how many arguments there are, and whether the last
 * one is a flag that waits for its value. For bash and zsh, whose arrays begin at 0 and at 1.
 */
const POSIX_WALK = (first: number) =>
  String.raw`
  local cmd= flag= word= i=${first + 1} count=0 end=0
  [[ \${words[${first}]##*/} == lunctl-iscsiadm ]] && cmd=iscsiadm
  while (( i < last )); do
    word=\${words[i]}
    if (( end )); then
      :
    elif [[ $word == -- ]]; then
      end=1
    elif [[ $word == --*=* ]]; then
      [[ $cmd == iscsiadm && $word == --mode=* ]] && cmd="iscsiadm \${word#*=}"
    elif [[ $word == -?* ]]; then
      if __lunctl_value "$cmd $word"; then
        (( ++i ))
        (( i == last )) && flag=$word
        [[ $cmd == iscsiadm && ( $word == -m || $word == --mode ) ]] && (( i < last )) && cmd="iscsiadm \${words[i]}"
      elif [[ $cmd == iscsiadm && $word == -m?* ]]; then
        cmd="iscsiadm \${word#-m}"
      fi
    elif (( count == 0 )) && __lunctl_flags "\${cmd:+$cmd }$word"; then
      cmd="\${cmd:+$cmd }$word"
    else
      (( ++count ))
    fi
    (( ++i ))
  done
  local lead= kind= more=
  if [[ -z $flag && $cur == --*=* ]]; then
    flag=\${cur%%=*} lead=\${cur%%=*}= cur=\${cur#*=}
  fi
  if (( end )); then
    kind=file
  elif [[ -n $flag ]]; then
    __lunctl_value "$cmd $flag"
  elif [[ $cur == -* ]]; then
    __lunctl_flags "$cmd"
  else
    if (( count == 0 )); then
      __lunctl_next "$cmd" && more=$kind
    fi
    __lunctl_arg "$cmd $count"
  fi
`.replaceAll('\\${', '${');

const BASH = {
  head: '# bash completion for lunctl and lunctl-iscsiadm.\n',
  walk: String.raw`
# What kind $1 means for what is typed, added to COMPREPLY. Nothing that comes from outside is expanded.
__lunctl_reply() {
  local word all=()
  case $1 in
    '='*) read -ra all <<<"\${1#=}" ;;
    '@'*) mapfile -t all < <(lunctl __complete "\${1#@}" 2>/dev/null) ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t all < <(compgen -f -- "$cur") ;;
    dir) compopt -o filenames 2>/dev/null; mapfile -t all < <(compgen -d -- "$cur") ;;
  esac
  for word in "\${all[@]}"; do
    [[ $word == "$cur"* ]] && COMPREPLY+=("$lead$word")
  done
  [[ $1 == @*keys ]] && compopt -o nospace 2>/dev/null
  return 0
}

_lunctl() {
  # bash breaks words at colons and the like, of which names and addresses are full: here they break at blanks alone.
  local line=\${COMP_LINE:0:COMP_POINT} words=() cur typed breaks left j
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local last=$(( \${#words[@]} - 1 ))
  cur=\${words[last]} typed=\${words[last]}
${POSIX_WALK(0)}
  COMPREPLY=()
  __lunctl_reply "$more"
  __lunctl_reply "$kind"
  # What stands before the last such break is not bash's word any more.
  breaks=\${COMP_WORDBREAKS//[^:=@]/}
  [[ -n $breaks ]] || return 0
  left=\${typed%"\${typed##*["$breaks"]}"}
  for j in "\${!COMPREPLY[@]}"; do
    COMPREPLY[j]=\${COMPREPLY[j]#"$left"}
  done
}
complete -F _lunctl lunctl lunctl-iscsiadm
`.replaceAll('\\${', '${'),
};

const ZSH = {
  head: '#compdef lunctl lunctl-iscsiadm\n# zsh completion for lunctl and lunctl-iscsiadm.\n',
  walk: String.raw`
__lunctl_reply() {
  local -a all
  case $1 in
    '='*) all=(\${=\${1#=}}) ;;
    '@'*) all=(\${(f)"$(lunctl __complete "\${1#@}" 2>/dev/null)"}) ;;
    file) _files; return ;;
    dir) _files -/; return ;;
  esac
  (( $#all )) || return 0
  if [[ $1 == @*keys ]]; then
    compadd -S '' -- $all
  else
    compadd -- $all
  fi
}

_lunctl() {
  emulate -L zsh
  local cur=\${words[CURRENT]} last=$CURRENT
${POSIX_WALK(1)}
  [[ -n $lead ]] && compset -P '*='
  __lunctl_reply "$more"
  __lunctl_reply "$kind"
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _lunctl "$@"
else
  compdef _lunctl lunctl lunctl-iscsiadm
fi
`.replaceAll('\\${', '${'),
};

const FISH = {
  head: '# fish completion for lunctl and lunctl-iscsiadm.\n',
  walk: `
function __lunctl_reply
  set -l lead $argv[2]
  switch "$argv[1]"
    case '=*'
      for word in (string split -n ' ' -- (string sub -s 2 -- $argv[1]))
        echo -- $lead$word
      end
    case '@*'
      for word in (lunctl __complete (string sub -s 2 -- $argv[1]) 2>/dev/null)
        echo -- $lead$word
      end
    case file
      __fish_complete_path $argv[3]
    case dir
      __fish_complete_directories $argv[3]
  end
end

function __lunctl_join
  string trim -- "$argv"
end

function __lunctl_complete
  set -l words (commandline -opc)
  set -l cur (commandline -ct)
  set -l cmd ''
  set -l flag ''
  set -l count 0
  set -l rest no
  string match -q '*lunctl-iscsiadm' -- $words[1]; and set cmd iscsiadm
  set -l i 2
  while test $i -le (count $words)
    set -l word $words[$i]
    if test $rest = yes
    else if test "$word" = --
      set rest yes
    else if string match -q -- '--*=*' $word
      if test "$cmd" = iscsiadm; and string match -q -- '--mode=*' $word
        set cmd "iscsiadm "(string replace -- --mode= '' $word)
      end
    else if string match -q -- '-?*' $word
      if __lunctl_value "$cmd $word" >/dev/null
        set i (math $i + 1)
        if test $i -gt (count $words)
          set flag $word
        else if test "$cmd" = iscsiadm; and contains -- $word -m --mode
          set cmd "iscsiadm $words[$i]"
        end
      else if test "$cmd" = iscsiadm; and string match -q -- '-m?*' $word
        set cmd "iscsiadm "(string sub -s 3 -- $word)
      end
    else if test $count -eq 0; and __lunctl_flags (__lunctl_join $cmd $word) >/dev/null
      set cmd (__lunctl_join $cmd $word)
    else
      set count (math $count + 1)
    end
    set i (math $i + 1)
  end
  set -l lead ''
  if test -z "$flag"; and string match -q -- '--*=*' $cur
    set flag (string replace -r -- '=.*' '' $cur)
    set lead $flag=
    set cur (string replace -r -- '^[^=]*=' '' $cur)
  end
  if test $rest = yes
    __lunctl_reply file '' $cur
  else if test -n "$flag"
    __lunctl_reply "$(__lunctl_value "$cmd $flag")" "$lead" "$cur"
  else if string match -q -- '-*' $cur
    __lunctl_reply "$(__lunctl_flags "$cmd")" '' "$cur"
  else
    test $count -eq 0; and __lunctl_reply "$(__lunctl_next "$cmd")" '' "$cur"
    __lunctl_reply "$(__lunctl_arg "$cmd $count")" '' "$cur"
  end
end
complete -c lunctl -f -a '(__lunctl_complete)'
complete -c lunctl-iscsiadm -f -a '(__lunctl_complete)'
`,
};
