import type { Health } from '../store/interface.ts'

/** A part of the store that can tell how it is. */
export interface HealthSource {
  health(): Promise<Health>
}

/** What is sent for a probe. */
export interface ProbeAnswer {
  readonly status: 200 | 503
  readonly mediaType: string
  readonly body: string
}

const text = (status: 200 | 503, body: string): ProbeAnswer => ({ status, mediaType: 'text/plain; charset=utf-8', body: `${body}\n` })

/** `/livez`: this process answers, so there is no reason to restart it. */
export function liveness(): ProbeAnswer {
  return text(200, 'ok')
}

/** `/readyz`: work may be sent here: the store is not known to be broken, and nobody has asked this process to stop. */
export async function readiness(store: HealthSource, isStopping: boolean): Promise<ProbeAnswer> {
  if (isStopping) return text(503, 'stopping')
  const { status } = await safeHealth(store)
  return status === 'fail' ? text(503, 'failing') : text(200, 'ok')
}

/** `/health`: every component check by name (draft-inadarei-api-health-check: `status` is pass, warn or fail). */
export async function healthReport(store: HealthSource): Promise<ProbeAnswer> {
  const health = await safeHealth(store)
  return { status: health.status === 'fail' ? 503 : 200, mediaType: 'application/health+json', body: `${JSON.stringify(health)}\n` }
}

/** A store that cannot even tell how it is fails. What exactly is wrong is for `doctor` to say: anybody may ask for the health. */
async function safeHealth(store: HealthSource): Promise<Health> {
  try {
    const { status, checks } = await store.health()
    const shown: Record<string, Health['checks'][string]> = {}
    for (const [name, check] of Object.entries(checks)) shown[name] = check.status === 'pass' ? check : { status: check.status }
    return { status, checks: shown }
  } catch {
    return { status: 'fail', checks: { store: { status: 'fail' } } }
  }
}
