import { type Random } from "../../src/embedded/hub/Random.ts"
import { runCdc, startCdc } from "../support/CdcProcess.ts"
import { hubFaults } from "./HubFaults.ts"
import * as Instance from "./Instance.ts"
import type { Server } from "./Server.ts"
import type { World } from "./World.ts"

/** Something that goes wrong, and is over when it resolves; what must recover by itself is given no help. */
export interface Fault {
  readonly name: string
  /** How often, in parts of the whole. */
  readonly parts: number
  readonly inflict: (world: World, random: Random) => Promise<void>
}

const anInstance = (world: World, random: Random): Instance.Instance => random.pick(world.instances)
const aServer = (world: World, random: Random): World["postgres"] | World["kafka"] => random.pick([world.postgres, world.kafka])

/** Seconds of a server that is frozen, or of a link that is down: some less, some more than any time-out in between. */
const interruptionMillis = (random: Random): number => random.between(500, 6_000)
const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

const killInstance: Fault["inflict"] = async (world, random) => {
  const instance = anInstance(world, random)
  await instance.kill()
  await pause(random.between(0, 1_500))
  instance.start()
}

const stopInstance: Fault["inflict"] = async (world, random) => {
  const instance = anInstance(world, random)
  await instance.stop()
  instance.start()
}

/** Longer than the slot is kept for it, so that the other one takes over, and then it awakens. */
const freezeInstance: Fault["inflict"] = async (world, random) => {
  const instance = anInstance(world, random)
  instance.freeze()
  await pause(random.between(3_000, 7_000))
  instance.thaw()
}

const killBoth: Fault["inflict"] = async ({ instances }) => {
  await Promise.all(instances.map((instance) => instance.kill()))
  for (const instance of instances) instance.start()
}

const killServer = async (server: Server, random: Random): Promise<void> => {
  await server.kill()
  await pause(random.between(0, 2_000))
  await server.start()
}

const restartServer = async (server: Server): Promise<void> => {
  await server.stop()
  await server.start()
}

const freezeServer: Fault["inflict"] = async (world, random) => {
  const server = aServer(world, random)
  server.freeze()
  await pause(interruptionMillis(random))
  server.thaw()
}

const holdNetwork: Fault["inflict"] = async (world, random) => {
  const { network } = aServer(world, random)
  network.hold()
  await pause(interruptionMillis(random))
  network.release()
}

/** What was held is lost, as after a firewall has forgotten its connections. */
const loseNetwork: Fault["inflict"] = async (world, random) => {
  const { network } = aServer(world, random)
  network.hold()
  await pause(random.between(100, 2_000))
  network.cut()
  await pause(random.between(0, 2_000))
  network.release()
}

/** What operators do at work; whether it is taken at this moment is another question. */
const readAgain: Fault["inflict"] = async (world, random) => {
  const tables = ["outreach.bit_signals", "outreach.send_log", "outreach.outreach", "bit.bit_contact_score"]
  await runCdc(["snapshot", random.pick(tables), "--no-wait"], world.environment).catch(() => {})
}

/** A table that nothing depends on. Its topic must forget the rows, too, for readers that know no `t`. */
const truncate: Fault["inflict"] = async (world) => {
  await world.query("truncate outreach.bit_errors")
}

/** A third process of everything for a while; its end is a crash. */
const double: Fault["inflict"] = async (world, random) => {
  const third = await Instance.make("C", world.environment, world.program)
  third.start()
  await pause(random.between(2_000, 8_000))
  await third.kill()
}

/** A replay while everything goes on; often it is killed on its way, and the next one goes on from there, or begins again. */
const replay: Fault["inflict"] = async (world, random) => {
  const pipeline = random.pick(["bit-scores", "campaign-totals", "legacy-mirrors"])
  const replaying = startCdc(["replay", pipeline, ...random.chance(0.3) ? ["--restart"] : []], world.environment, world.program)
  await Promise.race([replaying.ended, pause(random.chance(0.5) ? random.between(500, 5_000) : 20_000)])
  await replaying.kill()
}

const terminate = (which: string): Fault["inflict"] => async (world) => {
  await world.query(`select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and ${which}`)
}

export const faults: ReadonlyArray<Fault> = [
  ...hubFaults,
  { name: "double the instances", parts: 2, inflict: double },
  { name: "replay a pipeline", parts: 4, inflict: replay },
  { name: "kill an instance", parts: 4, inflict: killInstance },
  { name: "stop an instance in order", parts: 2, inflict: stopInstance },
  { name: "freeze an instance and awaken it", parts: 4, inflict: freezeInstance },
  { name: "kill both instances", parts: 1, inflict: killBoth },
  { name: "kill Postgres", parts: 2, inflict: (world, random) => killServer(world.postgres, random) },
  { name: "restart Postgres", parts: 1, inflict: (world) => restartServer(world.postgres) },
  { name: "kill Kafka", parts: 2, inflict: (world, random) => killServer(world.kafka, random) },
  { name: "restart Kafka", parts: 1, inflict: (world) => restartServer(world.kafka) },
  { name: "freeze a server", parts: 3, inflict: freezeServer },
  { name: "hold the network", parts: 3, inflict: holdNetwork },
  { name: "lose the network", parts: 3, inflict: loseNetwork },
  { name: "have a table read again", parts: 3, inflict: readAgain },
  { name: "truncate a table", parts: 2, inflict: truncate },
  { name: "end the replication connection", parts: 2, inflict: terminate("backend_type = 'walsender'") },
  { name: "end SQL connections", parts: 1, inflict: terminate("backend_type = 'client backend' and random() < 0.5") }
]
