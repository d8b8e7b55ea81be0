import type { PackageFilter } from '../../store/interface.ts'
import { linkToNext } from '../next-link.ts'
import {
  finalizePackage,
  METADATA_PREFIX,
  openedPackage,
  openPackage,
  packageInfo,
  type PackageSearch,
  packageSearch,
  receipt,
} from '../schema/package-schema.ts'
import { pageOf } from '../schema/page-schema.ts'
import { packageParameters, resolveQuery } from '../schema/parameter-schema.ts'
import { answers, empty } from '../schema/problem-schema.ts'
import { reasonRequest, retentionInfo } from '../schema/retention-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'
import { packageAt } from '../package-at.ts'
import { allowNoBody } from '../request-body.ts'

const tags = ['packages']

/** Opening, finding, sealing and giving up packages. */
export function packageRoutes(app: Application, { storeFor }: ServerParts): void {
  app.post(
    '/packages',
    {
      schema: {
        tags,
        summary: 'Open a package',
        description: 'The same repository and run id again continue, or return, the package that is there.',
        body: openPackage,
        response: answers({ 200: openedPackage, 201: openedPackage }),
      },
    },
    async (request, reply) => {
      const { id, repository, status, reusedExisting } = await storeFor(request).packages.open(request.body)
      return reply
        .code(reusedExisting ? 200 : 201)
        .header('Location', `/packages/${id}`)
        .send({ id, repository, status, reusedExisting })
    },
  )
  app.get(
    '/packages',
    {
      schema: {
        tags,
        summary: 'Find packages, newest first',
        description: 'All filters given must hold. `metadata.<key>=<value>` looks for members of the metadata.',
        querystring: packageSearch,
        response: answers({ 200: pageOf(packageInfo) }),
      },
    },
    async (request, reply) => {
      const { limit, after, ...filters } = request.query
      const page = { ...(limit === undefined ? {} : { limit }), ...(after === undefined ? {} : { after }) }
      return linkToNext(request, reply, await storeFor(request).packages.search(packageFilter(filters), page))
    },
  )
  app.get(
    '/packages/:id',
    { schema: { tags, summary: 'Facts about a package', params: packageParameters, response: answers({ 200: packageInfo }) } },
    (request) => packageAt(storeFor(request), request.params.id),
  )
  app.get(
    '/resolve',
    { schema: { tags, summary: 'Which package a reference means', querystring: resolveQuery, response: answers({ 200: packageInfo }) } },
    (request) => storeFor(request).packages.get(request.query.ref),
  )
  app.delete(
    '/packages/:id',
    {
      schema: {
        tags,
        summary: 'Give an open package up, or ask for a sealed one to be deleted',
        description: 'What its retention or a hold keeps, or what needs an approval, is refused with the rule (409).',
        params: packageParameters,
        querystring: reasonRequest,
        response: answers({ 202: retentionInfo, 204: empty('It is forgotten.') }),
      },
    },
    async (request, reply) => {
      const store = storeFor(request)
      const { id, status } = await packageAt(store, request.params.id)
      if (status !== 'open') return reply.code(202).send(await store.retention.delete(id, request.query))
      await (await store.packages.resume(id)).abort()
      return reply.code(204).send()
    },
  )
  app.post(
    '/packages/:id/finalize',
    {
      schema: {
        tags,
        summary: 'Seal a package',
        description: 'Repeatable: a sealed package returns its receipt.',
        params: packageParameters,
        body: finalizePackage,
        response: answers({ 200: receipt }),
      },
      preValidation: allowNoBody,
    },
    async (request) => {
      const draft = await storeFor(request).packages.resume(request.params.id)
      const { id, ...facts } = await draft.finalize(request.body)
      return { packageId: id, ...facts }
    },
  )
}

function packageFilter(query: PackageSearch): PackageFilter {
  const entries = Object.entries(query)
  const known = Object.fromEntries(entries.filter(([name]) => !name.startsWith(METADATA_PREFIX)))
  const metadata: Record<string, string> = {}
  for (const [name, value] of entries) if (name.startsWith(METADATA_PREFIX)) metadata[name.slice(METADATA_PREFIX.length)] = String(value)
  return Object.keys(metadata).length === 0 ? known : { ...known, metadata }
}
