import type { CliProcess } from './cli.ts'
import { runCli, tellFailure } from './cli.ts'
import { written } from './output.ts'

const host: CliProcess = {
  arguments: process.argv.slice(2),
  environment: process.env,
  platform: process.platform,
  // Touching it starts reading, which most commands must not.
  get stdin() {
    return process.stdin
  },
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
  // 128 + SIGINT, as shells count.
  kill: () => process.exit(130),
}

process.on('uncaughtException', (error) => process.exit(tellFailure(host, error)))

const code = await runCli(host)
await Promise.all([written(process.stdout), written(process.stderr)])
// Nothing is left to do, even where a source on standard input has not ended yet.
process.exit(code)
