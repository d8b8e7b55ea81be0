/**
 * The least that a Node server can do: `bare-server.ts FOLDER` sends the files of a folder and stores what is PUT there, durably: a temporary file,
 * flushed, renamed, its folder flushed. Prints its port.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const folder = process.argv[2] ?? ''
/** From here on a stream is faster than the whole. */
const LARGE_BYTES = 128 * 1024
const PIECE_BYTES = 1024 * 1024

async function send(path: string, response: ServerResponse): Promise<void> {
  const { size } = await stat(path)
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': size })
  if (size > LARGE_BYTES) await pipeline(createReadStream(path, { highWaterMark: PIECE_BYTES }), response)
  else response.end(await readFile(path))
}

async function receive(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  await pipeline(request, createWriteStream(`${path}.part`, { flush: true }))
  await rename(`${path}.part`, path)
  const directory = await open(folder)
  await directory.sync()
  await directory.close()
  response.writeHead(201, { 'Content-Length': 0 }).end()
}

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  const path = join(folder, request.url ?? '')
  const work = request.method === 'PUT' ? receive(path, request, response) : send(path, response)
  work.catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.stdout.write(`${typeof address === 'object' ? (address?.port ?? '') : ''}\n`)
})
