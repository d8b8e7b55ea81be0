import type { Step } from './search.ts'
import {
  type Collector,
  type Compactor,
  type Remover,
  type Uploader,
  type World,
  condemnObject,
  enqueue,
  freeze,
  hold,
  letGo,
  lockable,
  removeBytes,
  step,
  takeLease,
  unlock,
} from './world.ts'

/** Which rules of the protocol are kept. The tests break them one by one. */
export interface Rules {
  /** Whoever names bytes or publishes still owns the object and the open package, in that transaction. */
  readonly fence: boolean
  /** A key is never used twice. */
  readonly freshKeys: boolean
  /** Whoever lets go queues the target. Otherwise: marks it if nobody else is seen to hold it. */
  readonly queueAlways: boolean
  /** Condemning locks the row and looks for holders in a second statement. Otherwise: one statement that waited for the lock. */
  readonly lookAgain: boolean
  /** A reviewer locks the row of the queue, too, and whoever queues waits for it. */
  readonly lockQueue: boolean
}

/** The protocol as it is built. */
export const BUILT: Rules = { fence: true, freshKeys: true, queueAlways: true, lookAgain: true, lockQueue: true }

/** What one actor can do next. */
export function stepsOf(rules: Rules, now: World, index: number): Iterable<Step<World>> {
  const actor = now.actors[index]
  if (actor?.is === 'uploader') return uploaderSteps(rules, now, index, actor)
  if (actor?.is === 'remover') return removerSteps(rules, now, index, actor)
  if (actor?.is === 'collector') return collectorSteps(rules, now, index, actor)
  return actor === undefined ? [] : compactorSteps(rules, now, index, actor)
}

function* uploaderSteps(rules: Rules, now: World, index: number, actor: Uploader): Generator<Step<World>> {
  const act = (what: string, change: (then: World, self: Uploader) => void): Step<World> =>
    step(`${actor.name} ${what}`, now, (then) => {
      const self = then.actors[index]
      if (self?.is === 'uploader') change(then, self)
    })
  const live = now.chunks.find((chunk) => chunk.digest === actor.digest && !chunk.condemned)
  switch (actor.at) {
    case 'resolve':
      if (live === undefined) yield act('finds nothing', (_then, self) => (self.at = 'intent'))
      else if (lockable(now, `chunk ${live.id}`, index, false))
        yield act('finds and locks a chunk', (then, self) => {
          then.locks.push([`chunk ${live.id}`, index, false])
          Object.assign(self, { at: 'attach', chunk: live.id })
        })
      return
    case 'attach':
      yield act('holds it and commits', (then, self) => {
        unlock(then, index)
        hold(then, `draft ${self.name}`, self.chunk)
        self.at = 'publish'
      })
      return
    case 'intent':
      yield act('records its intent', (then, self) => {
        self.lease = takeLease(then, `${self.name} ${self.lost}`)
        self.begun += 1
        self.key = rules.freshKeys ? `${self.name}-${self.begun}` : `key-${self.digest}`
        then.objects = then.objects.filter(({ key }) => key !== self.key)
        then.objects.push({ key: self.key, pack: self.pack, owner: self.lease, state: 'unfinished' })
        self.at = 'put'
      })
      return
    case 'put':
      yield act('writes and flushes', (then, self) => {
        if (!then.bytes.some(([key, digest]) => key === self.key && digest === self.digest)) then.bytes.push([self.key, self.digest])
        self.at = 'record'
      })
      return
    case 'record':
      if (live === undefined || lockable(now, `chunk ${live.id}`, index, false))
        yield act('names its bytes', (then, self) => nameBytes(rules, then, self))
      return
    case 'publish':
      yield act('publishes', (then, self) => {
        if (rules.fence && !then.drafts.includes(self.name)) {
          end(then, self, 'failed')
          return
        }
        hold(then, `package ${self.name}`, self.chunk)
        letGo(then, `draft ${self.name}`, self.chunk)
        then.drafts = then.drafts.filter((name) => name !== self.name)
        then.promised[self.name] = self.digest
        end(then, self, 'done')
      })
      break
    default:
  }
}

