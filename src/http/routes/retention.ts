import { JSON_LINES } from '../json-lines.ts'
import { linkToNext } from '../next-link.ts'
import { packageAt } from '../package-at.ts'
import { allowNoBody } from '../request-body.ts'
import { pageOf, pageRequest } from '../schema/page-schema.ts'
import { packageParameters } from '../schema/parameter-schema.ts'
import { answers, stream } from '../schema/problem-schema.ts'
import {
  certificateParameters,
  certificates,
  classParameters,
  classRequest,
  clockInfo,
  deletionPlan,
  extendRetention,
  modeRequest,
  planItem,
  planParameters,
  planRequest,
  reasonRequest,
  rescheduled,
  retentionClass,
  retentionClasses,
  retentionExplanation,
  retentionInfo,
  shortenRetention,
  withReason,
} from '../schema/retention-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'
import { Readable } from 'node:stream'

const tags = ['retention']

/** How long packages are kept, what is deleted, and what became of it. */
export function retentionRoutes(app: Application, parts: ServerParts): void {
  packageRetentionRoutes(app, parts)
  classRoutes(app, parts)
  planRoutes(app, parts)
  clockRoutes(app, parts)
}

function packageRetentionRoutes(app: Application, { storeFor }: ServerParts): void {
  app.get(
    '/packages/:id/retention',
    { schema: { tags, summary: "A package's retention", params: packageParameters, response: answers({ 200: retentionInfo }) } },
    async (request) => {
      const store = storeFor(request)
      return store.retention.show((await packageAt(store, request.params.id)).id)
    },
  )
  app.get(
    '/packages/:id/retention/explain',
    {
      schema: {
        tags,
        summary: 'Which rule keeps or releases a package, step by step',
        params: packageParameters,
        response: answers({ 200: retentionExplanation }),
      },
    },
    async (request) => {
      const store = storeFor(request)
      return store.retention.explain((await packageAt(store, request.params.id)).id)
    },
  )
  app.post(
    '/packages/:id/retention/extensions',
    {
      schema: {
        tags,
        summary: 'Keep a package longer',
        description: 'Strictly later than now; all file sets unless some are named.',
        params: packageParameters,
        body: extendRetention,
        response: answers({ 200: retentionInfo }),
      },
    },
    async (request) => {
      const store = storeFor(request)
      return store.retention.extend((await packageAt(store, request.params.id)).id, request.body)
    },
  )
  app.post(
    '/packages/:id/retention/shorten',
    {
      schema: {
        tags,
        summary: 'Keep a package shorter',
        description: 'In governance mode only, with an explicit bypass, and never below the minimum.',
        params: packageParameters,
        body: shortenRetention,
        response: answers({ 200: retentionInfo }),
      },
    },
    async (request) => {
      const store = storeFor(request)
      return store.retention.shorten((await packageAt(store, request.params.id)).id, request.body)
    },
  )
  app.post(
    '/packages/:id/retention/mode',
    {
      schema: {
        tags,
        summary: 'Bind retention more strictly',
        params: packageParameters,
        body: modeRequest,
        response: answers({ 200: retentionInfo }),
      },
    },
    async (request) => {
      const store = storeFor(request)
      return store.retention.setMode((await packageAt(store, request.params.id)).id, request.body)
    },
  )
  app.post(
    '/packages/:id/undelete',
    {
      schema: {
        tags,
        summary: 'Take a deletion back',
        description: 'Until its grace ends.',
        params: packageParameters,
        body: reasonRequest,
        response: answers({ 200: retentionInfo }),
      },
      preValidation: allowNoBody,
    },
    async (request) => {
      const store = storeFor(request)
      return store.retention.undelete((await packageAt(store, request.params.id)).id, request.body)
    },
  )
  app.get(
    '/packages/:id/certificate',
    {
      schema: {
        tags,
        summary: 'What was deleted of a package, the newest deletion first',
        params: packageParameters,
        response: answers({ 200: certificates }),
      },
    },
    async (request) => {
      const store = storeFor(request)
      return { items: await store.retention.certificates((await packageAt(store, request.params.id)).id) }
    },
  )
  app.get(
    '/certificates/:deletionId',
    {
      schema: {
        tags,
        summary: 'The document of a certificate',
        description: 'JSON Lines: the first tells of the deletion, each other one of a digest: destroyed at a time, or still referenced.',
        params: certificateParameters,
        response: answers({ 200: stream('The certificate.', JSON_LINES) }),
      },
    },
    async (request, reply) => {
      const pieces = storeFor(request).retention.certificateDocument(request.params.deletionId)[Symbol.asyncIterator]()
      const first = await pieces.next()
      return reply
        .header('Content-Type', JSON_LINES)
        .serializer(String)
        .send(Readable.from(after(first, pieces), { objectMode: false }))
    },
  )
}

