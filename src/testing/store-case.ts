import assert from 'node:assert/strict'
import type { ErrorCode } from '../core/errors.ts'
import { StoreError } from '../core/errors.ts'
import type { Draft, Store } from '../store/interface.ts'

/** Bytes of a text. */
export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

/** A stream as text. */
export async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts).toString()
}

/** All items of a listing. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Asserts that a call fails with this code. @returns the error */
export async function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<StoreError> {
  const error = await promise.then(
    () => assert.fail(`expected ${code}, but it succeeded`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof StoreError, String(error))
  assert.equal(error.code, code, error.message)
  return error
}

let counter = 0
/** A repository no other case uses. */
export function repository(): string {
  counter += 1
  return `suite/r${counter}`
}

/** Seals a package of these texts. */
export async function sealed(
  store: Store,
  name: string,
  files: Readonly<Record<string, string>>,
  facts: object = {},
): Promise<Awaited<ReturnType<Draft['finalize']>>> {
  const draft = await store.packages.open({ repository: name, ...facts })
  for (const [path, content] of Object.entries(files)) await draft.put(path, bytes(content))
  return draft.finalize()
}
