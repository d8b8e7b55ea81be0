import type { Command, Option } from 'commander'

/** A word that may stand at the end of an unfinished command line, and what it means. */
interface Candidate {
  readonly word: string
  readonly meaning: string
}

/** What the scripts of `completion` understand on the last line: let the shell offer file names, or not. */
const FILES = ':0'
const NO_FILES = ':4'

/**
 * What may follow the words of an unfinished command line, as the scripts of `completion` read it: a line `word<TAB>meaning` each, then a line that
 * says whether the shell should offer file names, which it should whenever we know nothing better.
 * @param program with the options of all its commands
 * @param words what stands behind the name of the program; the last one is unfinished, perhaps empty
 */
export function completionLines(program: Command, words: readonly string[]): readonly string[] {
  const unfinished = words.at(-1) ?? ''
  const candidates = candidatesFor(program, words.slice(0, -1), unfinished).filter(({ word }) => word.startsWith(unfinished))
  return [...candidates.map(({ word, meaning }) => `${word}\t${meaning}`), candidates.length === 0 ? FILES : NO_FILES]
}

function candidatesFor(program: Command, before: readonly string[], unfinished: string): readonly Candidate[] {
  let command = program
  let position = 0
  let wantsValue: Option | undefined
  for (const word of before) {
    if (wantsValue !== undefined) wantsValue = undefined
    else if (word === '--') return []
    else if (word.startsWith('-')) wantsValue = word.includes('=') ? undefined : valueOption(program, command, word)
    else {
      const child = visibleCommands(command).find((candidate) => candidate.name() === word)
      if (child === undefined) position += 1
      else command = child
    }
  }
  if (wantsValue !== undefined) return []
  if (unfinished.startsWith('-')) return optionCandidates(program, command)
  const choices = command.registeredArguments[position]?.argChoices ?? []
  const children = position === 0 ? visibleCommands(command).map((child) => ({ word: child.name(), meaning: child.summary() })) : []
  return [...children, ...choices.map((word) => ({ word, meaning: '' }))]
}

/** The option a word names, if a value must follow it. */
function valueOption(program: Command, command: Command, word: string): Option | undefined {
  return [...command.options, ...program.options].find((option) => option.required && (option.long === word || option.short === word))
}

function optionCandidates(program: Command, command: Command): readonly Candidate[] {
  const options = [...command.createHelp().visibleOptions(command), ...(command === program ? [] : program.options)]
  return options.map((option) => ({ word: option.long ?? option.flags, meaning: option.description }))
}

function visibleCommands(command: Command): readonly Command[] {
  return command.createHelp().visibleCommands(command)
}
