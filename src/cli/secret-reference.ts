import { readFileSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { displayPath } from '../core/path.ts'
import { usageFailure } from './command-failure.ts'
import type { Environment } from './configuration.ts'

/** Where a secret is found: it is never written into a configuration. */
export type SecretReference = { readonly kind: 'env'; readonly name: string } | { readonly kind: 'file'; readonly path: string }

/** How often a file is looked at again, in ms. */
const LOOK_AGAIN_MS = 1_000

/** Reads `env:NAME` or `file:/path`. @throws CommandFailure (usage) */
export function parseSecretReference(text: string, where: string): SecretReference {
  const colon = text.indexOf(':')
  const [kind, rest] = [text.slice(0, colon), text.slice(colon + 1)]
  if (kind === 'env' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest)) return { kind, name: rest }
  if (kind === 'file' && isAbsolute(rest)) return { kind, path: rest }
  throw usageFailure(`${where} must say where the secret is: env:NAME or file:/absolute/path`)
}

/**
 * Makes what reads a secret: a file again when it has changed, at most once a second, so that a secret can be exchanged while the program runs.
 * What stands there is trimmed; undefined while there is nothing, or it cannot be read.
 */
export function secretReader(reference: SecretReference, environment: Environment): () => string | undefined {
  if (reference.kind === 'env') return () => present(environment[reference.name])
  const { path } = reference
  let looked = Number.NEGATIVE_INFINITY
  let version = ''
  let secret: string | undefined
  return () => {
    if (performance.now() - looked < LOOK_AGAIN_MS) return secret
    looked = performance.now()
    try {
      const { mtimeMs, ctimeMs, size, ino } = statSync(path)
      const found = [mtimeMs, ctimeMs, size, ino].join(' ')
      if (found !== version) secret = present(readFileSync(path, 'utf8'))
      version = found
    } catch {
      secret = undefined
      version = ''
    }
    return secret
  }
}

/** How a reference is shown. */
export function displayReference(reference: SecretReference): string {
  return reference.kind === 'env' ? `env:${reference.name}` : `file:${displayPath(reference.path)}`
}

function present(text: string | undefined): string | undefined {
  const trimmed = text?.trim()
  return trimmed === '' ? undefined : trimmed
}
