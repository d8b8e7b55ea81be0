import { randomBytes } from 'node:crypto'
import type { Define } from '../command-context.ts'
import { usageFailure } from '../command-failure.ts'
import { gather } from '../option-values.ts'
import { parsePattern, parseScope, readTokenSettings, tokenHash } from '../token-settings.ts'

/** Random bytes of a token: it cannot be guessed, so a plain hash keeps it. */
const TOKEN_BYTES = 32
/** Tells people and secret scanners what it is. */
const TOKEN_PREFIX = 'ast_'

/** `token NAME`: a random token, and what to write into the configuration of `serve`. */
export const define: Define = (command, act) => {
  command
    .description('Makes a random token and prints what to write into the configuration file of serve. The token itself is kept nowhere.')
    .argument('<name>', 'what events will call whoever presents it')
    .option('--scope <scope>', 'what it is good for: read, write, delete, hold, retention or admin; may be repeated (default: read)', gather)
    .option('--repository <pattern>', 'where: a name, PREFIX/** for all below a name, or ** for all; may be repeated (default: **)', gather)
    .addHelpText(
      'after',
      `
The configuration holds the hash alone, so whoever reads it cannot use the token.

Examples:
  artifact-store token ci --scope read --scope write --repository 'demo/**'
  artifact-store token viewer --json`,
    )
    .action(
      act(async ({ output }, name: string, options: { readonly scope?: readonly string[]; readonly repository?: readonly string[] }) => {
        const scopes = (options.scope ?? ['read']).map((scope) => parseScope(scope, '--scope'))
        const repositories = (options.repository ?? ['**']).map((pattern) => parsePattern(pattern, '--repository'))
        const token = `${TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`
        const hash = `sha256:${Buffer.from(tokenHash(token)).toString('hex')}`
        // What is printed is what will be read.
        const [setting] = readTokenSettings([{ name, hash, scopes, repositories }], 'this command')
        if (setting === undefined) throw usageFailure('a token needs a name')
        if (output.mode.json) await output.json({ name, token, hash, scopes, repositories })
        else if (output.mode.quiet) await output.line(token)
        else {
          await output.line(`Token: ${token}`)
          await output.line('')
          await output.line('[[tokens]]')
          for (const [key, value] of Object.entries({ name, hash, scopes, repositories })) await output.line(`${key} = ${JSON.stringify(value)}`)
          output.note('Give the token to its user now: it is kept nowhere. Add the table to the file that serve reads (--config FILE).')
        }
        return undefined
      }),
    )
}
