import { readFile } from 'node:fs/promises'
import { isJsonObject, type JsonObject, parseJson } from '../../core/canonical-json.ts'
import { StoreError } from '../../core/errors.ts'
import { displayPath } from '../../core/path.ts'
import type { Define } from '../command-context.ts'
import { systemReason, usageFailure } from '../command-failure.ts'
import { allPages } from '../repository-list.ts'
import type { Column } from '../render/table.ts'
import { tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'

const columns: readonly Column[] = [
  { title: 'REGISTERED', width: 19 },
  { title: 'SCHEMA', width: 0 },
]

/** `schema add`, `schema list` and `schema show`. */
export const define: Define = (command, act) => {
  command.description('Works with metadata schemas, which say what the metadata of packages must look like.').usage('COMMAND …').helpCommand(false)
  command
    .command('add')
    .summary('register a schema')
    .description('Registers a JSON Schema (draft 2020-12). What a name stands for never changes; register the next version under its own name.')
    .argument('<name>', 'lower-case words and a version, such as report.run.v1')
    .argument('<file>', 'a file that holds the schema')
    .addHelpText(
      'after',
      '\nExamples:\n  artifact-store schema add report.run.v1 ./report-run.schema.json\n  artifact-store push ./out --repository demo --schema report.run.v1',
    )
    .action(
      act(async ({ output, open }, name: string, file: string) => {
        const schema = await readSchema(file)
        await using store = await open()
        const registered = await store.schemas.register(name, schema)
        if (output.mode.json) await output.json(registered)
        else await output.line(output.mode.quiet ? registered.name : `${registered.name} is ${registered.digest}`)
        return undefined
      }),
    )
  command
    .command('list')
    .summary('list schemas')
    .description('Lists the schemas that are registered, in order of their names.')
    .addHelpText('after', '\nExamples:\n  artifact-store schema list\n  artifact-store schema list --json')
    .action(
      act(async ({ output, open }) => {
        await using store = await open()
        const { json, quiet } = output.mode
        let count = 0
        for await (const { schema: _schema, ...facts } of allPages((page) => store.schemas.list(page))) {
          if (json) await output.json(facts)
          else if (quiet) await output.line(facts.name)
          else {
            if (count === 0) await output.line(output.style.faint(tableHead(columns)))
            await output.line(tableLine(columns, [formatTime(facts.createdAt), facts.name]))
          }
          count += 1
        }
        if (count === 0) output.note('No schema is registered. Register one: artifact-store schema add NAME FILE')
        return undefined
      }),
    )
  command
    .command('show')
    .summary('print a schema')
    .description('Prints a schema as JSON.')
    .argument('<name>', 'the schema')
    .addHelpText('after', '\nExamples:\n  artifact-store schema show report.run.v1')
    .action(
      act(async ({ output, open }, name: string) => {
        await using store = await open()
        const { schema } = await store.schemas.get(name)
        if (output.mode.json) await output.json(schema)
        else await output.line(JSON.stringify(schema, undefined, 2))
        return undefined
      }),
    )
}

async function readSchema(file: string): Promise<JsonObject> {
  const shown = displayPath(file)
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw usageFailure(`cannot read the schema ${shown}: ${systemReason(cause)}`)
  })
  try {
    const schema = parseJson(bytes)
    if (isJsonObject(schema)) return schema
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw usageFailure(`${shown} is no JSON: ${error.message}`)
  }
  throw usageFailure(`${shown} must hold one JSON object`)
}
