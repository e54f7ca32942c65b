/**
 * `eventflow completion`: completion scripts for shells, generated from the commands. Completing does not start
 * `eventflow`.
 */
import type { Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const

type Shell = (typeof SHELLS)[number]

/** What can follow some words of a command line. */
interface Place {
  /** The commands so far, without `eventflow`: empty, or `dlq replay`. */
  words: string
  /** Subcommands, and arguments with few possible values. */
  commands: { name: string; description: string }[]
  options: Option[]
}

/** Returns the script for one shell. */
export function completion(program: Command, shell: Shell): string {
  const places = placesOf(program)
  return { bash, zsh, fish }[shell](program.name(), places)
}

function placesOf(command: Command, words: readonly string[] = []): Place[] {
  const help = command.createHelp()
  const commands = help.visibleCommands(command)
  const place = {
    words: words.join(' '),
    commands: [
      ...commands.map((one) => ({ name: one.name(), description: one.description() })),
      ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
        argChoices.map((name) => ({ name, description })),
      ),
    ],
    options: [...help.visibleOptions(command)],
  }
  const inside = commands.filter((one) => one.name() !== 'help')
  return [place, ...inside.flatMap((one) => placesOf(one, [...words, one.name()]))]
}

/** Completes what can follow; file names if nothing matches. */
function bash(name: string, places: readonly Place[]): string {
  const known = places.filter(({ words }) => words !== '').map(({ words }) => quoted(words))
  const offer = (at: string, words: readonly string[]) =>
    `    ${quoted(at)}) COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$2"))`
  const values = places.flatMap(({ words, options }) =>
    options.flatMap(({ long, argChoices }) =>
      argChoices ? [`${offer(`${words} ${long}`, argChoices)}; return ;;`] : [],
    ),
  )
  const next = places.map(({ words, commands, options }) =>
    offer(words, [...commands.map((one) => one.name), ...options.map((one) => one.long!)]).concat(' ;;'),
  )
  return `_${name}() {
  local place= word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${place:+$place }$word" in
      ${known.join(' | ')}) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place $3" in
${values.join('\n')}
  esac
  case "$place" in
${next.join('\n')}
  esac
}
complete -o default -F _${name} ${name}`
}

/** zsh can run the bash script. */
function zsh(name: string, places: readonly Place[]): string {
  return `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bash(name, places)}`
}

function fish(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ words, commands, options }) => {
    const names = commands.map((one) => one.name).join(' ')
    const seen = words
      .split(' ')
      .filter(Boolean)
      .map((word) => `__fish_seen_subcommand_from ${word}`)
    const condition = [...seen, ...(names ? [`not __fish_seen_subcommand_from ${names}`] : [])].join('; and ')
    const line = `complete -c ${name} -n ${quoted(condition)}`
    return [
      ...commands.map((one) => `${line} -f -a ${one.name} -d ${quoted(one.description)}`),
      ...options.map((one) => {
        const values = one.argChoices ? ` -x -a ${quoted(one.argChoices.join(' '))}` : one.required ? ' -r' : ''
        return `${line} -l ${one.long!.slice(2)}${values} -d ${quoted(one.description)}`
      }),
    ]
  })
  return lines.join('\n')
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
