import * as Lsn from "../domain/Lsn.ts"
import { CaptureError } from "./CaptureError.ts"
import * as PgOutput from "./PgOutput.ts"
import { resnapshot } from "../domain/Remedy.ts"
import type { ReplicationConnection } from "./ReplicationConnection.ts"
import type { WalMessage } from "./WalMessage.ts"
import { WalStretch } from "./WalStretch.ts"

type Taker = (taken: ReadonlyArray<WalMessage> | CaptureError) => void

/** Of `wal_sender_timeout`s: how long a server that was asked for an answer may stay silent. A huge transaction keeps it busy for some. */
const silentTimeouts = 3

/**
 * The replication connection's receiving end: copies each message as it comes (`pg` reuses the memory), keeps what
 * nobody has taken yet within `maxBufferedBytes` by pausing the socket, decodes what is taken, and sends the status messages.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class ReplicationBuffer {
  readonly #connection: ReplicationConnection
  readonly #maxBufferedBytes: number
  readonly #silenceMillis: number
  readonly #statusTimer: NodeJS.Timeout
  readonly #onCopyData = (message: { readonly chunk: Buffer }) => this.#receive(message.chunk)
  readonly #onNotice = (notice: { readonly message?: string }) => this.#heed(notice.message ?? "")

  readonly #stretches: Array<WalStretch> = []
  /** What came last is in it, or was. */
  #lastStretch: WalStretch | undefined
  #bufferedBytes = 0
  #paused = false
  #taker: Taker | undefined
  #handingOver = false
  #failure: CaptureError | undefined
  #started = false

  /** When the server said something last, or could have; wall clock, ms. */
  #lastHeard = 0
  #insideTransaction = false
  /** The end of the last commit received: below it something may be outstanding. */
  #lastCommitEnd: Lsn.Lsn = Lsn.zero
  /** The end of everything received. */
  #received: Lsn.Lsn = Lsn.zero
  /** Up to here nothing is needed from the server any more: acknowledged, or none of ours. */
  #safe: Lsn.Lsn = Lsn.zero
  /** Told to the server. */
  #confirmed: Lsn.Lsn = Lsn.zero
  #whenSafe: (() => void) | undefined

  constructor(
    connection: ReplicationConnection,
    options: { readonly maxBufferedBytes: number; readonly statusIntervalSeconds: number; readonly walSenderTimeoutSeconds: number }
  ) {
    this.#connection = connection
    this.#silenceMillis = options.walSenderTimeoutSeconds * 1000 * silentTimeouts
    this.#maxBufferedBytes = options.maxBufferedBytes
    connection.on("copyData", this.#onCopyData)
    connection.on("notice", this.#onNotice)
    this.#statusTimer = setInterval(() => this.#beat(), options.statusIntervalSeconds * 1000)
  }

  /** The server streams: status messages may go out from now on. */
  start(): void {
    this.#started = true
    this.#lastHeard = Date.now()
  }

  /** Hands over at once or when something comes, once; the returned function withdraws. */
  take(taker: Taker): () => void {
    this.#taker = taker
    this.#handOver()
    return () => {
      if (this.#taker === taker) this.#taker = undefined
    }
  }

  /** Whether `take` would hand over at once. */
  get hasMore(): boolean {
    return this.#stretches.length > 0
  }

  confirm(endLsn: Lsn.Lsn): void {
    if (endLsn < this.#safe || endLsn > this.#received) {
      throw new RangeError(
        `Confirming ${Lsn.format(endLsn)}, outside of what is confirmed (${Lsn.format(this.#safe)}) and received (${Lsn.format(this.#received)})`
      )
    }
    this.#moveSafe(endLsn)
  }

  /** What may be told to the server and was not yet; undefined: nothing. */
  get untold(): Lsn.Lsn | undefined {
    return this.#safe > this.#confirmed ? this.#safe : undefined
  }

  /** Calls once, when something is `untold`; the returned function withdraws. */
  whenUntold(call: () => void): () => void {
    this.#whenSafe = call
    if (this.untold !== undefined) this.#announceSafe()
    return () => {
      if (this.#whenSafe === call) this.#whenSafe = undefined
    }
  }

  /** From here on the server may forget what comes before `lsn`, which was `untold`. */
  tell(lsn: Lsn.Lsn): void {
    this.#confirmed = lsn
    this.sendStatus()
  }

  #moveSafe(lsn: Lsn.Lsn): void {
    this.#safe = lsn
    this.#announceSafe()
  }

  #announceSafe(): void {
    const call = this.#whenSafe
    this.#whenSafe = undefined
    call?.()
  }

  /** Silent before the stream starts, when the server would take it for a command, and after it has ended. */
  sendStatus(answer = false): void {
    if (!this.#started || this.#failure !== undefined) return
    this.#connection.sendCopyFromChunk(statusMessage(this.#received, this.#confirmed, answer))
  }

  /** A server that vanished without a word (a cut network) is noticed here, long before TCP gives up. It is asked for an answer each time. */
  #beat(): void {
    if (!this.#started || this.#paused) this.#lastHeard = Date.now()
    const silence = Date.now() - this.#lastHeard
    if (silence <= this.#silenceMillis) return this.sendStatus(true)
    this.fail(new CaptureError({ reason: "interrupted", message: `Postgres has sent nothing for ${Math.round(silence / 1000)} s on the replication connection` }))
    this.#connection.stream.destroy()
  }

  /** The stream is over: whoever takes is told, after what had come before. */
  fail(error: CaptureError): void {
    if (!this.#started) return // a refused start has told its caller
    this.#failure ??= error
    this.#handOver()
  }

  /**
   * Tells the last position, and ends the stream: the server says so once it has read that. Who only closes the connection may have what was
   * told thrown away with what was sent and not read. Waits a second at most: a server in a huge transaction looks up rarely.
   */
  async close(): Promise<void> {
    clearInterval(this.#statusTimer)
    this.sendStatus()
    this.#connection.off("copyData", this.#onCopyData)
    this.#connection.off("notice", this.#onNotice)
    const { stream } = this.#connection
    if (!this.#started || this.#failure !== undefined || !stream.writable) return
    const ended = Promise.withResolvers<void>()
    const giveUp = setTimeout(ended.resolve, 1_000)
    this.#connection.once("readyForQuery", ended.resolve)
    stream.once("close", ended.resolve)
    this.#connection.endCopyFrom()
    stream.resume()
    await ended.promise
    clearTimeout(giveUp)
  }

  /** Nothing comes after a failure, even if it has come: what lies between would be missing. */
  #receive(chunk: Buffer): void {
    if (this.#failure !== undefined) return
    this.#lastHeard = Date.now()
    try {
      if (chunk[0] === xLogData) this.#accept(chunk)
      else if (chunk[0] === primaryKeepalive) this.#acceptKeepalive(Lsn.Lsn(chunk.readBigUInt64BE(1)), chunk[17] === 1)
    } catch (cause) {
      this.fail(this.#undecodable(cause as Error))
      this.#connection.stream.destroy()
    }
  }

  #undecodable(cause: Error): CaptureError {
    return new CaptureError({
      reason: "undecodable",
      message: `The slot's stream can't be decoded at ${Lsn.format(this.#received)}: ${cause.message}. Nothing past it is confirmed; this needs a fixed version.`
    })
  }

  #accept(chunk: Buffer): void {
    if (PgOutput.isBegin(chunk, xLogDataHeaderBytes)) this.#insideTransaction = true
    else if (PgOutput.isCommit(chunk, xLogDataHeaderBytes)) this.#endTransaction(PgOutput.decode(chunk, xLogDataHeaderBytes) as Commit)
    this.#bufferedBytes += this.#stretchFor(chunk.length - xLogDataHeaderBytes).add(chunk, xLogDataHeaderBytes)
    if (!this.#paused && this.#bufferedBytes >= this.#maxBufferedBytes) {
      this.#paused = true
      this.#connection.stream.pause()
    }
    this.#handOverSoon()
  }

  #endTransaction({ endLsn }: Commit): void {
    this.#insideTransaction = false
    this.#lastCommitEnd = endLsn
    this.#received = Lsn.max(this.#received, endLsn)
  }

  /** With room for a message of so many bytes; of those that wait the last. */
  #stretchFor(bytes: number): WalStretch {
    const last = this.#lastStretch
    if (last !== undefined && this.#stretches.length > 0 && last.hasRoomFor(bytes)) return last
    const next = WalStretch.behind(last, bytes)
    this.#stretches.push(next)
    return this.#lastStretch = next
  }

  /** A keepalive comes after everything up to its end of WAL, so if nothing is outstanding all of that is done with. */
  #acceptKeepalive(walEnd: Lsn.Lsn, replyNow: boolean): void {
    this.#received = Lsn.max(this.#received, walEnd)
    const outstanding = this.#insideTransaction || this.#safe < this.#lastCommitEnd
    if (!outstanding && walEnd > this.#safe) this.#moveSafe(walEnd)
    if (replyNow) this.sendStatus()
  }

  /** Postgres 18 only warns where 15 fails: a missing publication would be an empty stream for ever. */
  #heed(notice: string): void {
    if (!/skipped loading publication/.test(notice)) return
    this.fail(new CaptureError({
      reason: "gap",
      message: `${notice}: the publication is gone, and what commits meanwhile is never decoded: ${resnapshot}.`
    }))
    this.#connection.stream.destroy()
  }

  /** One socket chunk holds many messages: hand over once it is decoded, not at its first. */
  #handOverSoon(): void {
    if (this.#handingOver || this.#taker === undefined) return
    this.#handingOver = true
    queueMicrotask(() => {
      this.#handingOver = false
      this.#handOver()
    })
  }

  #handOver(): void {
    const taker = this.#taker
    if (taker === undefined) return
    const stretch = this.#stretches.shift()
    if (stretch !== undefined) {
      this.#taker = undefined
      this.#bufferedBytes -= stretch.bytes
      this.#resumeIfDrained()
      taker(this.#decoded(stretch))
    } else if (this.#failure !== undefined) {
      this.#taker = undefined
      taker(this.#failure)
    }
  }

  #decoded(stretch: WalStretch): ReadonlyArray<WalMessage> | CaptureError {
    try {
      return stretch.decode()
    } catch (cause) {
      const error = this.#undecodable(cause as Error)
      this.#stretches.length = 0 // what comes after it is for nobody
      this.fail(error)
      this.#connection.stream.destroy()
      return error
    }
  }

  /** At half, so that the socket isn't switched for every batch. */
  #resumeIfDrained(): void {
    if (!this.#paused || this.#bufferedBytes > this.#maxBufferedBytes / 2) return
    this.#paused = false
    this.#connection.stream.resume()
  }
}

type Commit = Extract<WalMessage, { readonly _tag: "Commit" }>

const xLogData = "w".charCodeAt(0)
const primaryKeepalive = "k".charCodeAt(0)
/** Tag, start and end of the WAL, send time. */
const xLogDataHeaderBytes = 25
const standbyStatusUpdate = "r".charCodeAt(0)
/** 2000-01-01 UTC, the replication protocol's epoch. */
const postgresEpochMillis = 946_684_800_000

/** Written up to `received`; flushed and applied up to `confirmed`, which is what moves the slot. `answer`: the server replies with a keepalive at once. */
const statusMessage = (received: Lsn.Lsn, confirmed: Lsn.Lsn, answer: boolean): Buffer => {
  const message = Buffer.allocUnsafe(34)
  message[0] = standbyStatusUpdate
  message.writeBigUInt64BE(Lsn.max(received, confirmed), 1)
  message.writeBigUInt64BE(confirmed, 9)
  message.writeBigUInt64BE(confirmed, 17)
  message.writeBigInt64BE(BigInt(Date.now() - postgresEpochMillis) * 1000n, 25)
  message[33] = answer ? 1 : 0
  return message
}
