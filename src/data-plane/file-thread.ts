import { parentPort } from 'node:worker_threads'
import { revived, runTask } from './file-task.ts'
import type { FileTask } from './file-task.ts'

/** The thread of {@link FileThreads}: says that it is ready, runs one task after the other and sends the memory back. */
parentPort?.on('message', (message: FileTask) => {
  const steps = runTask(revived(message))
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  parentPort?.postMessage(step.value, [step.value.memory])
})
parentPort?.postMessage('ready', [])
