import type { Define } from '../command-context.ts'
import { defineClasses } from './retention-classes.ts'
import { defineClock } from './retention-clock.ts'
import { defineCertificate, definePackageRetention } from './retention-package.ts'
import { defineApprove, definePlan } from './retention-plan.ts'

/** `retention`: how long packages are kept, what may be deleted, and what became of it. */
export const define: Define = (command, act) => {
  command
    .description('Works with retention: how long packages are kept, on which rule, what may be deleted, and what became of it.')
    .usage('COMMAND …')
    .helpCommand(false)
  definePackageRetention(command, act)
  definePlan(command, act)
  defineApprove(command, act)
  defineCertificate(command, act)
  defineClasses(command, act)
  defineClock(command, act)
}
