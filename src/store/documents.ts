import { LeaseLostError } from '../core/errors.ts'
import { hold } from '../registry/holders.ts'
import type { Session } from '../registry/statement.ts'
import type { StoreContext } from './context.ts'
import { nameStored, type Stored } from './intake.ts'

/**
 * Makes the bytes of a document durable (a schema, a plan, a certificate). They are named, and held, in the transaction that inserts the document's row:
 * {@link holdDocument}.
 */
export async function storeDocument(context: StoreContext, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<Stored> {
  const source = content instanceof Uint8Array ? ({ kind: 'bytes', bytes: content } as const) : ({ kind: 'stream', stream: content } as const)
  // Stored again where they are here already: nothing holds them for this document before its row is there (I2), and documents are few and small.
  const batches = context.dataPlane.ingestMany([{ source }], { resolve: (blobs) => Promise.resolve(blobs.map(() => false)) })
  for await (const batch of batches) {
    for (const outcome of batch) {
      if ('error' in outcome) throw outcome.error
      return outcome
    }
  }
  throw new TypeError('storing a document had no outcome')
}

/** Makes a document's row the holder of its bytes. @throws LeaseLostError when this writer was taken for dead meanwhile */
export async function holdDocument(context: StoreContext, session: Session, document: number, stored: Stored): Promise<void> {
  const [chunk] = await nameStored(context, session, [stored])
  if (chunk === undefined) throw new LeaseLostError('the bytes of a document have gone meanwhile; send them again')
  await hold(session, 'document', document, chunk)
}
