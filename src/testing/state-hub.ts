import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { DatabaseSync } from 'node:sqlite'

/** An entry as the hub keeps it. `detail` is whatever was sent. */
export interface ProgressEntry {
  readonly id: number
  readonly summary: string
  readonly event_type: string
  readonly author: string
  readonly workstream_id: string | null
  readonly task_id: string | null
  readonly detail: Readonly<Record<string, unknown>>
  /** The header of the delivery. */
  readonly webhook_id: string | null
}

/** A State Hub that runs. */
export interface StateHub extends AsyncDisposable {
  /** For `STATE_HUB_URL`. */
  readonly url: string
  readonly port: number
  /** All entries, oldest first. */
  entries(): readonly ProgressEntry[]
  /** Entries, of which those that repeat an event are one. */
  effective(): readonly ProgressEntry[]
  /** From now on every entry gets this status; 201 takes them in again. `store`: takes it in nevertheless, so that the answer is what is lost. */
  answer(status: number, store?: boolean): void
  stop(): Promise<void>
}

const MEMBERS = ['summary', 'event_type', 'author', 'topic_id', 'workstream_id', 'task_id', 'decision_id', 'detail']
const EVENT_TYPES = ['artifact_link', 'progress', 'decision', 'blocker']

/**
 * A small State Hub: takes entries at `POST /progress/`, keeps them in a database that only ever adds, and lists them at `GET /progress/`.
 * @param file its database, which outlives it
 * @param port 0 takes any free one
 */
export async function startStateHub(file: string, port = 0): Promise<StateHub> {
  const database = new DatabaseSync(file)
  database.exec(`
    create table if not exists progress (
      id integer primary key, summary text not null, event_type text not null, author text not null,
      workstream_id text, task_id text, detail text not null, webhook_id text);
    create trigger if not exists no_update before update on progress begin select raise(abort, 'append only'); end;
    create trigger if not exists no_delete before delete on progress begin select raise(abort, 'append only'); end;`)
  const insert = database.prepare(
    'insert into progress (summary, event_type, author, workstream_id, task_id, detail, webhook_id) values (?, ?, ?, ?, ?, ?, ?)',
  )
  const entries = (): readonly ProgressEntry[] =>
    database
      .prepare('select * from progress order by id')
      .all()
      // Sound: the columns are those of the table above.
      .map((row) => ({ ...row, detail: JSON.parse(String(row['detail'])) as unknown }) as ProgressEntry)
  let [status, stores] = [201, true]

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url !== '/progress/') return end(response, 404, { detail: 'not found' })
    if (request.method === 'GET') return end(response, 200, entries())
    const entry = parseEntry(await text(request))
    if (entry === undefined) return end(response, 422, { detail: 'not an entry' })
    if (stores) {
      const [summary, type, author, workstream, task] = entry.texts
      const id = request.headers['webhook-id']
      insert.run(summary, type, author, workstream, task, JSON.stringify(entry.detail), typeof id === 'string' ? id : null)
    }
    return end(response, status, { status })
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  // Sound: it listens on TCP.
  const address = server.address() as AddressInfo
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    database.close()
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    entries,
    effective: () => {
      const known = new Map(entries().map((entry) => [entry.detail['event_id'], entry]))
      return [...known.values()]
    },
    answer: (next, store = next < 300) => {
      status = next
      stores = store
    },
    stop: () => (stopping ??= stop()),
    [Symbol.asyncDispose]: () => (stopping ??= stop()),
  }
}

type Column = string | null

function parseEntry(body: string): { readonly texts: readonly [Column, Column, Column, Column, Column]; readonly detail: unknown } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const members = new Map<string, unknown>(Object.entries(parsed))
  const column = (name: string): Column => {
    const value = members.get(name)
    return typeof value === 'string' ? value : null
  }
  const [summary, type, author] = [column('summary'), column('event_type'), column('author')]
  if (summary === null || author === null || type === null || !EVENT_TYPES.includes(type)) return undefined
  if ([...members.keys()].some((name) => !MEMBERS.includes(name))) return undefined
  return { texts: [summary, type, author, column('workstream_id'), column('task_id')], detail: members.get('detail') ?? {} }
}

function end(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
