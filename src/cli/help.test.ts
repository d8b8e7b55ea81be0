import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import type { Command } from 'commander'
import type { Act } from './command-context.ts'
import { commandNames, completeProgram, createProgram } from './program.ts'

const guideFile = new URL('../../docs/guides/cli.md', import.meta.url)
const sectionTitle = '## The commands\n'

const act: Act = () => () => Promise.resolve()

async function programWithOptions(): Promise<Command> {
  const program = createProgram({ write: () => undefined, writeError: () => undefined, width: 100, act, chosen: () => undefined })
  return completeProgram(program, act)
}

/** The help that `--help` prints, texts after the options included. */
function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 100 })
  command.outputHelp()
  return text
}

function* commandsOf(command: Command, path: string): Generator<{ readonly command: Command; readonly path: string }> {
  yield { command, path }
  for (const child of command.createHelp().visibleCommands(command)) yield* commandsOf(child, `${path} ${child.name()}`)
}

function helpSection(program: Command): string {
  const blocks = [...commandsOf(program, program.name())].map(
    ({ command, path }) => `### ${path}\n\n\`\`\`text\n${helpOf(command).trimEnd()}\n\`\`\`\n`,
  )
  return `\n${blocks.join('\n')}`
}

/** Lines of one text that the other has not; far shorter than both texts. */
function changedLines(documented: string, actual: string): readonly string[] {
  const [left, right] = [documented.split('\n'), actual.split('\n')]
  if (documented === actual) return []
  const changed = right.filter((line) => !left.includes(line)).map((line) => `program: ${line}`)
  return [
    ...left.filter((line) => !right.includes(line)).map((line) => `guide:   ${line}`),
    ...changed,
    'run the test with ARTIFACT_STORE_UPDATE_GUIDE=1',
  ]
}

describe('the help', () => {
  test('is what the guide says, for every command (ARTIFACT_STORE_UPDATE_GUIDE=1 rewrites it)', async () => {
    const [before = '', documented] = (await readFile(guideFile, 'utf8')).split(sectionTitle)
    const actual = helpSection(await programWithOptions())
    if (process.env['ARTIFACT_STORE_UPDATE_GUIDE'] === '1') await writeFile(guideFile, before + sectionTitle + actual)
    else assert.deepEqual(changedLines(documented ?? '', actual), [])
  })

  test('of every command shows how it is used', async () => {
    const program = await programWithOptions()
    assert.ok(commandNames.length >= 18)
    for (const name of commandNames) {
      const command = program.commands.find((candidate) => candidate.name() === name)
      assert.ok(command, name)
      if (command.commands.length === 0 || name === 'events') assert.match(helpOf(command), /\nExamples?:\n {2}\S*(artifact-store|tar|source)/, name)
    }
  })

  test('explains every option and argument, in lines that fit', async () => {
    for (const { command, path } of commandsOf(await programWithOptions(), 'artifact-store')) {
      for (const option of command.options) assert.ok(option.description.length > 5, `${path} ${option.flags}`)
      for (const argument of command.registeredArguments) assert.ok(argument.description.length > 5, `${path} ${argument.name()}`)
      for (const line of helpOf(command).split('\n')) assert.ok(line.length <= 100, `${path}: ${line}`)
    }
  })
})
