import { addPartitionsToTxnV3, type Base, type Connection, endTxnV4, findCoordinatorV4, findErrorBy, initProducerIdV5 } from "@platformatic/kafka"
import { Effect, Schedule } from "effect"
import { newestApi } from "../connections/Kafka.ts"
import { fromCause, KafkaError } from "../connections/KafkaError.ts"

/** As whom records are written; a partition refuses every lower epoch of a producer id than the highest it has seen. */
export interface ProducerIdentity {
  readonly producerId: bigint
  readonly epoch: number
}

/**
 * The right to write into some topics, which one process at a time has: whoever raises the fence shuts out all who raised it before.
 * It has a name, Kafka's `transactional.id`, but writes outside of transactions, so that no reader ever waits for one.
 */
export interface Fence {
  /**
   * When it succeeds, every partition refuses what is written as an earlier identity, and its end offset is behind all that was not
   * refused: whoever now reads the ends sees everything that will ever be there of before. Fails with `fenced` if another process has
   * raised the same fence since this one last did; then only a new `Fence` may, in the right to do so.
   */
  readonly raise: (client: Base) => Effect.Effect<ProducerIdentity, KafkaError>
}

/**
 * A transaction without records: its abort writes a marker with the new epoch into each partition.
 * See `docs/decisions/0011-fencing.md` for what of it was tried on a broker.
 */
export const make = (name: string, topics: ReadonlyArray<string>): Fence => {
  let last: ProducerIdentity | undefined

  const raise = Effect.fnUntraced(function*(client: Base) {
    const ask = askCoordinator(client, name)

    /** A new epoch; after the first time only if the last one is still ours. A repetition whose first answer was lost gets the same one. */
    const enter = ask(async (coordinator) => {
      const init = await newestApi<typeof initProducerIdV5.api>(client, "InitProducerId")
      const { epoch: before, producerId: id } = last ?? none
      const { producerEpoch, producerId } = await init.async(coordinator, name, transactionTimeoutMillis, id, before)
      return last = { producerId, epoch: producerEpoch }
    })

    const partitions = yield* partitionsOf(client, topics)
    const { epoch, producerId } = yield* enter
    const transaction = { transactionalId: name, producerId, producerEpoch: epoch, topics: partitions, verifyOnly: false }
    // Later versions are for brokers among themselves, and need their rights.
    yield* ask((coordinator) => addPartitionsToTxnV3.api.async(coordinator, [transaction]))
    yield* ask(async (coordinator) => {
      const end = await newestApi<typeof endTxnV4.api>(client, "EndTxn")
      await end.async(coordinator, name, producerId, epoch, false)
    })
    // The abort is answered before its markers are written. The next epoch is given when the last partition has its own.
    let identity = yield* enter
    // The last epochs of a producer id are not used: an id that the coordinator changes by itself would leave its last owner unfenced.
    while (identity.producerId === producerId && identity.epoch >= lastEpoch) identity = yield* enter
    return identity
  })

  return {
    raise: (client) => raise(client).pipe(Effect.mapError((cause) => explain(cause, name)))
  }
}

/** Whoever had it before. */
const none: ProducerIdentity = { producerId: -1n, epoch: -1 }

/** If this process dies in between: how long until the coordinator aborts. Nobody waits for it, as nothing is written in the transaction. */
const transactionTimeoutMillis = 10_000

/** The coordinator changes the id at 32,766. */
const lastEpoch = 32_700

/** A coordinator that is just starting, moving, or still writing the markers of the transaction before; longer than its timeout. */
const passing = ["COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR", "CONCURRENT_TRANSACTIONS"]
const passingSchedule = Schedule.spaced("20 millis")
const passingTimes = 750

const askCoordinator = (client: Base, name: string) => <A>(request: (coordinator: Connection) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: async () => request(await coordinatorOf(client, name)), catch: (cause) => cause }).pipe(
    Effect.retry({
      while: (cause) => passing.some((id) => findErrorBy(cause as Error, "apiId", id) !== null),
      schedule: passingSchedule,
      times: passingTimes
    })
  )

const transactional = 1

const coordinatorOf = async (client: Base, name: string): Promise<Connection> => {
  const { brokers } = await client.metadata({ topics: [] })
  const api = await newestApi<typeof findCoordinatorV4.api>(client, "FindCoordinator")
  const anyBroker = await client.connections.getFirstAvailable([...brokers.values()])
  const { coordinators: [coordinator] } = await api.async(anyBroker, transactional, [name])
  return client.connections.get({ host: coordinator!.host, port: coordinator!.port })
}

const partitionsOf = (client: Base, topics: ReadonlyArray<string>) =>
  Effect.tryPromise({
    try: async () => {
      const metadata = await client.metadata({ topics: [...topics], forceUpdate: true })
      return topics.map((name) => ({ name, partitions: [...metadata.topics.get(name)!.partitions.keys()] }))
    },
    catch: (cause) => cause
  })

const explain = (cause: unknown, name: string): KafkaError => {
  const error = fromCause(`Taking over the right to write (transactional id ${name})`, cause)
  return error.reason !== "forbidden" ? error : new KafkaError({
    reason: "forbidden",
    message: `${error.message}. Capture needs the operations Write and Describe on TransactionalId ${name} (kafka-acls.sh --add `
      + `--transactional-id ${name} --operation Write --operation Describe), and Write on its topics`
  })
}