/** What fails before the first piece is a problem like any other. */
async function* after(first: IteratorResult<Uint8Array, unknown>, pieces: AsyncIterator<Uint8Array, unknown>): AsyncGenerator<Uint8Array> {
  try {
    for (let step = first; step.done !== true; step = await pieces.next()) yield step.value
  } finally {
    await pieces.return?.()
  }
}

function classRoutes(app: Application, { storeFor }: ServerParts): void {
  app.get(
    '/retention/classes',
    { schema: { tags, summary: 'Retention classes', response: answers({ 200: retentionClasses }) } },
    async (request) => ({
      items: await storeFor(request).retention.classes(),
    }),
  )
  app.put(
    '/retention/classes/:name',
    {
      schema: {
        tags,
        summary: 'Make or change a retention class',
        description: 'What was sealed before keeps what it was promised.',
        params: classParameters,
        body: classRequest,
        response: answers({ 200: retentionClass }),
      },
    },
    (request) => storeFor(request).retention.setClass({ ...request.body, name: request.params.name }),
  )
  app.post(
    '/retention/classes/:name/reschedule',
    {
      schema: {
        tags,
        summary: 'Apply a class as it is now to packages that are under it, forward only',
        params: classParameters,
        body: withReason,
        response: answers({ 200: rescheduled }),
      },
    },
    (request) => storeFor(request).retention.reschedule(request.params.name, request.body),
  )
}

function planRoutes(app: Application, { storeFor }: ServerParts): void {
  app.post(
    '/retention/plans',
    {
      schema: {
        tags,
        summary: 'List what may be deleted',
        description: 'A dry run: nothing is deleted before somebody approves exactly this plan, by its digest.',
        body: planRequest,
        response: answers({ 201: deletionPlan }),
      },
      preValidation: allowNoBody,
    },
    async (request, reply) => {
      const plan = await storeFor(request).retention.createPlan(request.body)
      return reply.code(201).header('Location', `/retention/plans/${plan.digest}`).send(plan)
    },
  )
  app.get(
    '/retention/plans',
    { schema: { tags, summary: 'Plans, the newest first', querystring: pageRequest, response: answers({ 200: pageOf(deletionPlan) }) } },
    async (request, reply) => linkToNext(request, reply, await storeFor(request).retention.plans(request.query)),
  )
  app.get(
    '/retention/plans/:digest',
    { schema: { tags, summary: 'A plan', params: planParameters, response: answers({ 200: deletionPlan }) } },
    (request) => storeFor(request).retention.plan(request.params.digest),
  )
  app.get(
    '/retention/plans/:digest/items',
    {
      schema: { tags, summary: 'What a plan names', params: planParameters, querystring: pageRequest, response: answers({ 200: pageOf(planItem) }) },
    },
    async (request, reply) => linkToNext(request, reply, await storeFor(request).retention.planItems(request.params.digest, request.query)),
  )
  app.post(
    '/retention/plans/:digest/approve',
    {
      schema: {
        tags,
        summary: 'Approve a plan and delete what of it may still go',
        description: 'What was extended, stored again or held meanwhile is left out. Repeatable.',
        params: planParameters,
        body: reasonRequest,
        response: answers({ 200: deletionPlan }),
      },
      preValidation: allowNoBody,
    },
    (request) => storeFor(request).retention.approve(request.params.digest, request.body),
  )
}

function clockRoutes(app: Application, { storeFor }: ServerParts): void {
  app.get('/retention/clock', { schema: { tags, summary: 'Whether the clock can be trusted', response: answers({ 200: clockInfo }) } }, (request) =>
    storeFor(request).retention.clock(),
  )
  app.post(
    '/retention/clock/accept',
    { schema: { tags, summary: "Say that the server's clock is right", body: withReason, response: answers({ 200: clockInfo }) } },
    (request) => storeFor(request).retention.acceptClock(request.body),
  )
}