function nameBytes(rules: Rules, then: World, self: Uploader): void {
  const object = then.objects.find(({ key }) => key === self.key)
  const owns = object !== undefined && object.owner === self.lease && object.state !== 'condemned' && then.leases.includes(self.lease)
  if (!then.drafts.includes(self.name)) {
    end(then, self, 'failed')
    return
  }
  if (rules.fence && !owns) {
    self.lost += 1
    self.at = 'resolve'
    return
  }
  const live = then.chunks.find((chunk) => chunk.digest === self.digest && !chunk.condemned)
  const own = `${self.digest} in ${self.key}`
  const id = live?.id ?? own
  // The copy of whoever comes second is known, and dead from the start.
  then.chunks.push({ id: own, digest: self.digest, key: self.key, condemned: live !== undefined })
  if (object !== undefined && !object.pack) Object.assign(object, { owner: '', state: live === undefined ? 'sealed' : 'condemned' })
  hold(then, `draft ${self.name}`, id)
  Object.assign(self, { at: 'publish', chunk: id })
}

/** A writer closes: its lease goes, and what it wrote is nobody's. */
function end(then: World, self: Uploader | Compactor, at: 'done' | 'failed' | 'idle'): void {
  freeze(then, self.lease)
  Object.assign(self, { at, lease: '' })
}

function* removerSteps(rules: Rules, now: World, index: number, actor: Remover): Generator<Step<World>> {
  const holder = `package ${actor.name}`
  const held = now.holders.find(([by]) => by === holder)
  if (actor.at === 'look' && held !== undefined) {
    const [, chunk] = held
    if (rules.lockQueue && rules.queueAlways && !lockable(now, `queue ${chunk}`, index, true)) return
    yield step(`the remover of ${actor.name} deletes its row`, now, (then) => {
      const self = then.actors[index]
      delete then.promised[actor.name]
      if (rules.lockQueue && rules.queueAlways) then.locks.push([`queue ${chunk}`, index, true])
      const sawOthers = now.holders.some(([by, target]) => target === chunk && by !== holder)
      if (self?.is === 'remover') Object.assign(self, { at: 'commit', chunk, sawOthers })
    })
  }
  if (actor.at === 'commit') {
    yield step(`the remover of ${actor.name} commits`, now, (then) => {
      unlock(then, index)
      letGo(then, holder, actor.chunk)
      if (rules.queueAlways || !actor.sawOthers) enqueue(then, actor.chunk)
      const self = then.actors[index]
      if (self?.is === 'remover') self.at = 'done'
    })
  }
}

function* collectorSteps(rules: Rules, now: World, index: number, actor: Collector): Generator<Step<World>> {
  const act = (what: string, change: (then: World, self: Collector) => void): Step<World> =>
    step(`collector ${index} ${what}`, now, (then) => {
      const self = then.actors[index]
      if (self?.is === 'collector') change(then, self)
    })
  const isHeld = now.holders.some(([, target]) => target === actor.chunk)
  switch (actor.at) {
    case 'idle':
      yield* startReview(rules, now, index, act)
      for (const { key } of now.objects.filter(({ state }) => state === 'condemned')) {
        yield act(`deletes ${key}`, (then, self) => {
          removeBytes(then, key)
          Object.assign(self, { at: 'confirmed', key })
        })
        if (now.unknownDeletes > 0)
          yield act(`deletes ${key} and hears nothing`, (then) => {
            then.unknownDeletes -= 1
            then.late.push(key)
          })
      }
      return
    case 'look':
      yield act(isHeld ? 'sees that it is held' : 'sees that nothing holds it', (_then, self) => (self.at = isHeld ? 'keep' : 'condemn'))
      return
    case 'unchecked':
      if (lockable(now, `chunk ${actor.chunk}`, index, true)) yield act('condemns what it looked at before it waited', condemnChunk)
      return
    case 'condemn':
      yield act('condemns', condemnChunk)
      return
    case 'keep':
      yield act('keeps', (then, self) => {
        unlock(then, index)
        then.queue = then.queue.filter((chunk) => chunk !== self.chunk)
        self.at = 'idle'
      })
      return
    case 'confirmed':
      yield act('removes the rows', (then, self) => {
        then.chunks = then.chunks.filter(({ key, condemned }) => key !== self.key || !condemned)
        then.objects = then.objects.filter(({ key, state }) => key !== self.key || state !== 'condemned')
        self.at = 'idle'
      })
  }

  function condemnChunk(then: World, self: Collector): void {
    unlock(then, index)
    then.queue = then.queue.filter((chunk) => chunk !== self.chunk)
    const chunk = then.chunks.find(({ id }) => id === self.chunk)
    if (chunk !== undefined) {
      chunk.condemned = true
      const object = then.objects.find(({ key }) => key === chunk.key)
      if (object !== undefined && !object.pack) object.state = 'condemned'
    }
    self.at = 'idle'
  }
}

