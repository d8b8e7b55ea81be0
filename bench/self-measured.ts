import type { JsonFields } from './json-fields.ts'
import { numberField, optionalNumberField, parseFields } from './json-fields.ts'
import type { Command } from './measure-child.ts'
import { runChild } from './measure-child.ts'
import type { Measurement } from './measurement.ts'
import { childProgram, nodeEnvironment } from './place.ts'

/** What a program of `bench/children` said of itself. `fields` holds whatever else it told. */
export interface SelfMeasured {
  readonly measurement: Measurement
  readonly fields: JsonFields
}

/** How to run it. */
export interface SelfMeasuredOptions extends Pick<Command, 'deadlineMs'> {
  readonly nodeOptions?: readonly string[]
}

/** Runs a program of `bench/children` that measures its own work, in a Node set up as the launcher does. */
export async function runSelfMeasured(
  name: string,
  args: readonly string[],
  scratch: string,
  options: SelfMeasuredOptions = {},
): Promise<SelfMeasured> {
  const stdout = await runChild({
    program: process.execPath,
    args: [...(options.nodeOptions ?? []), childProgram(name), ...args],
    environment: nodeEnvironment(scratch),
    scratch,
    ...(options.deadlineMs !== undefined && { deadlineMs: options.deadlineMs }),
  })
  const fields = parseFields(stdout)
  return { measurement: parseMeasurement(fields), fields }
}

function parseMeasurement(fields: JsonFields): Measurement {
  const cpuMilliseconds = optionalNumberField(fields, 'cpuMilliseconds')
  const peakBytes = optionalNumberField(fields, 'peakBytes')
  const writtenBytes = optionalNumberField(fields, 'writtenBytes')
  return {
    milliseconds: numberField(fields, 'milliseconds'),
    ...(cpuMilliseconds !== undefined && { cpuMilliseconds }),
    ...(peakBytes !== undefined && { peakBytes }),
    ...(writtenBytes !== undefined && { writtenBytes }),
  }
}
