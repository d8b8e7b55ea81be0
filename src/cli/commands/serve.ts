import type { Define } from '../command-context.ts'
import { once } from 'node:events'
import { displayPath } from '../../core/path.ts'
import { CommandFailure } from '../command-failure.ts'
import { exitCode } from '../exit-code.ts'

/** `serve`: probes over HTTP until it is told to stop. Its flags are settings, see configuration.ts. */
export const define: Define = (command, act) => {
  command
    .description('Answers health checks over HTTP: /health, /livez and /readyz. This release serves nothing else.')
    .option('--host <host>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'port to listen on; 0 takes any free one (default: 8080)')
    .option('--allow-anonymous-bind', 'listen where other machines can reach it, although it asks nobody who they are')
    .addHelpText(
      'after',
      `
Prints its address once it is ready. SIGTERM or Ctrl-C lets it finish what it is doing and close the
store; a second one ends it at once.

Examples:
  artifact-store serve
  artifact-store serve --port 0 --json`,
    )
    .action(
      act(async ({ output, configuration, open, signal }) => {
        const { isLoopback, startServer } = await import('../../http/server.ts')
        const { host, port } = configuration
        if (!isLoopback(host) && !configuration.allow_anonymous_bind) {
          throw new CommandFailure(
            `refused to listen on ${displayPath(host)}: other machines could reach the store, and nobody would be asked who they are`,
            exitCode.refused,
            'Listen on 127.0.0.1, or add --allow-anonymous-bind if the network is trusted.',
          )
        }
        await using store = await open()
        const server = await startServer(store, host, port)
        if (output.mode.json) await output.json({ address: server.address })
        else await output.line(`Listening on ${server.address}`)
        await output.flush()
        if (!signal.aborted) await once(signal, 'abort')
        await server.stop()
        return undefined
      }),
    )
}
