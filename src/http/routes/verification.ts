import type { VerifiedFile, VerifiedPack } from '../../store/interface.ts'
import { sendJsonLines } from '../json-lines.ts'
import { packageAt } from '../package-at.ts'
import type { VerifiedLine, VerifiedPackLine } from '../schema/file-schema.ts'
import { packageParameters } from '../schema/parameter-schema.ts'
import { answers, stream } from '../schema/problem-schema.ts'
import { verifiedLog } from '../schema/service-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['verification']
const lines = stream('JSON Lines of `{packageId, path?, digest, size, problem?}`.', 'application/jsonl')

/** Re-reading what is stored. */
export function verificationRoutes(app: Application, { storeFor }: ServerParts): void {
  app.post(
    '/packages/:id/verify',
    { schema: { tags, summary: 'Re-read a package and compare digests', params: packageParameters, response: answers({ 200: lines }) } },
    async (request, reply) => {
      const store = storeFor(request)
      const { id } = await packageAt(store, request.params.id)
      return sendJsonLines(reply, fileLines(store.packages.verify(id)))
    },
  )
  app.post('/verify', { schema: { tags, summary: 'Re-read all packages', response: answers({ 200: lines }) } }, async (request, reply) =>
    sendJsonLines(reply, fileLines(storeFor(request).packages.verify('all'))),
  )
  app.post(
    '/verify/packs',
    {
      schema: {
        tags,
        summary: 'Check what packs hold beside the bytes of files',
        response: answers({ 200: stream('JSON Lines of `{key, problem?}`.', 'application/jsonl') }),
      },
    },
    async (request, reply) => sendJsonLines(reply, packLines(storeFor(request).packages.verifyPacks())),
  )
  app.post(
    '/events/verify',
    { schema: { tags, summary: 'Recompute the chain of the event log', response: answers({ 200: verifiedLog }) } },
    (request) => storeFor(request).events.verify(),
  )
}

async function* fileLines(files: AsyncIterable<VerifiedFile>): AsyncGenerator<readonly VerifiedLine[], void, undefined> {
  for await (const { problem, ...facts } of files) {
    yield [problem === undefined ? facts : { ...facts, problem: { code: problem.code, message: problem.message } }]
  }
}

async function* packLines(packs: AsyncIterable<VerifiedPack>): AsyncGenerator<readonly VerifiedPackLine[], void, undefined> {
  for await (const { key, problem } of packs)
    yield [problem === undefined ? { key } : { key, problem: { code: problem.code, message: problem.message } }]
}
