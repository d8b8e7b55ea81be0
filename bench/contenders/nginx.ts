import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Contender } from '../contender.ts'
import { ServerProcess } from '../server-process.ts'
import { HttpAttempt } from './http-server.ts'

/** The web server that others are compared with. It does not flush what it receives. */
export const nginx: Contender = {
  name: 'nginx',
  about: 'nginx with one worker and sendfile; files are received by its WebDAV module, which does not flush them',
  operations: {
    download: { flushes: false },
    'download by 16': { flushes: false },
    'download by 64': { flushes: false },
    upload: { flushes: false },
    'upload by 16': { flushes: false },
    'upload by 64': { flushes: false },
    keep: { flushes: false },
  },
  version: () => {
    const { status, stderr } = spawnSync('nginx', ['-v'], { encoding: 'utf8' })
    return status === 0 ? stderr.trim() : undefined
  },
  prepare: async (input, folder) => {
    const files = join(folder, 'files')
    cpSync(input.folder, files, { recursive: true })
    mkdirSync(join(folder, 'temporary'))
    const port = await freePort()
    writeFileSync(join(folder, 'nginx.conf'), configuration(folder, port))
    // It prints nothing when it is ready; the shell does as soon as it answers, and becomes it before.
    const script = `nginx -c "$1" & trap 'kill $!; wait' TERM; until (exec 3<>/dev/tcp/127.0.0.1/$2) 2>/dev/null; do sleep 0.05; done; echo ready; wait`
    const server = await ServerProcess.start('bash', ['-c', script, 'bash', join(folder, 'nginx.conf'), String(port)], folder)
    return new HttpAttempt(nginx, input, folder, {
      port,
      get peakBytes() {
        return server.peakBytes
      },
      download: (path) => `/${path}`,
      upload: async () => '/uploaded-',
      end: () => server.end(),
    })
  },
}

/** Runs as whoever measures, since the working folder belongs to them. */
function configuration(folder: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/temporary/${name};`)
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user} worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.err;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; client_max_body_size 0; ${temporary.join(' ')}
  server { listen 127.0.0.1:${port}; location / { root ${folder}/files; dav_methods PUT; } }
}
`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}
