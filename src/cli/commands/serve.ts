import type { Define } from '../command-context.ts'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { displayPath } from '../../core/path.ts'
import { CommandFailure } from '../command-failure.ts'
import { exitCode } from '../exit-code.ts'
import { version } from '../version.ts'

/** `serve`: the HTTP interface until it is told to stop. Its flags are settings, see configuration.ts. */
export const define: Define = (command, act) => {
  command
    .description('Serves the store over HTTP. /docs shows what can be asked, /health how the store is.')
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
      act(async ({ output, configuration, openParts, signal }) => {
        const { isLoopback, startServer } = await import('../../http/server.ts')
        const { Authentication } = await import('../../http/authentication.ts')
        const { acceptedTokens } = await import('../token-settings.ts')
        const { deliveryTargets } = await import('../delivery-targets.ts')
        const { Delivery } = await import('../../store/delivery/delivery.ts')
        const { EmbeddedStore } = await import('../../store/embedded-store.ts')
        const { Upkeep } = await import('../../store/upkeep.ts')
        const { UpkeepScheduler } = await import('../../store/collector/scheduler.ts')
        const { host, port, tokens } = configuration
        const authentication = new Authentication(acceptedTokens(tokens, output.mode.environment))
        if (!isLoopback(host) && !authentication.isOn && !configuration.allow_anonymous_bind) {
          throw new CommandFailure(
            `refused to listen on ${displayPath(host)}: other machines could reach the store, and nobody would be asked who they are`,
            exitCode.refused,
            'Listen on 127.0.0.1, make tokens (artifact-store token --help), or add --allow-anonymous-bind if the network is trusted.',
          )
        }
        const targets = deliveryTargets(configuration, output.mode.environment, () => server.address)
        const parts = await openParts()
        await using store = new EmbeddedStore(parts)
        const server = await startServer({
          host,
          port,
          version: version(),
          storeFor: ({ method, headers }) => store.actingAs(authentication.accessOf({ method, authorization: headers.authorization })),
          report: (error) => output.note(inspect(error)),
        })
        if (output.mode.json) await output.json({ address: server.address })
        else await output.line(`Listening on ${server.address}`)
        await output.flush()
        const delivery = new Delivery(parts, store, targets, { onFailure: (target, reason) => output.note(`${target} cannot be told: ${reason}`) })
        const delivering = delivery.run(signal)
        // Others get most of the time; what there is to do is spread over it.
        const upkeep = new UpkeepScheduler(new Upkeep(parts, { rest: 9 }), { onFailure: (error) => output.note(inspect(error)) })
        upkeep.start()
        if (!signal.aborted) await once(signal, 'abort')
        await server.stop()
        await upkeep.stop()
        await delivering
        return undefined
      }),
    )
}
