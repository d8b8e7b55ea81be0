import { connect } from '../client/client.ts'
import { InputInvalidError } from '../core/errors.ts'
import type { Store } from '../store/interface.ts'
import { usageFailure } from './command-failure.ts'
import type { Environment, ServerSetting } from './configuration.ts'
import { displayReference, secretReader } from './secret-reference.ts'

/** After a stop, what was begun has this long to be tidied up, ms. */
const TIDYING_MS = 5_000

/**
 * Connects to the server that the configuration names.
 * @throws CommandFailure (usage) when the address or the token cannot be used; what `connect` throws
 */
export async function openServer({ url, from, token: reference }: ServerSetting, environment: Environment, signal: AbortSignal): Promise<Store> {
  const token = reference === undefined ? undefined : secretReader(reference, environment)()
  if (reference !== undefined && token === undefined) throw usageFailure(`there is no token in ${displayReference(reference)}`)
  try {
    return await connect(url, { signal: afterAWhile(signal), ...(token === undefined ? {} : { token }) })
  } catch (error) {
    if (error instanceof InputInvalidError) throw usageFailure(`${from}: ${error.message}`)
    throw error
  }
}

/** Commands stop by themselves what can be stopped; what they undo then needs the connection. */
function afterAWhile(signal: AbortSignal): AbortSignal {
  const end = new AbortController()
  signal.addEventListener('abort', () => void setTimeout(() => end.abort(signal.reason), TIDYING_MS).unref(), { once: true })
  return end.signal
}
