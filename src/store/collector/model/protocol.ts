import { type Rules, stepsOf } from './actors.ts'
import type { Step } from './search.ts'
import { type World, condemnObject, crash, expire, freeze, land, lockable, losesSomething, nameOf, removeBytes, step } from './world.ts'

/**
 * The protocol of collection as a model, small enough that every interleaving of a few actors can be looked at. What is one step here is one
 * transaction, one statement where that matters (read committed: a transaction sees what others committed before each of its statements, and waits
 * for rows they locked), or one call of the backend. An actor that is stopped is one that simply takes no step for a while.
 */

/** Everything that can happen next. */
export function* nextSteps(rules: Rules, now: World): Generator<Step<World>, void, undefined> {
  for (const [index, actor] of now.actors.entries()) {
    yield* stepsOf(rules, now, index)
    if (now.crashes > 0 && losesSomething(actor)) yield step(`${nameOf(now, index)} crashes`, now, (then) => crash(then, index))
  }
  for (const lease of now.leases) {
    const inUse = now.actors.some((actor) => 'lease' in actor && actor.lease === lease)
    if (inUse && now.stops === 0) continue
    yield step(`lease ${lease} is taken away`, now, (then) => {
      if (inUse) then.stops -= 1
      freeze(then, lease)
    })
  }
  for (const key of now.late) yield step(`the late delete of ${key} lands`, now, (then) => land(then, key))
  for (const name of now.expiries > 0 ? now.drafts : []) {
    const queued = now.holders.filter(([holder]) => holder === `draft ${name}`).map(([, chunk]) => `queue ${chunk}`)
    if (rules.lockQueue && !queued.every((row) => lockable(now, row, -1, true))) continue
    yield step(`open package ${name} expires`, now, (then) => expire(then, name))
  }
  for (const object of now.objects) {
    if (!object.pack && object.state === 'unfinished' && object.owner === '')
      yield step(`unfinished ${object.key} is condemned`, now, (then) => condemnObject(then, object.key))
  }
  for (const [key] of now.bytes) {
    if (!now.objects.some((object) => object.key === key)) yield step(`the audit removes ${key}`, now, (then) => removeBytes(then, key))
  }
}

/**
 * What is wrong in a world: something promised cannot be read, or held by an open package; at rest: bytes that nothing needs are still there.
 */
export function wrongIn(now: World, atRest: boolean): string | undefined {
  for (const [name, digest] of Object.entries(now.promised)) {
    if (!readable(now, digest, `package ${name}`)) return `package ${name} was promised, but ${digest} cannot be read`
  }
  for (const actor of now.actors) {
    const told = actor.is === 'uploader' && actor.at === 'publish' && now.drafts.includes(actor.name)
    if (told && !readable(now, actor.digest, `draft ${actor.name}`)) return `${actor.digest} was stored for ${actor.name}, but cannot be read`
  }
  if (!atRest) return undefined
  const garbage = now.bytes.find(([key, digest]) => !now.chunks.some((chunk) => !chunk.condemned && chunk.key === key && chunk.digest === digest))
  if (garbage !== undefined) return `${garbage[1]} in ${garbage[0]} is garbage for ever`
  const unheld = now.chunks.find((chunk) => !now.holders.some(([, target]) => target === chunk.id))
  return unheld === undefined ? undefined : `chunk ${unheld.id} is held by nobody, for ever`
}

function readable(now: World, digest: string, holder: string): boolean {
  return now.chunks.some(
    (chunk) =>
      chunk.digest === digest &&
      !chunk.condemned &&
      now.holders.some(([by, target]) => by === holder && target === chunk.id) &&
      now.bytes.some(([key, stored]) => key === chunk.key && stored === digest),
  )
}