function* startReview(
  rules: Rules,
  now: World,
  index: number,
  act: (what: string, change: (then: World, self: Collector) => void) => Step<World>,
): Generator<Step<World>> {
  for (const chunk of now.queue) {
    if (!rules.lookAgain) {
      const isHeld = now.holders.some(([, target]) => target === chunk)
      yield act(`reviews chunk ${chunk} in one statement`, (_then, self) => Object.assign(self, { at: isHeld ? 'keep' : 'unchecked', chunk }))
      continue
    }
    const rows = [`chunk ${chunk}`, ...(rules.lockQueue ? [`queue ${chunk}`] : [])]
    if (!rows.every((row) => lockable(now, row, index, true))) continue
    yield act(`locks chunk ${chunk}`, (then, self) => {
      for (const row of rows) then.locks.push([row, index, true])
      Object.assign(self, { at: 'look', chunk })
    })
  }
}

function* compactorSteps(rules: Rules, now: World, index: number, actor: Compactor): Generator<Step<World>> {
  const act = (what: string, change: (then: World, self: Compactor) => void): Step<World> =>
    step(`compactor ${index} ${what}`, now, (then) => {
      const self = then.actors[index]
      if (self?.is === 'compactor') change(then, self)
    })
  switch (actor.at) {
    case 'idle':
      for (const object of now.objects) {
        const isFree = object.owner === '' && object.state === 'sealed'
        if (!object.pack || !isFree) continue
        const moving = now.chunks.filter(({ key, condemned }) => key === object.key && !condemned).map(({ id, digest }) => ({ chunk: id, digest }))
        const isWorn = now.bytes.filter(([key]) => key === object.key).length !== moving.length || moving.length === 0
        if (!isWorn) continue
        yield act(`reads ${object.key}`, (_then, self) =>
          Object.assign(self, { at: moving.length === 0 ? 'leave' : 'intent', from: object.key, moving }),
        )
      }
      return
    case 'intent':
      yield act('records its intent', (then, self) => {
        self.begun += 1
        self.lease = takeLease(then, `compactor ${index} ${self.begun}`)
        self.key = `compacted-${index}-${self.begun}`
        then.objects.push({ key: self.key, pack: true, owner: self.lease, state: 'unfinished' })
        self.at = 'put'
      })
      return
    case 'put':
      yield act('writes and flushes', (then, self) => {
        for (const { digest } of self.moving)
          if (then.bytes.some(([key, stored]) => key === self.from && stored === digest)) then.bytes.push([self.key, digest])
        self.at = 'point'
      })
      return
    case 'point':
      yield act('points to the copies', (then, self) => {
        const object = then.objects.find(({ key }) => key === self.key)
        const owns = object !== undefined && object.owner === self.lease && object.state !== 'condemned'
        const isComplete = self.moving.every(({ digest }) => then.bytes.some(([key, stored]) => key === self.key && stored === digest))
        self.at = 'leave'
        if ((rules.fence && !owns) || !isComplete) return end(then, self, 'idle')
        for (const { chunk: id, digest } of self.moving) {
          const chunk = then.chunks.find((row) => row.id === id)
          if (chunk !== undefined && !chunk.condemned && chunk.key === self.from) chunk.key = self.key
          else then.chunks.push({ id: `${digest} in ${self.key}`, digest, key: self.key, condemned: true })
        }
      })
      return
    case 'leave':
      yield act('leaves the old pack', (then, self) => {
        const isEmpty = !then.chunks.some(({ key, condemned }) => key === self.from && !condemned)
        if (isEmpty) condemnObject(then, self.from)
        end(then, self, 'idle')
        Object.assign(self, { from: '', key: '', moving: [] })
      })
  }
}
