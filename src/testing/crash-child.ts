import { writeSync } from 'node:fs'
import { failpoint } from '../decorators/failpoint.ts'
import { openStore } from '../store/open.ts'
import { crashContent } from './crash-content.ts'

/**
 * The process that crash tests kill: pushes packages until it is killed and says on standard output what was acknowledged, a line each:
 * `{"id", "manifestDigest", "files": {path: seed}}`. Arguments: directory of the store, first seed, failpoint or `-`.
 */
const [directory = '', first = '0', spec = '-'] = process.argv.slice(2)
const store = await openStore(directory, { actor: 'os:crash', ...(spec === '-' ? {} : { observe: failpoint(spec) }) })
for (let seed = Number(first); ; seed += 1) {
  const draft = await store.packages.open({ repository: `crash/r${seed % 3}`, runId: `run-${seed}` })
  const files: Record<string, number> = {}
  const puts = Array.from({ length: 1 + (seed % 12) }, (_, index) => {
    // Contents repeat across packages, so that deduplication and damage by others' crashes are met.
    const content = (seed * 7 + index) % 40
    files[`d${index % 3}/f${index}`] = content
    return draft.put(`d${index % 3}/f${index}`, crashContent(content))
  })
  await Promise.all(puts)
  const { id, manifestDigest } = await draft.finalize()
  writeSync(1, `${JSON.stringify({ id, manifestDigest, files })}\n`)
}
