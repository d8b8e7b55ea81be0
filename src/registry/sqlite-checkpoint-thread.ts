import { parentPort, workerData } from 'node:worker_threads'
import { DatabaseFile } from './sqlite-driver.ts'

/** Runs one checkpoint of the file it is given, on a thread of its own: it flushes twice and may take seconds. */
const database = new DatabaseFile(String(workerData), { timeout: 50 })
// Passive: neither waits for readers or writers nor makes them wait.
database.exec('pragma synchronous = full; pragma wal_checkpoint(passive)')
database.close()
parentPort?.close()
