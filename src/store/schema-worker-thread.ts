import { parentPort } from 'node:worker_threads'
import { runSchemaTask, type SchemaTask } from './schema-task.ts'

/** The thread of {@link SchemaThread}: one task after the other. */
parentPort?.on('message', (task: SchemaTask) => parentPort?.postMessage(runSchemaTask(task), []))
