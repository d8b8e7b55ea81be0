/** Loaded before a measured program (`node --import`): tells, when the process ends, how much memory it needed at most. */
import { writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { processUsage } from '../process-usage.ts'

const file = process.env['BENCH_USAGE_FILE']
if (file !== undefined && isMainThread) process.on('exit', () => writeFileSync(file, JSON.stringify(processUsage('self'))))
